//! `cargo xtask bench cancel`: how soon a cancellation reaches the running handler, from each door.

#![expect(clippy::print_stdout, reason = "a program's output")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use fastrand::Rng;
use nodewire::capability::Wire;
use nodewire_bench::cancel::{Path, Race, STEPS, Site};
use nodewire_bench::process::{machine_cpu_seconds, process_cpu_seconds};
use nodewire_bench::report::write_json;
use nodewire_testkit::NatsServer;
use serde::Serialize;

/// Measures cancellations from each door, directly and through a workflow.
#[derive(Debug, Parser)]
struct Args {
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Cancellations of each wire and path.
    #[arg(long, default_value_t = 500)]
    times: usize,
    /// What random numbers begin with.
    #[arg(long, default_value_t = 8)]
    seed: u64,
}

/// What 99 of 100 cancellations through the workflow may take, in ms.
const TARGET_MS: f64 = 10.0;

#[derive(Debug, Serialize)]
struct Row {
    wire: &'static str,
    path: &'static str,
    cancellations: usize,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

#[derive(Debug, Serialize)]
struct RaceRow {
    wire: &'static str,
    cancelled: u64,
    late: u64,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Line {
    Time(Row),
    Race(RaceRow),
}

const PATHS: [(Path, &str); 2] = [(Path::Direct, "direct"), (Path::Workflow, "workflow")];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let broker = NatsServer::start().await?;
    let mut site = Site::start(&broker.url()).await?;
    let (begin, foreign) = (Instant::now(), foreign_seconds()?);
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); Wire::ALL.len() * PATHS.len()];
    let mut callers = Vec::new();
    for wire in Wire::ALL {
        callers.push(site.caller(wire).await?);
    }
    // In turn, so that whatever else the machine does hits all alike.
    for _ in 0..args.times {
        for (place, caller) in callers.iter().enumerate() {
            for (step, (path, _)) in PATHS.into_iter().enumerate() {
                let time = site.cancel(caller, path).await?;
                times[place * PATHS.len() + step].push(time);
            }
        }
    }
    let mut rng = Rng::with_seed(args.seed);
    let mut lines: Vec<_> = rows(&mut times).map(Line::Time).collect();
    for (wire, caller) in Wire::ALL.into_iter().zip(&callers) {
        let Race { cancelled, late } = site.race(caller, &mut rng, args.times as u64).await?;
        let wire = wire.name();
        lines.push(Line::Race(RaceRow {
            wire,
            cancelled,
            late,
        }));
    }
    let cores = (foreign_seconds()? - foreign).max(0.0) / begin.elapsed().as_secs_f64();
    report(&lines, &site, cores);
    args.json
        .as_ref()
        .map_or(Ok(()), |path| write_json(&lines, path))
}

/// Of everybody else; the broker's are among them.
fn foreign_seconds() -> anyhow::Result<f64> {
    Ok(machine_cpu_seconds()? - process_cpu_seconds(std::process::id())?)
}

fn rows(times: &mut [Vec<Duration>]) -> impl Iterator<Item = Row> {
    let named = Wire::ALL
        .into_iter()
        .flat_map(|wire| PATHS.into_iter().map(move |(_, path)| (wire.name(), path)));
    named.zip(times).map(|((wire, path), times)| {
        times.sort_unstable();
        let at = |hundredths: usize| {
            let time = times.get(times.len().saturating_sub(1) * hundredths / 100);
            time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        Row {
            wire,
            path,
            cancellations: times.len(),
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: at(100),
        }
    })
}

fn report(lines: &[Line], site: &Site, foreign_cores: f64) {
    println!(
        "From the cancellation at the door to the handler, in ms; `workflow`: the third of {STEPS} steps on a node server.\n"
    );
    println!(
        "{:12} {:9} {:>6} {:>8} {:>8} {:>8}",
        "wire", "path", "n", "p50", "p99", "max"
    );
    for line in lines {
        if let Line::Time(row) = line {
            println!(
                "{:12} {:9} {:>6} {:>8.3} {:>8.3} {:>8.3}",
                row.wire, row.path, row.cancellations, row.p50_ms, row.p99_ms, row.max_ms
            );
        }
    }
    println!("\nCancellations at about the time of the end: in time, or the result was late.\n");
    println!("{:12} {:>9} {:>9}", "wire", "in time", "late");
    for line in lines {
        if let Line::Race(row) = line {
            println!("{:12} {:>9} {:>9}", row.wire, row.cancelled, row.late);
        }
    }
    println!(
        "\nReports of steps that came after the end of their run, dropped and counted: {}.",
        site.late_reports()
    );
    println!("Target: p99 of at most {TARGET_MS} ms.");
    println!("Other programs used {foreign_cores:.2} cores on average.");
}
