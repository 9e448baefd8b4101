//! Our client with the recorded server.

use std::collections::BTreeMap;

use nnrp::client::{ConnectError, ConnectOptions, FrameItem, Session, Submit};
use nnrp::{ProbeOptions, probe};
use nnrp_wire::session::{FrameKey, FrameOutcome};
use nnrp_wire::{Envelope, Message, MessageType, Rules};
use nodewire_testkit::{NnrpTransport, SelfSignedCertificate};
use tokio::task::JoinSet;

use crate::compare::Comparison;
use crate::ours::{dialer, endpoint, patient, session_over};
use crate::raw::{RawConnection, RawListener, message, soon};
use crate::recorded::{Exchange, Write, conversations, exchanges, named};

fn options(hello: &Write) -> ConnectOptions {
    let (_, Message::ClientHello(hello)) = hello.message() else {
        panic!("{hello:?}");
    };
    let mut options = patient();
    options.session.hello = hello;
    // The recorded session server says that it keeps nothing, and keeps what it is given.
    options.session.puts_without_cache = true;
    options.session.checks_references = false;
    options.session.close_reason = "bye".into();
    options
}

/// A session of our client, and the recorded server's side of it.
pub(super) struct Played {
    pub(super) session: Session,
    pub(super) raw: RawConnection,
    pub(super) listener: RawListener,
    pub(super) certificate: SelfSignedCertificate,
    /// What waits for the server's answer.
    asking: JoinSet<()>,
}

/// Our client says hello, and gets this answer.
pub(super) async fn begin(
    transport: NnrpTransport,
    hello: &Write,
    ack: &[u8],
    rules: Rules,
    mut compare: impl FnMut(&nnrp_wire::Packet),
) -> Played {
    let mut options = options(hello);
    options.session.rules = rules;
    let certificate = SelfSignedCertificate::new().unwrap();
    let listener = RawListener::bind(&certificate).await;
    let session = session_over(transport, listener.port(), &certificate, options);
    let answered = async {
        let mut raw = listener.accept(transport).await;
        compare(&raw.packet().await.unwrap());
        raw.send(ack).await;
        raw
    };
    let (session, raw) = tokio::join!(session, answered);
    Played {
        session: session.unwrap(),
        raw,
        listener,
        certificate,
        asking: JoinSet::new(),
    }
}

impl Played {
    /// What the recorded client did, done by ours. Says whether anything is sent because of it.
    pub(super) async fn act(&mut self, envelope: &Envelope, message: Message) -> bool {
        let session = self.session.clone();
        match message {
            Message::FrameSubmit(submit) => {
                let submit = Submit {
                    flags: envelope.flags,
                    route_id: envelope.route_id,
                    trace_id: envelope.trace_id,
                    ..Submit::new(FrameKey::from(envelope), submit)
                };
                soon("a submit", session.submit(submit)).await.unwrap();
            }
            Message::FrameCancel => return session.cancel(FrameKey::from(envelope)),
            Message::CacheInvalidate(which) => session.invalidate(which).await.unwrap(),
            Message::FlowUpdate(update) => session.flow_update(update).await.unwrap(),
            Message::CachePut(put) => {
                self.asked().await;
                let asking = async move {
                    let _ = session.put(put).await.unwrap();
                };
                self.asking.spawn(asking);
            }
            Message::SessionPatch(patch) => {
                self.asked().await;
                let asking = async move {
                    let _ = session.patch(patch).await.unwrap();
                };
                self.asking.spawn(asking);
            }
            Message::Ping => {
                self.asking.spawn(async move {
                    let _ = session.ping().await.unwrap();
                });
            }
            Message::Close(reason) => {
                self.asking
                    .spawn(async move { drop(session.close(reason).await) });
            }
            // It comes by itself.
            Message::Pong => {}
            other => panic!("{other:?}"),
        }
        true
    }

    /// All that was asked has an answer.
    pub(super) async fn asked(&mut self) {
        while let Some(answered) = soon("an answer", self.asking.join_next()).await {
            answered.unwrap();
        }
    }

