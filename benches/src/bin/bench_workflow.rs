//! `cargo xtask bench workflow`: what the workflow engine costs per step, with nodes that do nothing.

#![expect(clippy::print_stdout, reason = "a program's output")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use nanocore::workflow::{Graph, InProcess, ServerPool};
use nodewire_bench::nanograph::{Load, serve_ours};
use nodewire_bench::process::{ServerProcess, machine_cpu_seconds, process_cpu_seconds};
use nodewire_bench::report::{Better, Samples, Subjects, median, table, write_json};
use nodewire_bench::workflow::{
    Managed, Timed, chain_in_process, chain_of_echoes, check, grid, nodes_in_process,
    nodes_of_server, run, sync_us,
};

/// Measures the workflow engine.
#[derive(Debug, Parser)]
struct Args {
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often each graph is run.
    #[arg(long, default_value_t = 101)]
    rounds: usize,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program does when it starts itself again.
#[derive(Debug, Clone, Copy, Subcommand)]
enum Role {
    #[command(hide = true)]
    NodeServer,
}

/// Name, width and depth; 400 steps each.
const GRAPHS: [(&str, u64, u64); 2] = [("chain of 400", 1, 400), ("20 wide, 20 deep", 20, 20)];

/// How long a sample of the bare wire takes.
const WIRE_SAMPLE: Duration = Duration::from_millis(60);

/// Records put on the disk per round.
const SYNCS: usize = 100;

const OURS: &str = "ours";
const LIMIT: &str = "limit";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.role {
        Some(Role::NodeServer) => serve_ours(|address| println!("listening {address}")).await,
        None => measure(&args).await,
    }
}

async fn measure(args: &Args) -> anyhow::Result<()> {
    let mut samples = Samples::new("workflow");
    let nodes = Arc::new(nodes_in_process()?);
    let server = ServerProcess::this_program(&["node-server"], None)?;
    let server_nodes = Arc::new(nodes_of_server(&server.address).await?);
    // On the disk where cargo builds, as a data folder is on one; the system's own for temporary files may be memory.
    let folder = tempfile::tempdir_in(std::env::current_exe()?.parent().context("a folder")?)?;
    let managed = Managed::start(folder.path().join("local.db"), Arc::clone(&nodes)).await?;
    let remote = Managed::start(folder.path().join("remote.db"), Arc::clone(&server_nodes)).await?;
    let (begin, foreign) = (std::time::Instant::now(), ForeignCpu::start(&server)?);
    for _ in 0..args.rounds {
        in_process(&mut samples, &nodes).await?;
        over_websocket(&mut samples, &server_nodes, &server.address).await?;
        durable(&mut samples, &managed, folder.path()).await?;
        end_to_end(&mut samples, &remote).await?;
    }
    let large = grid(100, 100)?;
    for _ in 0..args.rounds.min(11) {
        let time = check(&nodes, &large).as_secs_f64() * 1e3;
        samples.add("10000 nodes, check", "ms", Better::Lower, OURS, time);
    }
    let foreign_cores = foreign.seconds(&server)? / begin.elapsed().as_secs_f64();
    // There is no peer: the vendor's orchestrator cannot be had.
    let rows = samples.rows(&Subjects {
        ours: OURS,
        peer: ("", ""),
        limit: LIMIT,
    });
    print!("{}", table(&rows));
    println!(
        "Limits: of a step over WebSocket, the same request on a bare socket to the same server; of a durable step, 200 \
         bytes appended and synced to the same disk."
    );
    println!("Published for chains of 400 light steps: 4.3 to 39 s (engines of Temporal's class).");
    println!("Other programs used {foreign_cores:.2} cores on average.");
    args.json
        .as_ref()
        .map_or(Ok(()), |path| write_json(&rows, path))
}

async fn in_process(samples: &mut Samples, nodes: &Arc<Timed<InProcess>>) -> anyhow::Result<()> {
    for (name, width, depth) in GRAPHS {
        let time = run(nodes, &grid(width, depth)?).await?;
        let per_step = |time: Duration| time.as_secs_f64() * 1e6 / 400.0;
        samples.add(name, "µs/step", Better::Lower, OURS, per_step(time.steps));
        let planning = format!("{name}, check and plan");
        let start = per_step(time.start);
        samples.add(&planning, "µs/node", Better::Lower, OURS, start);
        if width == 1 {
            let p50 = p50_us(time.between);
            samples.add("step in process", "p50 µs", Better::Lower, OURS, p50);
        }
    }
    Ok(())
}

/// A step on a node server, and what the same request and replies take on a socket without an engine.
async fn over_websocket(
    samples: &mut Samples,
    nodes: &Arc<Timed<ServerPool>>,
    address: &str,
) -> anyhow::Result<()> {
    const STEP: &str = "step over WebSocket";
    let time = run(nodes, &Graph::parse(&chain_of_echoes(400))?).await?;
    samples.add(STEP, "p50 µs", Better::Lower, OURS, p50_us(time.between));
    let load = Load {
        outstanding: 1,
        time: WIRE_SAMPLE,
        fresh_ids: true,
    };
    let address = address.to_owned();
    let bare = tokio::task::spawn_blocking(move || load.run(&address)).await??;
    samples.add(STEP, "p50 µs", Better::Lower, LIMIT, bare.p50_us);
    Ok(())
}

/// A step that is on the disk before the next begins, and the least that puts anything there.
async fn durable(
    samples: &mut Samples,
    managed: &Managed<InProcess>,
    folder: &Path,
) -> anyhow::Result<()> {
    const STEP: &str = "durable step in process";
    let time = managed.run(&chain_in_process(400), true).await?;
    samples.add(STEP, "p50 µs", Better::Lower, OURS, p50_us(time.between));
    let mut file = File::create(folder.join("records"))?;
    let syncs = (0..SYNCS).map(|_| sync_us(&mut file));
    let p50 = median(&syncs.collect::<Result<Vec<_>, _>>()?).context("there are some")?;
    samples.add(STEP, "p50 µs", Better::Lower, LIMIT, p50);
    Ok(())
}

/// From a request to the run's end: what a client waits for, but for its own HTTP.
async fn end_to_end(samples: &mut Samples, managed: &Managed<ServerPool>) -> anyhow::Result<()> {
    for (name, is_durable) in [
        ("400 steps on a node server, end to end", false),
        ("400 steps on a node server, durable, end to end", true),
    ] {
        let time = managed.run(&chain_of_echoes(400), is_durable).await?;
        let seconds = (time.start + time.steps).as_secs_f64();
        samples.add(name, "s", Better::Lower, OURS, seconds);
    }
    Ok(())
}

fn p50_us(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times
        .get(times.len() / 2)
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}

/// What others do to the processors meanwhile.
struct ForeignCpu(f64);

impl ForeignCpu {
    fn start(server: &ServerProcess) -> anyhow::Result<Self> {
        Self::now(server).map(Self)
    }

    fn now(server: &ServerProcess) -> anyhow::Result<f64> {
        let own = process_cpu_seconds(std::process::id())? + server.cpu_seconds()?;
        Ok(machine_cpu_seconds()? - own)
    }

    fn seconds(&self, server: &ServerProcess) -> anyhow::Result<f64> {
        Ok((Self::now(server)? - self.0).max(0.0))
    }
}
