//! `cargo xtask bench nanograph`: our node server, the Python SDK's, and a bare WebSocket server under the same load.

#![expect(clippy::print_stdout, reason = "a program's output")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use nodewire_bench::nanograph::{Load, Outcome, serve_limit, serve_ours, serve_without_executor};
use nodewire_bench::process::{
    ServerProcess, children_cpu_seconds, machine_cpu_seconds, this_program,
};
use nodewire_bench::report::{Better, Samples, Subjects, median, table, write_json};
use nodewire_testkit::{SdkVersion, free_port};

/// Measures node servers on the Nanograph wire.
#[derive(Debug, Parser)]
struct Args {
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often each server is measured in each case.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long one measurement takes, in milliseconds.
    #[arg(long, default_value_t = 1500)]
    sample_ms: u64,
    /// Only cases whose name contains this.
    #[arg(long)]
    case: Option<String>,
    /// The Python interpreter that has nanograph-sdk 0.1.22; `target/peers` by default.
    #[arg(long)]
    python: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program does when it starts itself again.
#[derive(Debug, Clone, Copy, Subcommand)]
enum Role {
    #[command(hide = true)]
    Ours,
    #[command(hide = true)]
    WithoutExecutor,
    #[command(hide = true)]
    Limit,
    #[command(hide = true)]
    Load,
}

struct Case {
    name: &'static str,
    outstanding: usize,
    fresh_ids: bool,
    /// Everything on one core: without the wake-up of an idle one, which is most of the time with one outstanding.
    one_core: bool,
}

const CASES: &[Case] = &[
    Case {
        name: "1 outstanding",
        outstanding: 1,
        fresh_ids: false,
        one_core: false,
    },
    Case {
        name: "16 outstanding",
        outstanding: 16,
        fresh_ids: false,
        one_core: false,
    },
    Case {
        name: "256 outstanding",
        outstanding: 256,
        fresh_ids: false,
        one_core: false,
    },
    Case {
        name: "16 outstanding, new instance ids",
        outstanding: 16,
        fresh_ids: true,
        one_core: false,
    },
    Case {
        name: "1 outstanding, one core",
        outstanding: 1,
        fresh_ids: false,
        one_core: true,
    },
    Case {
        name: "256 outstanding, one core",
        outstanding: 256,
        fresh_ids: false,
        one_core: true,
    },
];

/// Above this the rates say more about the other programs.
const FOREIGN_CORES_MAX: f64 = 0.35;

const OURS: &str = "ours";
const WITHOUT_EXECUTOR: &str = "without executor";
const PYTHON: &str = "python";
const LIMIT: &str = "limit";

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.role {
        None => measure(&args),
        Some(Role::Load) => put_load(),
        Some(Role::Ours) => runtime(true)?.block_on(serve_ours(announce)),
        Some(Role::WithoutExecutor) => runtime(true)?.block_on(serve_without_executor(announce)),
        Some(Role::Limit) => runtime(false)?.block_on(serve_limit(announce)),
    }
}

/// Ours runs on the runtime that authors get by default; the limit on one thread, where it is fastest.
fn runtime(threads: bool) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match threads {
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    };
    builder.enable_all().build()
}

fn announce(address: &str) {
    println!("listening {address}");
}

/// The load of one sample, in a process of its own so that it can be put on a core.
fn put_load() -> anyhow::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_line(&mut input)?;
    let (address, load): (String, Load) = serde_json::from_str(&input)?;
    println!("{}", serde_json::to_string(&load.run(&address)?)?);
    Ok(())
}

fn measure(args: &Args) -> anyhow::Result<()> {
    let python = args
        .python
        .clone()
        .map_or_else(|| SdkVersion::V0_1_22.python(), Ok)?;
    let wanted = |case: &&Case| {
        args.case
            .as_ref()
            .is_none_or(|part| case.name.contains(part.as_str()))
    };
    let cases: Vec<_> = CASES.iter().filter(wanted).collect();
    let any_core = cases
        .iter()
        .any(|case| !case.one_core)
        .then(|| Servers::start(&python, None))
        .transpose()?;
    let one_core = cases
        .iter()
        .any(|case| case.one_core)
        .then(|| Servers::start(&python, Some(0)))
        .transpose()?;
    let mut samples = Samples::new("nanograph");
    let mut foreign = Vec::new();
    for round in 1..=args.rounds {
        for case in &cases {
            let servers = if case.one_core { &one_core } else { &any_core };
            let servers = servers.as_ref().context("started for its cases")?;
            for (subject, server) in &servers.0 {
                let load = Load {
                    outstanding: case.outstanding,
                    time: Duration::from_millis(args.sample_ms),
                    fresh_ids: case.fresh_ids,
                };
                sample(&mut samples, &mut foreign, case, load, (subject, server))?;
            }
        }
        println!("round {round} of {}", args.rounds);
    }
    report(&samples, &foreign, args)
}

