//! `nodewire nnrp probe` and `probe-server`: which transport is better. spec: nnrp-session 2.6

use std::time::Duration;

use nnrp::tools::RawLink;
use nnrp::{
    Endpoint, Link, Listener, ProbeOptions, ProbeReport, SplitLimits, TransportId, TransportReport,
    probe,
};
use nnrp_wire::session::{ProbeSample, ServerConnection, ServerOptions};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::trust::{ListenFlags, TrustFlags, leave, remote};
use crate::failure::{Failure, chain};
use crate::micro::Table;
use crate::signals::Signals;
use crate::terminal;

const PROBE_HELP: &str = "\
Examples:
  nodewire nnrp probe nnrps://gpu.example:9444
  nodewire nnrp probe 'nnrp+tcp://127.0.0.1:9444?quic=9445' --insecure --samples 10 --json | jq .winner

Each probe is a connection of its own with one packet there and one back. QUIC and TCP are probed at the same time. The winner has \
more answers; among equals, more throughput; among equals, the shorter round trip.

Exit status: 0 at least one probe was answered; 2 wrong usage; 3 none was; 130 interrupted.";

#[derive(Debug, clap::Args)]
#[command(after_help = PROBE_HELP)]
pub(super) struct ProbeArgs {
    /// The server: nnrps://host:port, or nnrp+tcp://host:port for plain TCP; ?tcp=PORT and ?quic=PORT name further ports.
    #[arg(value_name = "ENDPOINT")]
    endpoint: Endpoint,
    /// Probes of each transport, beside one before them that does not count.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    samples: u32,
    /// Bytes of a probe's payload.
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 10, value_parser = clap::value_parser!(u32).range(..=1 << 20))]
    size: u32,
    /// For each probe, its connection included, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = crate::micro::seconds)]
    timeout: Duration,
    /// Count the first probe, too.
    #[arg(long)]
    no_warm_up: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustFlags,
}

pub(super) async fn probe_endpoint(args: ProbeArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let dialer = args.trust.dialer()?;
    let mut options = ProbeOptions::default();
    options.samples = args.samples;
    options.payload_bytes = args.size;
    options.sample_timeout = args.timeout;
    options.warm_up = !args.no_warm_up;
    let probing = async { Ok(Box::pin(probe(&dialer, &args.endpoint, &options)).await) };
    let probed = signals.unless_stopped(probing).await?;
    leave(Some(&dialer), None).await;
    let report = match probed {
        Ok(report) => report,
        Err(error) => return Err(Failure::servers(chain(&error))),
    };
    if args.json {
        terminal::json(report_json(&args.endpoint, &report));
    } else {
        print_table(&report);
    }
    terminal::results_written()
}

fn print_table(report: &ProbeReport) {
    let mut table = Table::new(&[
        "TRANSPORT",
        "ANSWERED#",
        "FAILED#",
        "THROUGHPUT#",
        "ROUND TRIP#",
        "",
    ]);
    for transport in &report.transports {
        let summary = &transport.summary;
        let note = if summary.transport == report.winner {
            "winner".to_owned()
        } else {
            fault(transport).unwrap_or_default()
        };
        table.row([
            transport_name(summary.transport).to_owned(),
            summary.successes.to_string(),
            summary.failures.to_string(),
            summary.throughput.map_or_else(|| "-".into(), throughput),
            summary
                .round_trip_us
                .map_or_else(|| "-".into(), super::time::micros),
            note,
        ]);
    }
    table.print();
}

#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn throughput(bytes_per_second: u64) -> String {
    format!("{:.1} MB/s", bytes_per_second as f64 / 1e6)
}

fn fault(transport: &TransportReport) -> Option<String> {
    transport.fault.as_ref().map(|fault| chain(fault))
}

fn report_json(endpoint: &Endpoint, report: &ProbeReport) -> Value {
    let transports = report.transports.iter().map(|transport| {
        let summary = &transport.summary;
        json!({
            "transport": transport_name(summary.transport),
            "successes": summary.successes,
            "failures": summary.failures,
            "throughput_bytes_per_second": summary.throughput,
            "round_trip_us": summary.round_trip_us,
            "representative": summary.representative.as_ref().map(sample_json),
            "samples": transport.samples.iter().map(sample_json).collect::<Vec<_>>(),
            "fault": fault(transport),
        })
    });
    json!({
        "endpoint": endpoint.to_string(),
        "winner": transport_name(report.winner),
        "transports": transports.collect::<Vec<_>>(),
    })
}

fn sample_json(sample: &ProbeSample) -> Value {
    json!({
        "probe_id": sample.probe_id,
        "round_trip_us": sample.round_trip_us,
        "throughput_bytes_per_second": sample.throughput,
    })
}

