//! `nodewire nnrp serve`: a server that sends back what it gets.

mod echo;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nnrp::Listener;
use nnrp::server::{ServeOptions, Server, ServerOptions, Session, SessionCounters, Submitted};
use nnrp_wire::ErrorCode;
use nnrp_wire::session::{FrameCounts, FrameOutcome};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::stats_page::{StatsFlags, StatsPage};
use super::trust::{ListenFlags, leave};
use crate::failure::Failure;
use crate::signals::Signals;
use crate::terminal;

const HELP: &str = "\
Examples:
  nodewire nnrp serve --listen nnrps://127.0.0.1:9444 --certificate-out serve.pem
  nodewire nnrp serve --listen nnrp+tcp://127.0.0.1:9444 --quic --delay 0.005 --stats 127.0.0.1:0

  # Then, elsewhere
  nodewire nnrp bench nnrps://127.0.0.1:9444 --ca serve.pem --size 65536 --in-flight 64

Each frame is answered with the tiles, sections and payloads that it brought, whatever its session; probes, pings, cached objects, \
cancellations and migrations are served as the library does. --stats tells the counts as JSON over HTTP, to whoever knows the \
token that is printed with the address: see `nodewire nnrp top --stats`.

Ctrl-C or SIGTERM stops it: nothing new is taken, and frames that are there already have 5 seconds to be answered. A second one ends \
it at once.

Exit status: 0 stopped; 2 wrong usage; 3 the address cannot be listened on; 130 ended at once.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    listen: ListenFlags,
    /// Take so long for each frame, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = crate::micro::seconds)]
    delay: Duration,
    /// Frames in flight that a session is allowed; with 0, clients are told no limit, and 256 are taken.
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_concurrent_frames: u16,
    /// Bytes of a body that a session is allowed; with 0, clients are told no limit, and longer ones than 64 MiB end their
    /// connection.
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20)]
    max_body_bytes: u32,
    /// Sessions at the same time.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    max_sessions: usize,
    /// Let whoever knows a session's id move it, as clients of the reference cannot prove that it is theirs.
    #[arg(long)]
    allow_unproven_migration: bool,
    #[command(flatten)]
    stats: StatsFlags,
    /// Print JSON objects, one per line: `listening`, `stats` where --stats is, `session` for each that has ended, `stopped`.
    #[arg(long)]
    json: bool,
}

impl ServeArgs {
    fn server_options(&self) -> ServerOptions {
        let mut options = ServerOptions::default();
        let capabilities = &mut options.session.capabilities;
        capabilities.max_concurrent_frames = self.max_concurrent_frames;
        capabilities.max_body_bytes = self.max_body_bytes;
        let frames = usize::from(self.max_concurrent_frames);
        options.session.frames_max = options.session.frames_max.max(frames * 2);
        options.read_body_bytes_max = options.read_body_bytes_max.max(self.max_body_bytes);
        options.sessions_max = self.max_sessions;
        options.allows_unproven_migration = self.allow_unproven_migration;
        options
    }

    fn serve_options(&self) -> ServeOptions {
        let session_frames_max = match self.max_concurrent_frames {
            // As many as are taken.
            0 => self.server_options().session.frames_max,
            frames => usize::from(frames),
        };
        ServeOptions {
            session_frames_max,
            frames_max: 4096,
            ..ServeOptions::default()
        }
    }
}

/// For sessions to end when the server stops.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) async fn serve(args: ServeArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let listening = args.listen.bind().await?;
    let serving = Arc::new(Serving {
        server: Server::new(args.server_options()),
        sessions: Mutex::default(),
        began: Instant::now(),
    });
    let page = args.stats.open().await?;
    listening.tell(args.json);
    if let Some(page) = &page {
        page.tell(args.json);
    }
    // Beyond the first signal: what they answer still has time then.
    let mut sessions = JoinSet::new();
    tokio::select! {
        () = serving.run(&listening.listener, &args, &mut sessions) => {}
        () = show_stats(page, &serving) => {}
        () = signals.stop.cancelled() => {}
    }
    listening.listener.close();
    let stopping = async {
        serving.stop(sessions).await;
        leave(None, Some(&listening.listener)).await;
        Ok(())
    };
    signals.unless_killed(stopping).await?;
    let mut stats = serving.stats(&listening.listener);
    if args.json {
        stats["type"] = "stopped".into();
        terminal::json(stats);
    } else {
        terminal::say(format_args!(
            "stopped after {} sessions with {} frames",
            stats["sessions_begun"], stats["frames"]["submitted"]
        ));
    }
    terminal::results_written()
}

async fn show_stats(page: Option<StatsPage>, serving: &Serving) {
    match page {
        Some(page) => page.serve(|| serving.stats_now()).await,
        None => std::future::pending().await,
    }
}

/// The server, and its sessions.
#[derive(Debug)]
struct Serving {
    server: Server,
    sessions: Mutex<Sessions>,
    began: Instant,
}

/// Each session is in one of both, so that its frames are counted once.
#[derive(Debug, Default)]
struct Sessions {
    live: BTreeMap<u64, Session>,
    ended: Counts,
}

/// Of several sessions.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    frames: FrameCounts,
    stalls: u64,
    late: u64,
}

