//! `assets`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{DaemonArgs, EXIT_STATUS};
use crate::args::at_least_one;
use crate::micro::go_duration;

const GC_HELP: &str = "\
Examples:
  nodewire assets gc --dry-run           # what would go
  nodewire assets gc --older-than 168h

What came or was used since the oldest running run began is kept.
Exit status: 0 done, 1 it failed, 2 wrong usage, 3 the daemon is not running or cannot be reached, 130 interrupted.";

#[derive(Debug, Args)]
pub(crate) struct AssetsArgs {
    #[command(subcommand)]
    pub(crate) command: AssetsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AssetsCommand {
    /// List assets, the newest first.
    #[command(after_help = EXIT_STATUS)]
    Ls(AssetsLsArgs),
    /// Store files; their references are printed.
    #[command(after_help = EXIT_STATUS)]
    Put(AssetsPutArgs),
    /// Fetch an asset to a file, or to standard output.
    #[command(after_help = EXIT_STATUS)]
    Get(AssetsGetArgs),
    /// Delete assets.
    #[command(after_help = EXIT_STATUS)]
    Rm(AssetsRmArgs),
    /// Delete ephemeral assets that no kept run and no cached result refers to.
    #[command(after_help = GC_HELP)]
    Gc(AssetsGcArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AssetsLsArgs {
    /// Only this type: image, video, audio, mesh, text, file.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// Only those with this in their name.
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one())]
    pub(crate) limit: usize,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AssetsPutArgs {
    /// The files.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Their type, where it is not to follow from their names.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// Print the assets as JSON, one per line.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AssetsGetArgs {
    /// A uuid, sha256:… or nanocore://…
    #[arg(value_name = "ASSET")]
    pub(crate) asset: String,
    /// The file; standard output without it.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AssetsRmArgs {
    /// Uuids, sha256:… or nanocore://…
    #[arg(value_name = "ASSET", required = true)]
    pub(crate) assets: Vec<String>,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AssetsGcArgs {
    /// Only what was not used for so long: `90m`, `24h`, or seconds.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = go_duration)]
    pub(crate) older_than: Duration,
    /// Delete nothing, only tell what would be deleted.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}
