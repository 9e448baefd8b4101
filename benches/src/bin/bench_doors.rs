//! `cargo xtask bench doors`: what a door adds to its transport, for a node that does nothing.

#![expect(clippy::print_stdout, reason = "a program's output")]

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use nodewire::capability::Wire;
use nodewire_bench::doors::{Addresses, Kind, Load, Outcome, serve_bare, serve_nodes};
use nodewire_bench::process::{
    ServerProcess, children_cpu_seconds, machine_cpu_seconds, put_on, this_program,
};
use nodewire_bench::report::{median, write_json};
use nodewire_testkit::NatsServer;
use serde::Serialize;

/// Measures what each wire's binding and the executor add to a bare echo on the same transport.
#[derive(Debug, Parser)]
struct Args {
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often each is measured.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// How long one measurement takes, in milliseconds.
    #[arg(long, default_value_t = 500)]
    sample_ms: u64,
    /// Only this wire.
    #[arg(long)]
    wire: Option<String>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program does when it starts itself again.
#[derive(Debug, Clone, Subcommand)]
enum Role {
    #[command(hide = true)]
    Nodes { broker_url: String },
    #[command(hide = true)]
    Bare { broker_url: String },
    #[command(hide = true)]
    Load,
}

/// What a door may add to the median, in µs.
const TARGET_US: f64 = 15.0;

/// Above this the times say more about the other programs.
const FOREIGN_CORES_MAX: f64 = 0.35;

/// Client, server and broker on one core, without the wake-up of an idle one; or wherever the system puts them.
const CASES: [(&str, Option<u32>); 2] = [("any core", None), ("one core", Some(0))];

#[derive(Debug, Serialize)]
struct Row {
    wire: &'static str,
    case: &'static str,
    bare_p50_us: f64,
    node_p50_us: f64,
    added_p50_us: f64,
    bare_p99_us: f64,
    node_p99_us: f64,
    added_p99_us: f64,
}

/// A round of one wire: without and with the door, at the same time.
#[derive(Debug, Clone, Copy)]
struct Pair {
    bare: Outcome,
    node: Outcome,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.role {
        None => runtime(true)?.block_on(measure(&args)),
        Some(Role::Load) => put_load(),
        Some(Role::Nodes { broker_url }) => {
            runtime(true)?.block_on(serve_nodes(&broker_url, announce))
        }
        Some(Role::Bare { broker_url }) => {
            runtime(true)?.block_on(serve_bare(&broker_url, announce))
        }
    }
}

/// Servers run on the runtime that authors get by default, the echoes too; the load on one thread.
fn runtime(threads: bool) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match threads {
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    };
    builder.enable_all().build()
}

fn announce(addresses: &str) {
    println!("listening {addresses}");
}

/// The load of one sample, in a process of its own so that it can be put on a core.
fn put_load() -> anyhow::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_line(&mut input)?;
    let load: Load = serde_json::from_str(&input)?;
    let outcome = runtime(false)?.block_on(load.run())?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

struct Servers {
    _processes: [ServerProcess; 2],
    bare: Addresses,
    nodes: Addresses,
}

impl Servers {
    fn start(broker_url: &str, core: Option<u32>) -> anyhow::Result<Self> {
        let bare = ServerProcess::this_program(&["bare", broker_url], core)?;
        let nodes = ServerProcess::this_program(&["nodes", broker_url], core)?;
        Ok(Self {
            bare: Addresses::read(&bare.address)?,
            nodes: Addresses::read(&nodes.address)?,
            _processes: [bare, nodes],
        })
    }

    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let seconds = self._processes.iter().map(ServerProcess::cpu_seconds);
        seconds.sum()
    }
}

async fn measure(args: &Args) -> anyhow::Result<()> {
    let wires = Wire::ALL.into_iter();
    let wires: Vec<_> = wires
        .filter(|wire| args.wire.as_ref().is_none_or(|only| only == wire.name()))
        .collect();
    ensure!(!wires.is_empty(), "there is no such wire");
    let (mut brokers, mut servers) = (Vec::new(), Vec::new());
    for (case, core) in CASES {
        // Each its own: on one, requests of one case would be answered by the servers of the other, too.
        let mut broker = NatsServer::start().await?;
        if let Some(core) = core {
            put_on(broker.process().id(), core)?;
        }
        servers.push((case, core, Servers::start(&broker.url(), core)?));
        brokers.push(broker);
    }
    let (mut pairs, mut foreign) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        for (case, core, servers) in &servers {
            for &wire in &wires {
                let busy = Busy::start(servers)?;
                let pair = pair(args, wire, servers, *core, round % 2 == 1)?;
                foreign.push(busy.foreign_cores(servers)?);
                pairs.push((*case, wire, pair));
            }
        }
        println!("round {} of {}", round + 1, args.rounds);
    }
    let rows = rows(&pairs, &wires);
    report(&rows, &foreign);
    args.json
        .as_ref()
        .map_or(Ok(()), |path| write_json(&rows, path))
}