impl Counts {
    fn add(&mut self, session: &SessionCounters) {
        let frames = &session.frames;
        self.frames.submitted += frames.submitted;
        self.frames.pending += frames.pending;
        self.frames.in_flight += frames.in_flight;
        let pairs = self.frames.done.iter_mut().zip(frames.done);
        pairs.for_each(|(sum, more)| *sum += more);
        self.stalls += session.tallies.stalls;
        self.late += session.tallies.late;
    }
}

impl Sessions {
    fn end(&mut self, number: u64, counters: &SessionCounters) {
        if self.live.remove(&number).is_some() {
            self.ended.add(counters);
        }
    }
}

impl Serving {
    async fn run(
        self: &Arc<Self>,
        listener: &Listener,
        args: &ServeArgs,
        sessions: &mut JoinSet<()>,
    ) {
        let mut number = 0;
        while let Some(session) = self.server.accept(listener).await {
            while sessions.try_join_next().is_some() {}
            number += 1;
            self.with_sessions(|sessions| sessions.live.insert(number, session.clone()));
            let serving = Arc::clone(self);
            let (options, delay, json) = (args.serve_options(), args.delay, args.json);
            sessions.spawn(async move {
                let kept = session.clone();
                session
                    .serve(move |frame| answer(frame, delay), options)
                    .await;
                serving.ended(number, &kept, json);
            });
        }
    }

    fn ended(&self, number: u64, session: &Session, json: bool) {
        let counters = session.counters();
        self.with_sessions(|sessions| sessions.end(number, &counters));
        if json {
            terminal::json(json!({
                "type": "session", "session_id": session.id(), "remote": session.remote(),
                "frames": frames_json(&counters.frames),
            }));
        }
    }

    /// Until all sessions have ended, and what answers their frames has, too.
    async fn stop(&self, mut sessions: JoinSet<()>) {
        self.server.stop("the server stops", PATIENCE).await;
        while sessions.join_next().await.is_some() {}
    }

    fn with_sessions<R>(&self, act: impl FnOnce(&mut Sessions) -> R) -> R {
        act(&mut self.sessions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stats(&self, listener: &Listener) -> Value {
        let mut stats = self.stats_now();
        let links = listener.stats();
        stats["listener"] = json!({
            "accepted_tcp": links.accepted_tcp,
            "accepted_quic": links.accepted_quic,
            "refused_connections": links.refused_connections,
            "failed_handshakes": links.failed_handshakes,
            "slow_handshakes": links.slow_handshakes,
            "displaced_handshakes": links.displaced_handshakes,
            "accept_errors": links.accept_errors,
        });
        stats
    }

    /// What has been counted until now.
    fn stats_now(&self) -> Value {
        let totals = self.server.totals();
        let (mut counts, live) = self.with_sessions(|sessions| {
            let live: Vec<_> = sessions.live.values().cloned().collect();
            (sessions.ended, live)
        });
        let mut round_trips = Vec::new();
        for session in &live {
            counts.add(&session.counters());
            round_trips.extend(session.round_trip().map(super::time::as_micros));
        }
        round_trips.sort_unstable();
        let refused = totals.refused().iter();
        json!({
            "uptime_s": self.began.elapsed().as_secs_f64(),
            "connections": totals.connections,
            "refused": refused.map(|(why, count)| (format!("{why:?}"), Value::from(*count))).collect::<Map<_, _>>(),
            "sessions": live.len(),
            "sessions_begun": totals.sessions,
            "migrations": totals.migrations,
            "frames": frames_json(&counts.frames),
            "stalls": counts.stalls,
            "late_answers": counts.late,
            "round_trip_us": round_trips.get(round_trips.len() / 2),
        })
    }
}

/// By how they ended, and those that have not.
pub(super) fn frames_json(frames: &FrameCounts) -> Value {
    let mut counts = Map::new();
    counts.insert("submitted".into(), frames.submitted.into());
    counts.insert(
        "in_flight".into(),
        (frames.in_flight + frames.pending).into(),
    );
    for outcome in FrameOutcome::ALL {
        let name = outcome_name(outcome).to_owned();
        counts.insert(name, frames.done_as(outcome).into());
    }
    Value::Object(counts)
}

/// As it is called in JSON.
pub(super) const fn outcome_name(outcome: FrameOutcome) -> &'static str {
    match outcome {
        FrameOutcome::Complete => "complete",
        FrameOutcome::Stale => "stale",
        FrameOutcome::Degraded => "degraded",
        FrameOutcome::Dropped => "dropped",
        FrameOutcome::Cancelled => "cancelled",
        FrameOutcome::Expired => "expired",
        FrameOutcome::Error => "error",
        FrameOutcome::ConnectionLost => "connection_lost",
    }
}

async fn answer(frame: Submitted, delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match echo::echo(&frame.message) {
        // It may have ended by itself.
        Ok(result) => drop(frame.answer.complete(result)),
        Err(error) => {
            let text = format!("the frame cannot be sent back: {error}");
            frame.answer.fail(ErrorCode::UnsupportedCapability, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::ServeArgs;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: ServeArgs,
    }

    #[test]
    fn a_session_may_have_as_many_frames_answered_as_it_may_have_in_flight() {
        for (frames, answered) in [("1", 1), ("64", 64), ("0", 256)] {
            let line = ["serve", "--max-concurrent-frames", frames];
            let options = Program::parse_from(line).args.serve_options();
            assert_eq!(options.session_frames_max, answered, "{frames}");
        }
    }
}
