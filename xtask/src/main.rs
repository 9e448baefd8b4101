//! Repository tasks. `cargo xtask --help` lists them.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "this is a command-line program")]

mod bench;
mod command;
mod peers;
mod rules;
mod sans_io;
mod test;
mod tidy;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Repository tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Sets up what the tests need, then runs all of them, the documentation's examples and the README's example.
    Test {
        /// Skip the README's example, which needs a release build.
        #[arg(long)]
        no_example: bool,
        /// Passed to `cargo test`, such as `-p nanograph`.
        #[arg(last = true)]
        cargo_args: Vec<String>,
    },
    /// Checks the rules of ARCHITECTURE.md that a tool can check.
    Tidy,
    /// Installs the real peers under target/peers, without running anything.
    Peers {
        /// Unpack a nats-server of our own even where the machine has one.
        #[arg(long)]
        own_nats_server: bool,
    },
    /// Runs a bench beside its peers, in release mode: `cargo xtask bench nanograph`.
    Bench {
        /// Which one; without a name, lists them.
        name: Option<String>,
        /// Writes the results as JSON too.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Passed to the bench itself.
        #[arg(last = true)]
        bench_args: Vec<String>,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().task {
        Task::Test {
            no_example,
            cargo_args,
        } => test::run(&cargo_args, !no_example),
        Task::Tidy => tidy::run(),
        Task::Peers { own_nats_server } => install_peers(own_nats_server),
        Task::Bench {
            name,
            json,
            bench_args,
        } => bench::run(name.as_deref(), json.as_deref(), &bench_args),
    }
}

fn install_peers(own_nats_server: bool) -> anyhow::Result<()> {
    if own_nats_server {
        peers::unpack_nats_server()?;
    }
    peers::install()
}
