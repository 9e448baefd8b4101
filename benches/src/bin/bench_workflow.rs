//! `cargo xtask bench workflow`: what the workflow engine costs per step, with nodes that do nothing.

#![expect(clippy::print_stdout, reason = "a program's output")]

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use nodewire_bench::report::{Better, Samples, Subjects, table, write_json};
use nodewire_bench::workflow::{Nodes, grid};

/// Measures the workflow engine.
#[derive(Debug, Parser)]
struct Args {
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often each graph is run.
    #[arg(long, default_value_t = 101)]
    rounds: usize,
}

/// Name, width and depth; 400 steps each.
const GRAPHS: [(&str, u64, u64); 2] = [("chain of 400", 1, 400), ("20 wide, 20 deep", 20, 20)];

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let nodes = Nodes::new()?;
    let mut samples = Samples::new("workflow");
    for _ in 0..args.rounds {
        for (name, width, depth) in GRAPHS {
            let time = nodes.run(&grid(width, depth)?).await?;
            let per_step = |time: Duration| time.as_secs_f64() * 1e6 / 400.0;
            samples.add(name, "µs/step", Better::Lower, "ours", per_step(time.steps));
            let planning = format!("{name}, check and plan");
            samples.add(
                &planning,
                "µs/node",
                Better::Lower,
                "ours",
                per_step(time.start),
            );
        }
    }
    let large = grid(100, 100)?;
    for _ in 0..args.rounds.min(11) {
        let time = nodes.check(&large).as_secs_f64() * 1e3;
        samples.add("10000 nodes, check", "ms", Better::Lower, "ours", time);
    }
    // There is no peer: the vendor's orchestrator cannot be had.
    let rows = samples.rows(&Subjects {
        ours: "ours",
        peer: ("", ""),
        limit: "",
    });
    print!("{}", table(&rows));
    args.json.map_or(Ok(()), |path| write_json(&rows, &path))
}
