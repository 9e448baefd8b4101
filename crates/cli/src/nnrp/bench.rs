//! `nodewire nnrp bench`: how fast a server answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nnrp::client::{Answer, CallError, ConnectOptions, Session, Submit, SubmitError};
use nnrp::{Dialer, Endpoint};
use nnrp_wire::body::TypedPayload;
use nnrp_wire::session::FrameKey;
use nnrp_wire::{FrameSubmit, ResultBody};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::probe::transport_name;
use super::serve::outcome_name;
use super::time::{Histogram, micros};
use super::trust::{Policy, TrustFlags, leave};
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;

const HELP: &str = "\
Examples:
  nodewire nnrp bench nnrps://127.0.0.1:9444 --ca serve.pem --size 65536 --in-flight 64 --seconds 10
  nodewire nnrp bench nnrp+tcp://127.0.0.1:9444 --frames 100000 --json

Each frame brings one opaque payload; how it is answered is the server's business (`nodewire nnrp serve` sends it back). As many \
frames are in flight as --in-flight says and the server allows. Times are from the call to the last result, waiting for credit \
included, and told within 2 %.

Exit status: 0 done; 1 no frame was answered, or a session broke; 2 wrong usage; 3 the server cannot be reached; 130 interrupted.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct BenchArgs {
    /// The server: nnrps://host:port, or nnrp+tcp://host:port for plain TCP.
    #[arg(value_name = "ENDPOINT")]
    endpoint: Endpoint,
    /// Bytes of each frame's payload.
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(..=256 << 20))]
    size: u32,
    /// Frames in flight, of each session.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    in_flight: u16,
    /// Sessions, each on a connection of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    sessions: u16,
    /// How long, in seconds; 5 unless --frames is given.
    #[arg(long, value_name = "SECONDS", value_parser = crate::micro::seconds)]
    seconds: Option<Duration>,
    /// How many frames, all together.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    /// For each frame, and for connecting, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = crate::micro::seconds)]
    timeout: Duration,
    /// Which transport.
    #[arg(long, value_enum, default_value_t = Policy::Auto)]
    transport: Policy,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trust: TrustFlags,
}

/// What one worker has seen.
#[derive(Debug, Default)]
struct Seen {
    times: Histogram,
    outcomes: BTreeMap<&'static str, u64>,
    result_bytes: u64,
    broken: Option<String>,
    /// Why a frame was not answered.
    fault: Option<String>,
}

/// What all workers share.
#[derive(Debug)]
struct Load {
    submit: FrameSubmit,
    timeout: Duration,
    /// Frames that may still be submitted.
    left: Option<AtomicU64>,
    stop: CancellationToken,
}

impl Load {
    /// Whether another frame is to be submitted.
    fn goes_on(&self) -> bool {
        if self.stop.is_cancelled() {
            return false;
        }
        self.left.as_ref().is_none_or(|left| {
            let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
            taken.is_ok()
        })
    }
}

pub(super) async fn bench(args: BenchArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let dialer = args.trust.dialer()?;
    let sessions = signals
        .unless_stopped(Box::pin(connect(&args, &dialer)))
        .await?;
    let load = Arc::new(args.load()?);
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for session in &sessions {
        for _ in 0..args.in_flight {
            workers.spawn(work(session.clone(), Arc::clone(&load)));
        }
    }
    let seen = tokio::select! {
        biased;
        () = signals.stop.cancelled() => None,
        seen = collect(&mut workers, args.duration(), &load.stop) => Some(seen),
    };
    let took = began.elapsed();
    let Some(seen) = seen else {
        return Err(Failure::interrupted());
    };
    let report = Report::new(&args, &sessions, seen, took);
    report.print(args.json);
    for session in &sessions {
        // Nothing depends on how long the other side takes for that.
        let _ = tokio::time::timeout(Duration::from_secs(2), session.close("done")).await;
    }
    leave(Some(&dialer), None).await;
    terminal::results_written()?;
    report.verdict()
}

impl BenchArgs {
    fn duration(&self) -> Option<Duration> {
        let default = self.frames.is_none().then_some(Duration::from_secs(5));
        self.seconds.or(default)
    }