    pub(super) async fn play(&mut self, exchange: &Exchange, comparison: &mut Comparison) {
        let mut pinged = Envelope::default();
        for write in &exchange.writes[2..] {
            let (envelope, message) = write.message();
            if !write.by_client {
                match message {
                    // The ids are those of our PING.
                    Message::Pong => self.raw.send_message(pinged, Message::Pong).await,
                    _ => self.raw.send(&write.bytes).await,
                }
                continue;
            }
            if self.act(&envelope, message).await {
                let sent = self.raw.packet().await.expect(&exchange.name);
                comparison.compare(&exchange.name, &sent, &write.bytes);
                if sent.header().message_type == MessageType::Ping {
                    pinged = Envelope::from(sent.header());
                }
            }
        }
    }

    /// So many frames end, then the server ends all. How each frame has ended.
    pub(super) async fn outcomes(&mut self, count: usize) -> Vec<(u32, FrameOutcome)> {
        let mut outcomes = Vec::new();
        while outcomes.len() < count {
            self.next_outcome(&mut outcomes).await.unwrap();
        }
        self.raw.finish().await;
        while self.next_outcome(&mut outcomes).await.is_ok() {}
        self.asked().await;
        soon("the end", self.session.closed()).await;
        outcomes
    }

    pub(super) async fn next_outcome(
        &self,
        outcomes: &mut Vec<(u32, FrameOutcome)>,
    ) -> Result<(), nnrp::client::SessionEnd> {
        let (key, item) = soon("the end of a frame", self.session.next()).await?;
        if let FrameItem::End(end) = item {
            outcomes.push((key.frame_id, end.outcome));
        }
        Ok(())
    }
}

/// How the frames of each exchange end; none, in those that are not here.
fn expected_outcomes(name: &str) -> &'static [(u32, FrameOutcome)] {
    use FrameOutcome::{Cancelled, Complete, Degraded, Dropped, Error, Stale};
    match name {
        "submit_result_smoke" => &[(303, Complete)],
        "submit_result_smoke_defaults" | "submit_result_empty_default" => &[(101, Complete)],
        "submit_result_tensor_inline" => &[(303, Complete)],
        "submit_result_typed_and_mixed" => &[(304, Complete), (305, Complete)],
        "out_of_order_results" => &[(202, Complete), (203, Dropped), (201, Complete)],
        "result_drop" => &[(401, Dropped)],
        "frame_cancel" | "control_traffic" => &[(501, Cancelled)],
        "result_hint_degraded_stale" => &[(601, Degraded), (602, Stale)],
        "cache_put_reference_invalidate_miss" => &[(701, Complete), (702, Error)],
        "error_frame_then_session" => &[(801, Error)],
        "replay_export_submit_result" => &[(7, Stale)],
        "probe_then_session_tcp_selected" => &[(813, Complete)],
        "migrate_quic_to_tcp_origin_leg" => &[(821, Complete)],
        // The result of frame 4 belongs to no frame: it has another view.
        "submit_tile_modes_and_reference_mode" => {
            &[(1, Complete), (2, Complete), (3, Complete), (5, Complete)]
        }
        _ => &[],
    }
}

async fn converse(exchange: &'static Exchange) -> Comparison {
    let mut comparison = Comparison::default();
    let (hello, ack) = (&exchange.writes[0], &exchange.writes[1].bytes);
    // Its result is stale and does not say of which frame, which is a quirk of the exporter (nnrp-wire Q12).
    let rules = match exchange.name.as_str() {
        "replay_export_submit_result" => Rules::COMPATIBLE,
        _ => Rules::STRICT,
    };
    let mut played = begin(exchange.transport, hello, ack, rules, |sent| {
        comparison.compare(&exchange.name, sent, &hello.bytes);
    })
    .await;
    played.play(exchange, &mut comparison).await;
    let expected = expected_outcomes(&exchange.name);
    let mut outcomes = played.outcomes(expected.len()).await;
    // Only the end of the connection ended this one.
    outcomes.retain(|outcome| *outcome != (4, FrameOutcome::ConnectionLost));
    // Over QUIC, results of different frames overtake each other.
    let by_frame = |outcomes: &[(u32, FrameOutcome)]| {
        let outcomes = outcomes.iter().copied();
        outcomes.collect::<BTreeMap<_, _>>()
    };
    if exchange.transport == NnrpTransport::Quic {
        assert_eq!(by_frame(&outcomes), by_frame(expected), "{}", exchange.name);
    } else {
        assert_eq!(outcomes, expected, "{}", exchange.name);
    }
    let packets = played.session.counters().packets;
    assert_eq!((packets.undecodable, packets.unexpected), (0, 0));
    comparison
}

