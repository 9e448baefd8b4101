//! `nodewire nnrp`: NNRP/1 from the command line. spec: nnrp-wire, nnrp-session 2.6, 7, 8

mod answer;
mod bench;
mod compare;
mod inspect;
mod lines;
mod names;
mod numbers;
mod output;
mod probe;
mod reading;
mod record;
mod recording;
mod refusal;
mod replay;
mod serve;
mod smoke;
mod stats_page;
mod time;
mod top;
mod tree;
mod trust;
mod vectors;

pub(crate) use time::{Histogram, micros};

use clap::Subcommand;

use crate::failure::Failure;

const NNRP_HELP: &str = "\
Exit status: 0 done; 1 a packet, manifest, object or answer is not what it must be, or the output cannot be written; 2 wrong usage, or
a file that cannot be read; 3 a server cannot be reached, or an address not be listened on; 130 interrupted.";

/// What to do.
#[derive(Debug, clap::Args)]
#[command(after_help = NNRP_HELP)]
pub(crate) struct NnrpArgs {
    #[command(subcommand)]
    command: NnrpCommand,
}

#[derive(Debug, Subcommand)]
enum NnrpCommand {
    /// Show what the packets of a stream say, or of lines with a packet each.
    Inspect(inspect::InspectArgs),
    /// Print the manifest of packets that implementations in all languages agree on, or check one.
    Vectors(vectors::VectorsArgs),
    /// Compare the size of a packet, or of a frame or result as one, with another encoding's.
    Compare(compare::CompareArgs),
    /// One exchange with fixed content, as a client or as a server.
    Smoke(Box<smoke::SmokeArgs>),
    /// Compare the transports of a server.
    Probe(Box<probe::ProbeArgs>),
    /// Answer probes.
    ProbeServer(Box<probe::ProbeServerArgs>),
    /// Be a server that sends back what it gets.
    Serve(Box<serve::ServeArgs>),
    /// Measure how fast a server answers.
    Bench(Box<bench::BenchArgs>),
    /// Be a proxy that writes down what goes by.
    Record(Box<record::RecordArgs>),
    /// Play a recorded session again, and compare the answers.
    Replay(Box<replay::ReplayArgs>),
    /// Watch how a server is.
    Top(Box<top::TopArgs>),
}

pub(crate) async fn nnrp(args: NnrpArgs) -> Result<(), Failure> {
    match args.command {
        NnrpCommand::Inspect(args) => inspect::inspect(&args),
        NnrpCommand::Vectors(args) => vectors::vectors(&args),
        NnrpCommand::Compare(args) => compare::compare(&args),
        NnrpCommand::Smoke(args) => Box::pin(smoke::smoke(*args)).await,
        NnrpCommand::Probe(args) => Box::pin(probe::probe_endpoint(*args)).await,
        NnrpCommand::ProbeServer(args) => Box::pin(probe::probe_server(*args)).await,
        NnrpCommand::Serve(args) => Box::pin(serve::serve(*args)).await,
        NnrpCommand::Bench(args) => Box::pin(bench::bench(*args)).await,
        NnrpCommand::Record(args) => Box::pin(record::record(*args)).await,
        NnrpCommand::Replay(args) => Box::pin(replay::replay(*args)).await,
        NnrpCommand::Top(args) => Box::pin(top::top(*args)).await,
    }
}