    fn load(&self) -> Result<Load, Failure> {
        let payload = Bytes::from(vec![0x5a; self.size as usize]);
        let submit = FrameSubmit::builder()
            .payload(TypedPayload::opaque_bytes(payload))
            .build();
        Ok(Load {
            submit: submit.map_err(|error| Failure::usage(error.to_string()))?,
            timeout: self.timeout,
            left: self.frames.map(AtomicU64::new),
            stop: CancellationToken::new(),
        })
    }
}

async fn connect(args: &BenchArgs, dialer: &Dialer) -> Result<Vec<Session>, Failure> {
    let mut sessions = Vec::new();
    for number in 1..=args.sessions {
        let options = ConnectOptions::default()
            // The reference gives what is asked for, 0 too, which is no session.
            .with_requested_session_id(number.into())
            .with_connect_timeout(args.timeout)
            .with_policy(args.transport.into());
        let session = Session::connect(dialer, &args.endpoint, options).await;
        sessions.push(session.map_err(|error| Failure::servers(chain(&error)))?);
    }
    Ok(sessions)
}

/// Until all workers are done, or the time is over and they have ended their frames.
async fn collect(
    workers: &mut JoinSet<Seen>,
    duration: Option<Duration>,
    stop: &CancellationToken,
) -> Vec<Seen> {
    let mut seen = Vec::new();
    let over = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    loop {
        tokio::select! {
            done = workers.join_next() => match done {
                Some(Ok(one)) => seen.push(one),
                Some(Err(_)) => {}
                None => return seen,
            },
            () = &mut over, if !stop.is_cancelled() => stop.cancel(),
        }
    }
}

async fn work(session: Session, load: Arc<Load>) -> Seen {
    let mut seen = Seen::default();
    while load.goes_on() {
        let key = FrameKey::new(session.next_frame_id());
        let mut submit = Submit::new(key, load.submit.clone());
        submit.timeout = Some(load.timeout);
        let began = Instant::now();
        match session.call(submit).await {
            Ok(answer) => seen.answered(&answer, began.elapsed()),
            Err(error) => {
                *seen.outcomes.entry(failed_as(&error)).or_default() += 1;
                if session.end().is_some() {
                    seen.broken = Some(chain(&error));
                    break;
                }
                let is_the_same_again = is_the_same_again(&error);
                seen.fault.get_or_insert_with(|| chain(&error));
                if is_the_same_again {
                    break;
                }
            }
        }
    }
    seen
}

impl Seen {
    fn answered(&mut self, answer: &Answer, took: Duration) {
        self.times.add(took);
        *self
            .outcomes
            .entry(outcome_name(answer.outcome))
            .or_default() += 1;
        self.result_bytes += match &answer.result.result.body {
            ResultBody::Composed(composed) => composed.body().typed.region().len() as u64,
            ResultBody::Flat(flat) => {
                let sections = flat.sections.iter();
                sections.map(|section| section.payload().len() as u64).sum()
            }
            ResultBody::Empty => 0,
        };
    }
}

/// Whether the next frame would be refused as this one: none is sent.
const fn is_the_same_again(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Submit(SubmitError::Refused(_) | SubmitError::NotReceived { .. })
    )
}

const fn failed_as(error: &CallError) -> &'static str {
    match error {
        CallError::Dropped => "dropped",
        CallError::Cancelled => "cancelled",
        CallError::Expired => "expired",
        CallError::Submit(_) => "not_submitted",
        CallError::ConnectionLost(_) => "connection_lost",
        CallError::Failed(_) => "error",
        CallError::NoResult | _ => "no_result",
    }
}

/// What all workers have seen.
#[derive(Debug)]
struct Report {
    size: u32,
    in_flight: u16,
    transport: &'static str,
    session_count: usize,
    allowed: u16,
    took: Duration,
    times: Histogram,
    outcomes: BTreeMap<&'static str, u64>,
    result_bytes: u64,
    credit_stalls: u64,
    room_stalls: u64,
    broken: Option<String>,
    fault: Option<String>,
}