/// As the protocol writes it.
pub(super) const fn transport_name(transport: TransportId) -> &'static str {
    match transport {
        TransportId::Quic => "QUIC",
        TransportId::Tcp => "TCP",
        TransportId::Unspecified => "UNSPECIFIED",
    }
}

const SERVER_HELP: &str = "\
Examples:
  nodewire nnrp probe-server --listen nnrps://127.0.0.1:9444 --certificate-out probe.pem
  nodewire nnrp probe-server --listen nnrp+tcp://127.0.0.1:9444 --quic --count 8 --delay 0.02

Answers one probe on each connection, as long as it is not stopped, or --count connections. Other packets are refused. (`nodewire \
nnrp serve` answers probes too.) When it is stopped, probes that wait for their answer get none.

Exit status: 0 done, or stopped; 1 with --count, a connection sent no probe; 2 wrong usage; 3 the address cannot be listened on.";

#[derive(Debug, clap::Args)]
#[command(after_help = SERVER_HELP)]
pub(super) struct ProbeServerArgs {
    #[command(flatten)]
    listen: ListenFlags,
    /// End after so many connections.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Wait so long before each answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = crate::micro::seconds)]
    delay: Duration,
    /// Print JSON objects, one per line: `listening`, then `probe` for each that was answered.
    #[arg(long)]
    json: bool,
}

/// How long a connection has for its probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may take to end.
const LINGER: Duration = Duration::from_secs(1);

/// Connections that are answered at the same time.
const CONNECTIONS_MAX: usize = 256;

pub(super) async fn probe_server(args: ProbeServerArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let listening = args.listen.bind().await?;
    listening.tell(args.json);
    let mut unanswered = 0;
    tokio::select! {
        biased;
        // What is being answered is dropped: a probe may be waited for for long.
        () = signals.stop.cancelled() => {}
        () = answer_all(&listening.listener, &args, &mut unanswered) => {}
    }
    let leaving = async {
        leave(None, Some(&listening.listener)).await;
        Ok(())
    };
    signals.unless_killed(leaving).await?;
    terminal::results_written()?;
    if unanswered > 0 && args.count.is_some() {
        return Err(Failure::failed(format!(
            "{unanswered} connections sent no probe"
        )));
    }
    Ok(())
}

/// Until as many connections as were asked for have ended; for ever, if any number was.
async fn answer_all(listener: &Listener, args: &ProbeServerArgs, unanswered: &mut u64) {
    let began = Instant::now();
    let mut answering = JoinSet::new();
    let mut left = args.count;
    while left != Some(0) || !answering.is_empty() {
        let has_room = left != Some(0) && answering.len() < CONNECTIONS_MAX;
        tokio::select! {
            Some(done) = answering.join_next() => *unanswered += u64::from(!matches!(done, Ok(true))),
            link = listener.accept(), if has_room => {
                let Ok(link) = link else { return };
                left = left.map(|left| left - 1);
                answering.spawn(answer(link, args.delay, args.json, began));
            }
        }
    }
}

/// Says whether there was a probe.
async fn answer(link: Link, delay: Duration, json: bool, began: Instant) -> bool {
    let (who, transport) = (remote(&link), link.transport());
    let mut link = RawLink::new(link, SplitLimits::BEFORE_HELLO);
    let answered = timeout(PROBE_TIMEOUT + delay, answer_probe(&mut link, delay, began)).await;
    let bytes = answered.ok().flatten();
    if let Some(bytes) = bytes {
        if json {
            terminal::json(json!({
                "type": "probe", "from": who, "transport": transport_name(transport), "payload_bytes": bytes,
            }));
        } else {
            let transport = transport_name(transport);
            terminal::say(format_args!(
                "answered a probe of {bytes} bytes from {who} over {transport}"
            ));
        }
    } else {
        terminal::say(format_args!("{who} sent no probe"));
    }
    link.close(LINGER).await;
    bytes.is_some()
}

/// Bytes of its payload.
async fn answer_probe(link: &mut RawLink, delay: Duration, began: Instant) -> Option<usize> {
    let mut connection = ServerConnection::new(
        ServerOptions::default(),
        nnrp_wire::session::PathId(1),
        link.transport(),
        began.elapsed(),
    );
    let packet = link.next().await.ok()?;
    tokio::time::sleep(delay).await;
    // What is no probe is refused.
    let handled = connection.handle_packet(&packet, began.elapsed());
    let mut is_answered = false;
    while let Some(transmit) = connection.poll_transmit() {
        is_answered |= matches!(transmit.message, nnrp_wire::Message::TransportProbeAck(_));
        link.send(transmit.envelope, transmit.message).await.ok()?;
    }
    (handled.is_ok() && is_answered).then(|| packet.body().len())
}