/// Every other round the door goes first.
fn pair(
    args: &Args,
    wire: Wire,
    servers: &Servers,
    core: Option<u32>,
    door_first: bool,
) -> anyhow::Result<Pair> {
    let sample = |kind: Kind| {
        let addresses = match kind {
            Kind::Bare => &servers.bare,
            Kind::Node => &servers.nodes,
        };
        let load = Load {
            wire: wire.name().to_owned(),
            kind,
            address: addresses.of(wire)?.to_owned(),
            time: Duration::from_millis(args.sample_ms),
        };
        run_load(&load, core).with_context(|| format!("{wire}, {kind:?}"))
    };
    if door_first {
        let node = sample(Kind::Node)?;
        let bare = sample(Kind::Bare)?;
        return Ok(Pair { bare, node });
    }
    let bare = sample(Kind::Bare)?;
    let node = sample(Kind::Node)?;
    Ok(Pair { bare, node })
}

fn run_load(load: &Load, core: Option<u32>) -> anyhow::Result<Outcome> {
    let mut command = this_program(&["load"], core)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    serde_json::to_writer(child.stdin.take().context("its input is piped")?, load)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "the load failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Processor time before a pair.
struct Busy {
    at: Instant,
    machine: f64,
    own: f64,
}

impl Busy {
    fn start(servers: &Servers) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            machine: machine_cpu_seconds()?,
            own: Self::own(servers)?,
        })
    }

    fn own(servers: &Servers) -> anyhow::Result<f64> {
        Ok(servers.cpu_seconds()? + children_cpu_seconds()?)
    }

    /// The broker counts among them, which is idle but for its own wire.
    fn foreign_cores(&self, servers: &Servers) -> anyhow::Result<f64> {
        let own = Self::own(servers)? - self.own;
        let others = machine_cpu_seconds()? - self.machine - own;
        Ok(others.max(0.0) / self.at.elapsed().as_secs_f64())
    }
}

fn rows(pairs: &[(&'static str, Wire, Pair)], wires: &[Wire]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (case, _) in CASES {
        for &wire in wires {
            let of = |value: fn(&Pair) -> f64| {
                let these = pairs.iter().filter(|pair| (pair.0, pair.1) == (case, wire));
                let values: Vec<_> = these.map(|(_, _, pair)| value(pair)).collect();
                median(&values).unwrap_or(f64::NAN)
            };
            rows.push(Row {
                wire: wire.name(),
                case,
                bare_p50_us: of(|pair| pair.bare.p50_us),
                node_p50_us: of(|pair| pair.node.p50_us),
                added_p50_us: of(|pair| pair.node.p50_us - pair.bare.p50_us),
                bare_p99_us: of(|pair| pair.bare.p99_us),
                node_p99_us: of(|pair| pair.node.p99_us),
                added_p99_us: of(|pair| pair.node.p99_us - pair.bare.p99_us),
            });
        }
    }
    rows
}

/// MCP without the door is a tool of its SDK; what that costs should be seen, too.
fn tell_sdk(rows: &[Row]) {
    for (case, _) in CASES {
        let bare = |wire: Wire| {
            let mut rows = rows.iter();
            let row = rows.find(|row| row.case == case && row.wire == wire.name())?;
            Some(row.bare_p50_us)
        };
        if let (Some(sdk), Some(http)) = (bare(Wire::Mcp), bare(Wire::Http)) {
            let more = sdk - http;
            println!("MCP, {case}: its SDK alone takes {more:.1} µs more than an echo over HTTP.");
        }
    }
}

fn report(rows: &[Row], foreign: &[f64]) {
    println!(
        "\nA node that does nothing, and a bare echo on the same transport; µs, medians over the rounds, one request at a time.\n"
    );
    println!(
        "{:12} {:9} {:>9} {:>9} {:>9}   {:>9} {:>9} {:>9}",
        "wire", "case", "bare p50", "node p50", "added", "bare p99", "node p99", "added"
    );
    for row in rows {
        println!(
            "{:12} {:9} {:>9.1} {:>9.1} {:>9.1}   {:>9.1} {:>9.1} {:>9.1}",
            row.wire,
            row.case,
            row.bare_p50_us,
            row.node_p50_us,
            row.added_p50_us,
            row.bare_p99_us,
            row.node_p99_us,
            row.added_p99_us,
        );
    }
    println!("\nTarget: at most {TARGET_US} µs added to the median.");
    tell_sdk(rows);
    let worst = foreign.iter().copied().fold(0.0, f64::max);
    let usual = median(foreign).unwrap_or(0.0);
    println!(
        "Other programs used {usual:.2} cores during the samples (median), {worst:.2} at worst."
    );
    if usual > FOREIGN_CORES_MAX {
        println!("That is too much to compare times: repeat it on a quiet machine.");
    }
}