/// All servers, on any core or all on one.
struct Servers(Vec<(&'static str, ServerProcess)>);

impl Servers {
    fn start(python: &Path, core: Option<u32>) -> anyhow::Result<Self> {
        let project =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/testkit/peers/nanograph");
        Ok(Self(vec![
            (OURS, ServerProcess::this_program(&["ours"], core)?),
            (
                WITHOUT_EXECUTOR,
                ServerProcess::this_program(&["without-executor"], core)?,
            ),
            (
                PYTHON,
                ServerProcess::python(python, &project, free_port()?, core)?,
            ),
            (LIMIT, ServerProcess::this_program(&["limit"], core)?),
        ]))
    }
}

fn sample(
    samples: &mut Samples,
    foreign: &mut Vec<f64>,
    case: &Case,
    load: Load,
    (subject, server): (&str, &ServerProcess),
) -> anyhow::Result<()> {
    let start = (
        Instant::now(),
        server.cpu_seconds()?,
        children_cpu_seconds()?,
        machine_cpu_seconds()?,
    );
    let outcome = run_load(case, load, &server.address)
        .with_context(|| format!("{}, {subject}", case.name))?;
    let cpu_seconds = server.cpu_seconds()? - start.1;
    let others =
        machine_cpu_seconds()? - start.3 - cpu_seconds - (children_cpu_seconds()? - start.2);
    foreign.push(others.max(0.0) / start.0.elapsed().as_secs_f64());
    let rate = outcome.executions as f64 / outcome.seconds;
    samples.add(case.name, "exec/s", Better::Higher, subject, rate);
    samples.add(case.name, "p50 µs", Better::Lower, subject, outcome.p50_us);
    let executions = (outcome.executions + outcome.warm_up_executions) as f64;
    samples.add(
        case.name,
        "cpu µs",
        Better::Lower,
        subject,
        cpu_seconds * 1e6 / executions,
    );
    Ok(())
}

fn run_load(case: &Case, load: Load, address: &str) -> anyhow::Result<Outcome> {
    let mut command = this_program(&["load"], case.one_core.then_some(0))?;
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn()?;
    serde_json::to_writer(
        child.stdin.take().context("its input is piped")?,
        &(address, load),
    )?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "the load failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn report(samples: &Samples, foreign: &[f64], args: &Args) -> anyhow::Result<()> {
    let peer = (PYTHON, "nanograph-sdk 0.1.22");
    let rows = samples.rows(&Subjects {
        ours: OURS,
        peer,
        limit: LIMIT,
    });
    println!(
        "\nNode server (executor included); peer: {}; limit: bare tokio-tungstenite\n",
        peer.1
    );
    println!("{}", table(&rows));
    println!(
        "The protocol's part alone: no executor, and texts echoed unread, which the limit does read\n"
    );
    println!(
        "{}",
        table(&samples.rows(&Subjects {
            ours: WITHOUT_EXECUTOR,
            peer,
            limit: LIMIT
        }))
    );
    disturbance(foreign);
    if let Some(path) = &args.json {
        write_json(&rows, path)?;
    }
    Ok(())
}

/// Says how far the numbers can be trusted.
fn disturbance(foreign: &[f64]) {
    let worst = foreign.iter().copied().fold(0.0, f64::max);
    let usual = median(foreign).unwrap_or(0.0);
    println!(
        "Other programs used {usual:.2} cores during the samples (median), {worst:.2} at worst."
    );
    if usual > FOREIGN_CORES_MAX {
        println!(
            "That is too much to compare rates: trust the processor time per execution only, or repeat."
        );
    }
}
