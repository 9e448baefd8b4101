//! Which transport is found to be better. spec: nnrp-session 2.6

use std::net::UdpSocket as StdUdp;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use nnrp::tools::RawLink;
use nnrp::{Link, ListenerOptions, ProbeFault, ProbeOptions, TransportId, probe};
use nnrp_wire::session::ProbeSummary;
use nnrp_wire::{
    DecodeOptions, Envelope, ErrorCode, ErrorReport, ErrorScope, Message, Reserved, SplitLimits,
};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{LIMIT, LOCALHOST, Server, Way};

/// Answers with what a message is answered with, on any connection.
fn serve(
    server: Server,
    answer: impl Fn(&Message) -> Message + Send + Sync + 'static,
) -> (AbortOnDropHandle<()>, Arc<Server>) {
    let server = Arc::new(server);
    let serving = Arc::clone(&server);
    let answer = Arc::new(answer);
    let task: JoinHandle<()> = tokio::spawn(async move {
        while let Ok(link) = serving.listener.accept().await {
            tokio::spawn(answer_one(link, Arc::clone(&answer)));
        }
    });
    (AbortOnDropHandle::new(task), server)
}

async fn answer_one(link: Link, answer: Arc<impl Fn(&Message) -> Message + Send + Sync>) {
    let mut link = RawLink::new(link, SplitLimits::BEFORE_HELLO);
    while let Ok(packet) = link.next().await {
        let message = Message::decode(&packet, &DecodeOptions::STRICT).unwrap();
        let answer = answer(&message);
        if link.send(Envelope::default(), answer).await.is_err() {
            return;
        }
    }
}

fn acknowledge(message: &Message) -> Message {
    let Message::TransportProbe(probe) = message else {
        panic!("{message:?}");
    };
    assert!(probe.payload.iter().all(|byte| *byte == b'P'));
    Message::TransportProbeAck(nnrp_wire::metadata::TransportProbeAckMetadata {
        probe_id: probe.metadata.probe_id,
        reserved: Reserved::default(),
        server_recv_ts_us: 0,
    })
}

/// However busy the machine is, it does not decide.
fn patient() -> ProbeOptions {
    let mut options = ProbeOptions::default();
    options.sample_timeout = LIMIT;
    options.grace = LIMIT;
    options
}

#[tokio::test]
async fn both_transports_are_probed() {
    let server = Server::start(Way::Tls).await;
    let dialer = server.dialer();
    let (_serving, server) = serve(server, acknowledge);
    let report = probe(&dialer, &server.endpoint, &patient()).await.unwrap();
    let of = report.transports.iter();
    let of = of.map(|report| (report.summary.transport, report.samples.len()));
    let expected = [(TransportId::Quic, 3), (TransportId::Tcp, 3)];
    assert_eq!(of.collect::<Vec<_>>(), expected);
    let summaries = report.transports.iter();
    let summaries = summaries.map(|report| report.summary.clone());
    let best = ProbeSummary::select(&summaries.collect::<Vec<_>>()).map(|best| best.transport);
    assert_eq!(Some(report.winner), best);
    let stats = server.listener.stats();
    // One of each before those that count.
    assert_eq!((stats.accepted_tcp, stats.accepted_quic), (4, 4));
}

#[tokio::test]
async fn a_transport_that_does_not_answer_loses() {
    let server = Server::start_with(Way::Tls, |options| {
        *options = ListenerOptions::plain(LOCALHOST);
    })
    .await;
    let dialer = server.dialer();
    let silent = StdUdp::bind(LOCALHOST).unwrap();
    let port = NonZeroU16::new(silent.local_addr().unwrap().port()).unwrap();
    let endpoint = nnrp::Endpoint::plain("127.0.0.1", server.address().port()).unwrap();
    let endpoint = endpoint.with_quic_port(port);
    let (_serving, _server) = serve(server, acknowledge);
    let mut options = patient();
    options.grace = Duration::from_millis(50);
    let report = probe(&dialer, &endpoint, &options).await.unwrap();
    assert_eq!(report.winner, TransportId::Tcp);
    let quic = &report.transports[0];
    assert_eq!((quic.summary.successes, quic.summary.failures), (0, 3));
    assert!(quic.fault.is_some());
}

#[tokio::test]
async fn a_server_that_takes_no_probes_is_told_from_one_that_is_not_there() {
    let server = Server::start(Way::Tls).await;
    let dialer = server.dialer();
    let (_serving, server) = serve(server, |_| {
        let scope = ErrorScope::Connection;
        let report = ErrorReport::new(ErrorCode::UnsupportedCapability, scope, "no probes here");
        Message::Error(report.unwrap())
    });
    let error = probe(&dialer, &server.endpoint, &patient()).await;
    let error = error.unwrap_err();
    assert!(error.transports.iter().any(|transport| {
        matches!(&transport.fault, Some(ProbeFault::Refused { message }) if message.contains("no probes here"))
    }), "{error:?}");
    assert!(error.to_string().contains("no probes here"), "{error}");
}

/// That one transport is not there at all does not hurry the other one.
#[tokio::test]
async fn a_slow_transport_is_waited_for_where_the_other_one_has_shown_nothing() {
    let server = Server::start(Way::Quic).await;
    let dialer = server.dialer();
    let refusing = std::net::TcpListener::bind(LOCALHOST).unwrap();
    let port = refusing.local_addr().unwrap().port();
    // From now on nobody takes connections there.
    drop(refusing);
    let endpoint = nnrp::Endpoint::plain("127.0.0.1", port).unwrap();
    let quic = NonZeroU16::new(server.address().port()).unwrap();
    let endpoint = endpoint.with_quic_port(quic);
    let (_serving, _server) = serve(server, acknowledge);
    let mut options = patient();
    options.grace = Duration::ZERO;
    let report = probe(&dialer, &endpoint, &options).await.unwrap();
    assert_eq!(report.winner, TransportId::Quic);
    let quic = &report.transports[0];
    assert_eq!((quic.summary.successes, quic.summary.failures), (3, 0));
}

/// Each further probe would take its whole time, too.
#[tokio::test]
async fn a_server_that_says_nothing_is_not_asked_again() {
    let silent = std::net::TcpListener::bind(LOCALHOST).unwrap();
    let port = silent.local_addr().unwrap().port();
    let endpoint = nnrp::Endpoint::plain("127.0.0.1", port).unwrap();
    let dialer = nnrp::Dialer::new(nnrp::DialOptions::default());
    let mut options = patient();
    options.sample_timeout = Duration::from_millis(200);
    let error = probe(&dialer, &endpoint, &options).await.unwrap_err();
    let summary = &error.transports[0].summary;
    assert_eq!((summary.successes, summary.failures), (0, 3));
    silent.set_nonblocking(true).unwrap();
    let connections = std::iter::from_fn(|| silent.accept().ok()).count();
    assert!(connections <= 1, "{connections} connections");
}
