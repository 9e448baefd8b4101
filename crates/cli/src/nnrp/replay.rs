//! `nodewire nnrp replay`: a recorded session once more.

use std::path::PathBuf;
use std::time::Duration;

use nnrp::tools::{
    Compare, DifferenceKind, Pace, PlayOptions, PlayReport, RawLink, SessionIds, Side, play,
};
use nnrp::{Endpoint, Link, SplitLimits};
use serde_json::{Value, json};

use super::recording::{self, EarlyEnd, Recorded};
use super::trust::{ListenFlags, Listening, Policy, TrustFlags, deadline, leave};
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;

const HELP: &str = "\
Examples:
  nodewire nnrp replay session.jsonl --to nnrps://127.0.0.1:9445 --ca server.pem
  nodewire nnrp replay session.jsonl --to nnrp+tcp://127.0.0.1:9445 --as-fast-as-possible --bytes --json

  # Be the server of the recording, for a client under test
  nodewire nnrp replay session.jsonl --as-server --listen nnrp+tcp://127.0.0.1:9444

The client's packets are sent as they were, but with the session id that the server gives now, each once the answers are here that \
were there then, and no earlier than then. What the server says is compared with what it said then: type, frame and view of each \
answer, with --bytes also flags, route, trace and body. Results of different frames may come in another order. FLOW_UPDATE, \
RESULT_HINT and PING come when they come, and are not compared; PINGs are answered. Connections of a recording are played one \
after the other; one that continues another's session (SESSION_MIGRATE) needs a proof that only that server knew.

As a server, the n-th client gets what the n-th connection got, whatever ids it gives its frames.

A recording ends early if its file was full, or if the recorder was ended before the connections. That is warned of, and said by \
--json as ends_early (full or cut); connections that are not whole are compared as far as the recording goes, and what comes \
beyond it is counted, and no difference.

Exit status: 0 all answers were as they were, as far as the recording goes; 1 they were not, or a connection ended too early; 2 \
wrong usage, or the file is no recording; 3 the server cannot be reached, or the address not be listened on; 130 interrupted.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct ReplayArgs {
    /// The recording, as `nodewire nnrp record` writes it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The server: nnrps://host:port, or nnrp+tcp://host:port for plain TCP.
    #[arg(
        long,
        value_name = "ENDPOINT",
        required_unless_present = "as_server",
        conflicts_with = "as_server"
    )]
    to: Option<Endpoint>,
    /// Be the server.
    #[arg(long)]
    as_server: bool,
    #[command(flatten)]
    listen: ListenFlags,
    /// So many times as fast as it was.
    #[arg(long, value_name = "TIMES", default_value = "1", value_parser = pace)]
    speed: Pace,
    /// Wait for answers only, not for time.
    #[arg(long, conflicts_with = "speed")]
    as_fast_as_possible: bool,
    /// Compare flags, route, trace and body, too.
    #[arg(long)]
    bytes: bool,
    /// Play this connection only, by its number in the recording.
    #[arg(long, value_name = "N")]
    connection: Option<u64>,
    /// For connecting, and for each answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = crate::micro::seconds)]
    timeout: Duration,
    /// Bytes of the recording at most.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30)]
    max_bytes: u64,
    /// Which transport.
    #[arg(long, value_enum, default_value_t = Policy::Auto)]
    transport: Policy,
    /// Print JSON objects, one per line: `listening` as a server, `connection` for each that was played, then `replayed`.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustFlags,
}

fn pace(text: &str) -> Result<Pace, String> {
    let times = text.parse().ok().and_then(Pace::new);
    times.ok_or_else(|| "a number greater than 0 is expected".to_owned())
}

/// Differences that people are told; programs get all that are kept.
const SHOWN_MAX: usize = 20;

pub(super) async fn replay(args: ReplayArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    if !args.as_server {
        args.listen.check_unused()?;
    }
    let recording = recording::read(&args.file, args.max_bytes)?;
    let early_end = recording.early_end();
    if let Some(early_end) = early_end {
        warn(early_end);
    }
    let mut recorded = recording.connections;
    if let Some(wanted) = args.connection {
        recorded.retain(|recorded| recorded.number == wanted);
        if recorded.is_empty() {
            let text = format!("the recording has no connection {wanted} with packets");
            return Err(Failure::usage(text));
        }
    }
    let playing = Box::pin(play_all(&args, &recorded));
    let reports = signals.unless_stopped(playing).await?;
    let differences: u64 = reports.iter().map(|report| report.difference_count).sum();
    let not_sent: u64 = reports.iter().map(|report| report.not_sent).sum();
    let (connections, is_same) = (reports.len(), reports.iter().all(PlayReport::is_same));
    if args.json {
        terminal::json(json!({
            "type": "replayed", "connections": connections, "same": is_same,
            "differences": differences, "not_sent": not_sent, "ends_early": early_end.map(EarlyEnd::name),
        }));
    }
    terminal::results_written()?;
    if is_same {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "it was not as recorded: {differences} differences, {not_sent} packets not sent"
    )))
}