#[tokio::test]
async fn our_client_says_what_the_recorded_client_said() {
    let mut playing = JoinSet::new();
    for exchange in conversations() {
        playing.spawn(converse(exchange));
    }
    let mut comparison = Comparison::default();
    for played in playing.join_all().await {
        comparison.add(played);
    }
    comparison.expect(
        71,
        &[
            // The caller chooses no trace id for these.
            ("flow_update", "FLOW_UPDATE", &["header.trace_id"]),
            ("ping_pong", "PING", &["header.route_id", "header.trace_id"]),
            ("control_traffic", "PING", &["header.trace_id"]),
        ],
    );
}

#[tokio::test]
async fn a_recorded_refusal_fails_our_client() {
    let exchange = named("hello_rejected_error", NnrpTransport::Tcp);
    for transport in NnrpTransport::ALL {
        let certificate = SelfSignedCertificate::new().unwrap();
        let listener = RawListener::bind(&certificate).await;
        let options = options(&exchange.writes[0]);
        let session = session_over(transport, listener.port(), &certificate, options);
        let refused = async {
            let mut raw = listener.accept(transport).await;
            raw.packet().await.unwrap();
            raw.send(&exchange.writes[1].bytes).await;
            raw
        };
        let (session, mut raw) = tokio::join!(session, refused);
        let error = session.unwrap_err();
        assert!(matches!(error, ConnectError::Failed(_)), "{error:?}");
        assert_eq!(
            error.to_string(),
            "the other side reports: AUTH_FAILED: auth failed"
        );
        assert!(raw.rest().await.is_empty());
    }
}

/// Answers probes as it was recorded, with the number that ours has.
async fn answer_probes(
    listener: &RawListener,
    transport: NnrpTransport,
    count: usize,
) -> Comparison {
    let mut comparison = Comparison::default();
    let is_probe = |exchange: &&Exchange| {
        exchange.transport == transport
            && exchange
                .writes
                .first()
                .is_some_and(|first| first.bytes[6] == 0x19)
    };
    let recorded: Vec<_> = exchanges().iter().filter(is_probe).take(count).collect();
    assert_eq!(recorded.len(), count);
    for exchange in recorded {
        let mut raw = listener.accept(transport).await;
        let probe = raw.packet().await.unwrap();
        comparison.compare("probe", &probe, &exchange.writes[0].bytes);
        let (_, Message::TransportProbe(probe)) = message(&probe) else {
            panic!("{probe:?}");
        };
        let (envelope, Message::TransportProbeAck(mut ack)) = exchange.writes[1].message() else {
            panic!("{exchange:?}");
        };
        ack.probe_id = probe.metadata.probe_id;
        raw.send_message(envelope, Message::TransportProbeAck(ack))
            .await;
        // Our client ends it.
        assert!(raw.rest().await.is_empty());
    }
    comparison
}

#[tokio::test]
async fn recorded_answers_to_probes_are_understood() {
    let certificate = SelfSignedCertificate::new().unwrap();
    let listener = RawListener::bind(&certificate).await;
    let (dialer, port) = (dialer(&certificate), listener.port());
    let endpoint = endpoint(port, port);
    let mut options = ProbeOptions::default();
    options.samples = 2;
    options.warm_up = false;
    options.payload_bytes = 64;
    options.sample_timeout = crate::raw::LIMIT;
    options.grace = crate::raw::LIMIT;
    let (report, tcp, quic) = tokio::join!(
        probe(&dialer, &endpoint, &options),
        answer_probes(&listener, NnrpTransport::Tcp, 2),
        answer_probes(&listener, NnrpTransport::Quic, 2),
    );
    let report = report.unwrap();
    assert_eq!(report.transports.len(), 2);
    for transport in &report.transports {
        assert_eq!(transport.summary.successes, 2);
    }
    for comparison in [tcp, quic] {
        let volatile = &["metadata.client_send_ts_us", "metadata.probe_id"];
        comparison.expect(0, &[("probe", "TRANSPORT_PROBE", volatile)]);
    }
}
