//! `nodewire bench`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nodewire::capability::Wire;
use nodewire::client::{Call, Remote};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::chosen::{self, Chosen, Wanted};
use super::places::{PlaceFlags, WHERE, wire};
use super::show;
use super::values::{self, VALUES};
use crate::failure::Failure;
use crate::micro::Table;
use crate::nnrp::Histogram;
use crate::signals::Signals;
use crate::terminal;

const HELP: &str = "\
Examples:
  nodewire bench echo text=hello --via nats --in-flight 64 --duration 10 --nats nats://127.0.0.1:4222
  nodewire bench echo text=hello --count 10000 --json --http http://127.0.0.1:8080

Times are those of a caller: from the request to its end, over one connection (over HTTP, one for each that is in flight). \
Progress and partial outputs are not asked for. Ctrl-C ends it, and what was measured is shown.

Exit status: 0 executions completed, at least one; 1 none did; 2 wrong usage, or no server has the node; 3 no server was reached.";

#[derive(Debug, clap::Args)]
#[command(after_help = format!("{VALUES}\n\n{HELP}\n\n{WHERE}"))]
pub(crate) struct BenchArgs {
    /// The node's uid.
    #[arg(value_name = "NODE")]
    node: String,
    /// What goes in, each time the same.
    #[arg(value_name = "KEY=VALUE")]
    inputs: Vec<String>,
    /// Set a parameter. May be repeated.
    #[arg(short, long, value_name = "KEY=VALUE")]
    param: Vec<String>,
    /// On this wire; else the first that has the node, as `call` chooses.
    #[arg(long, value_name = "WIRE", value_parser = wire)]
    via: Option<Wire>,
    /// Executions at once.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1024))]
    in_flight: u64,
    /// How long, in seconds; 5 unless --count is given.
    #[arg(long, value_name = "SECONDS", value_parser = crate::micro::seconds, conflicts_with = "count")]
    duration: Option<Duration>,
    /// How many executions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// The time of each execution, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = crate::micro::seconds)]
    timeout: Duration,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    places: PlaceFlags,
}

const DURATION: Duration = Duration::from_secs(5);

pub(super) async fn bench(args: BenchArgs) -> Result<(), Failure> {
    values::check(&args.inputs, &args.param)?;
    let signals = Signals::listen()?;
    let wanted = Wanted {
        call: Call::new(args.node.as_str()).quiet().timeout(args.timeout),
        inputs: &args.inputs,
        parameters: &args.param,
        via: args.via,
    };
    let work = async |chosen: Chosen| load(&args, &chosen, &signals).await;
    chosen::with_node(&args.places, wanted, &signals, work).await
}

async fn load(args: &BenchArgs, chosen: &Chosen, signals: &Signals) -> Result<(), Failure> {
    let over = CancellationToken::new();
    let left = Arc::new(AtomicU64::new(args.count.unwrap_or(u64::MAX)));
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..args.in_flight {
        let worker = Worker {
            remote: chosen.remote.clone(),
            call: chosen.call.clone(),
            left: Arc::clone(&left),
            over: over.clone(),
        };
        workers.spawn(worker.run());
    }
    let end = async {
        match args.count {
            Some(_) => std::future::pending().await,
            None => tokio::time::sleep(args.duration.unwrap_or(DURATION)).await,
        }
    };
    let all = async {
        let mut measured = Measured::default();
        while let Some(part) = workers.join_next().await {
            // A worker does not panic, and is not aborted here.
            measured.merge(part.unwrap_or_default());
        }
        measured
    };
    tokio::pin!(all);
    let measured = tokio::select! {
        measured = &mut all => measured,
        () = end => {
            over.cancel();
            all.await
        }
        () = signals.stop.cancelled() => {
            over.cancel();
            all.await
        }
    };
    let elapsed = begun.elapsed();
    report(args, chosen, &measured, elapsed);
    if measured.times.count() == 0 {
        let kinds: Vec<_> = measured.errors.keys().copied().collect();
        return Err(Failure::node(format!(
            "no execution completed: {}",
            kinds.join(", ")
        )));
    }
    Ok(())
}

/// One of those in flight.
struct Worker {
    remote: Remote,
    call: Call,
    left: Arc<AtomicU64>,
    over: CancellationToken,
}

impl Worker {
    async fn run(self) -> Measured {
        let mut measured = Measured::default();
        while !self.over.is_cancelled() && self.takes_one() {
            let begun = Instant::now();
            match self.remote.call(self.call.clone()).await {
                Ok(_) => measured.times.add(begun.elapsed()),
                Err(error) => {
                    *measured.errors.entry(error.kind().name()).or_default() += 1;
                    measured.last_error.get_or_insert_with(|| error.to_string());
                }
            }
        }
        measured
    }

    fn takes_one(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }
}

#[derive(Debug, Default)]
struct Measured {
    times: Histogram,
    errors: BTreeMap<&'static str, u64>,
    last_error: Option<String>,
}

impl Measured {
    fn merge(&mut self, other: Self) {
        self.times.merge(&other.times);
        for (kind, count) in other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        self.last_error = self.last_error.take().or(other.last_error);
    }
}

fn report(args: &BenchArgs, chosen: &Chosen, measured: &Measured, elapsed: Duration) {
    let times = &measured.times;
    let completed = times.count();
    let failed: u64 = measured.errors.values().sum();
    #[expect(clippy::cast_precision_loss, reason = "it is a rate")]
    let rate = completed as f64 / elapsed.as_secs_f64().max(1e-6);
    let max_us = (completed > 0).then(|| times.max_us());
    let (p50, p90, p99) = (
        times.per_mille(500),
        times.per_mille(900),
        times.per_mille(990),
    );
    let wire = chosen.remote.wire().name();
    if args.json {
        return terminal::json(json!({
            "type": "bench",
            "node": args.node,
            "wire": wire,
            "server": chosen.server,
            "in_flight": args.in_flight,
            "elapsed_us": show::as_micros(elapsed),
            "completed": completed,
            "failed": failed,
            "rate": rate,
            "p50_us": p50,
            "p90_us": p90,
            "p99_us": p99,
            "max_us": max_us,
            "errors": measured.errors,
            "error": measured.last_error,
        }));
    }
    let names = [
        "NODE",
        "WIRE",
        "IN FLIGHT#",
        "COMPLETED#",
        "RATE/S#",
        "P50#",
        "P90#",
        "P99#",
        "MAX#",
        "FAILED#",
    ];
    let mut table = Table::new(&names);
    table.row([
        args.node.clone(),
        wire.to_owned(),
        args.in_flight.to_string(),
        completed.to_string(),
        format!("{rate:.0}"),
        show::time(p50),
        show::time(p90),
        show::time(p99),
        show::time(max_us),
        failed.to_string(),
    ]);
    table.print();
    for (kind, count) in &measured.errors {
        terminal::result(format_args!("{kind}: {count}"));
    }
    if let Some(error) = &measured.last_error {
        terminal::say(format_args!(
            "one of the errors: {}",
            terminal::plain(error)
        ));
    }
}