fn warn(early_end: EarlyEnd) {
    let why = match early_end {
        EarlyEnd::Full => "its file was full",
        EarlyEnd::Cut => "the recorder was ended before the connections",
    };
    terminal::say(format_args!(
        "{} the recording ends early, as {why}: it is compared as far as it goes",
        terminal::warning_word()
    ));
}

async fn play_all(args: &ReplayArgs, recorded: &[Recorded]) -> Result<Vec<PlayReport>, Failure> {
    let listening = if args.as_server {
        let listening = args.listen.bind().await?;
        listening.tell(args.json);
        Some(listening)
    } else {
        None
    };
    let dialer = args.trust.dialer()?;
    let mut ids = SessionIds::default();
    let mut reports = Vec::new();
    for recorded in recorded {
        let link = match (&listening, &args.to) {
            (Some(listening), _) => accept(listening).await?,
            (None, Some(to)) => {
                let deadline = deadline(args.timeout);
                let dialed = dialer
                    .dial_by_policy(to, args.transport.into(), deadline)
                    .await;
                dialed.map_err(|error| Failure::servers(chain(&error)))?
            }
            (None, None) => return Err(Failure::usage("--to or --as-server is needed")),
        };
        let link = RawLink::new(link, LIMITS);
        let report = play(link, &recorded.steps, &mut ids, args.options(recorded)).await;
        show(recorded, &report, args.json);
        reports.push(report);
    }
    let listener = listening.as_ref().map(|listening| &listening.listener);
    leave(Some(&dialer), listener).await;
    Ok(reports)
}

/// More than any recording has by itself.
const LIMITS: SplitLimits = SplitLimits {
    body_bytes_max: 256 << 20,
    probe_bytes_max: 256 << 20,
    ..SplitLimits::BEFORE_HELLO
};

async fn accept(listening: &Listening) -> Result<Link, Failure> {
    let link = listening.listener.accept().await;
    link.map_err(|error| Failure::servers(chain(&error)))
}

impl ReplayArgs {
    const fn options(&self, recorded: &Recorded) -> PlayOptions {
        PlayOptions {
            side: if self.as_server {
                Side::Server
            } else {
                Side::Client
            },
            pace: if self.as_fast_as_possible {
                None
            } else {
                Some(self.speed)
            },
            patience: self.timeout,
            compare: if self.bytes {
                Compare::Bytes
            } else {
                Compare::Frames
            },
            ends_early: !recorded.is_whole,
        }
    }
}

fn show(recorded: &Recorded, report: &PlayReport, json: bool) {
    if json {
        return terminal::json(report_json(recorded, report));
    }
    let beyond = match report.beyond {
        0 => String::new(),
        count => format!(", {count} beyond the recording"),
    };
    terminal::result(format_args!(
        "connection {}: {} packets sent, {} came, {} of them as then{beyond}, {} differences",
        recorded.number, report.sent, report.received, report.met, report.difference_count
    ));
    for difference in report.differences.iter().take(SHOWN_MAX) {
        terminal::result(format_args!("  {difference}"));
    }
    let hidden = report.difference_count.saturating_sub(SHOWN_MAX as u64);
    if hidden > 0 {
        terminal::result(format_args!("  and {hidden} more"));
    }
    if report.not_sent > 0 {
        let end = report
            .end
            .map_or_else(String::new, |end| format!(": {end}"));
        terminal::result(format_args!(
            "  {} packets were not sent{end}",
            report.not_sent
        ));
    }
}

fn report_json(recorded: &Recorded, report: &PlayReport) -> Value {
    let differences = report.differences.iter().map(|difference| {
        let kind = match difference.kind {
            DifferenceKind::Missing => "missing",
            DifferenceKind::Unexpected => "unexpected",
            DifferenceKind::Type { .. } => "type",
            DifferenceKind::Header => "header",
            DifferenceKind::Body { .. } => "body",
            _ => "other",
        };
        json!({
            "kind": kind, "type": difference.message_type.name(), "frame_id": difference.frame_id,
            "view_id": difference.view_id, "message": difference.to_string(),
        })
    });
    json!({
        "type": "connection", "connection": recorded.number, "same": report.is_same(),
        "sent": report.sent, "not_sent": report.not_sent, "received": report.received, "met": report.met,
        "whole": recorded.is_whole, "beyond": report.beyond,
        "difference_count": report.difference_count, "differences": differences.collect::<Vec<_>>(),
        "end": report.end.map(|end| end.to_string()),
    })
}