impl Report {
    fn new(args: &BenchArgs, sessions: &[Session], seen: Vec<Seen>, took: Duration) -> Self {
        let counters = sessions.iter().map(Session::counters);
        let first = sessions.first();
        let mut report = Self {
            size: args.size,
            in_flight: args.in_flight,
            transport: first.map_or("", |session| transport_name(session.transport())),
            session_count: sessions.len(),
            allowed: first
                .and_then(Session::established)
                .map_or(0, |established| established.ack.max_concurrent_frames),
            took,
            times: Histogram::default(),
            outcomes: BTreeMap::new(),
            result_bytes: 0,
            credit_stalls: counters
                .clone()
                .map(|counters| counters.credit_stalls)
                .sum(),
            room_stalls: counters.map(|counters| counters.room_stalls).sum(),
            broken: None,
            fault: None,
        };
        for one in seen {
            report.times.merge(&one.times);
            for (outcome, count) in one.outcomes {
                *report.outcomes.entry(outcome).or_default() += count;
            }
            report.result_bytes += one.result_bytes;
            report.broken = report.broken.or(one.broken);
            report.fault = report.fault.or(one.fault);
        }
        report
    }

    fn verdict(&self) -> Result<(), Failure> {
        match &self.broken {
            Some(why) => Err(Failure::failed(format!("a session broke: {why}"))),
            None if self.times.count() == 0 => {
                let why = self.fault.as_ref();
                let why = why.map_or_else(String::new, |why| format!(": {why}"));
                Err(Failure::failed(format!("no frame was answered{why}")))
            }
            None => Ok(()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
    fn rates(&self) -> (f64, f64, f64) {
        let seconds = self.took.as_secs_f64().max(1e-9);
        let answered = self.times.count() as f64;
        let up = answered * f64::from(self.size) / seconds / 1e6;
        let down = self.result_bytes as f64 / seconds / 1e6;
        (answered / seconds, up, down)
    }

    fn print(&self, json: bool) {
        if json {
            return terminal::json(self.json());
        }
        let (frames, up, down) = self.rates();
        let time = |per_mille| {
            self.times
                .per_mille(per_mille)
                .map_or_else(|| "-".into(), micros)
        };
        terminal::result(format_args!(
            "{} over {}: {} bytes, {} in flight (the server allows {})",
            plural(self.session_count, "session"),
            self.transport,
            self.size,
            self.in_flight,
            if self.allowed == 0 {
                "any number".to_owned()
            } else {
                self.allowed.to_string()
            },
        ));
        terminal::result(format_args!(
            "{} frames in {:.2} s: {frames:.0} frames/s, {up:.1} MB/s there, {down:.1} MB/s back",
            self.times.count(),
            self.took.as_secs_f64(),
        ));
        terminal::result(format_args!(
            "round trip: p50 {}, p90 {}, p99 {}, longest {}",
            time(500),
            time(900),
            time(990),
            micros(self.times.max_us()),
        ));
        let outcomes: Vec<_> = self
            .outcomes
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        terminal::result(format_args!(
            "outcomes: {}; waits for credit {}, for room {}",
            outcomes.join(", "),
            self.credit_stalls,
            self.room_stalls,
        ));
    }

    fn json(&self) -> Value {
        let (frames, up, down) = self.rates();
        json!({
            "transport": self.transport,
            "sessions": self.session_count,
            "size_bytes": self.size,
            "in_flight": self.in_flight,
            "max_concurrent_frames": self.allowed,
            "seconds": self.took.as_secs_f64(),
            "answered": self.times.count(),
            "frames_per_second": frames,
            "megabytes_per_second_up": up,
            "megabytes_per_second_down": down,
            "round_trip_us": {
                "p50": self.times.per_mille(500), "p90": self.times.per_mille(900),
                "p99": self.times.per_mille(990), "max": self.times.max_us(),
            },
            "outcomes": self.outcomes,
            "credit_stalls": self.credit_stalls,
            "room_stalls": self.room_stalls,
        })
    }
}

fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
