//! `nodewire nnrp`: packets of NNRP/1 from the command line. spec: nnrp-wire, nnrp-session 7

mod answer;
mod compare;
mod inspect;
mod lines;
mod names;
mod numbers;
mod output;
mod reading;
mod refusal;
mod tree;
mod vectors;

use clap::Subcommand;

use crate::failure::Failure;

const NNRP_HELP: &str = "\
Exit status: 0 done; 1 a packet, manifest or object is not what it must be, or the output cannot be written; 2 wrong usage, or a
file that cannot be read.";

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
}

pub(crate) fn nnrp(args: NnrpArgs) -> Result<(), Failure> {
    match args.command {
        NnrpCommand::Inspect(args) => inspect::inspect(&args),
        NnrpCommand::Vectors(args) => vectors::vectors(&args),
        NnrpCommand::Compare(args) => compare::compare(&args),
    }
}
