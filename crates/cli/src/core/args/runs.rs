//! `runs` and `queue`.

use clap::{Args, Subcommand};

use super::{DaemonArgs, EXIT_STATUS};
use crate::args::at_least_one;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RunsArgs {
    #[command(subcommand)]
    pub(crate) command: RunsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List runs, the newest first.
    #[command(after_help = EXIT_STATUS, visible_alias = "list")]
    Ls(RunsLsArgs),
    /// Show a run and its nodes.
    #[command(after_help = EXIT_STATUS)]
    Show(OneRunArgs),
    /// Stop a run.
    #[command(after_help = EXIT_STATUS)]
    Abort(OneRunArgs),
    /// Run the same graph again.
    #[command(after_help = EXIT_STATUS)]
    Rerun(RerunArgs),
    /// Forget a run that has ended, or take one out of the queue.
    #[command(after_help = EXIT_STATUS)]
    Rm(OneRunArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunsLsArgs {
    /// Only runs in this state: queued, running, complete, error, aborted, interrupted.
    #[arg(long, value_name = "STATE")]
    pub(crate) status: Option<String>,
    /// Only runs that this client submitted.
    #[arg(long, value_name = "ID")]
    pub(crate) client: Option<String>,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one())]
    pub(crate) limit: usize,
    /// Go on behind the page that gave this.
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OneRunArgs {
    /// The run's id.
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RerunArgs {
    /// The run's id.
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Take over what was completed, and run only the rest.
    #[arg(long)]
    pub(crate) failed: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    /// Take all waiting runs out.
    #[arg(long, conflicts_with = "delete")]
    pub(crate) clear: bool,
    /// Take this waiting run out. May be repeated.
    #[arg(long, value_name = "RUN")]
    pub(crate) delete: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}
