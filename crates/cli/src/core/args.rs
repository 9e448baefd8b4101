//! What can be said to and about the daemon on the command line.

mod assets;
mod runs;
mod up;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) use self::assets::{
    AssetsArgs, AssetsCommand, AssetsGcArgs, AssetsGetArgs, AssetsLsArgs, AssetsPutArgs,
    AssetsRmArgs,
};
pub(crate) use self::runs::{OneRunArgs, QueueArgs, RerunArgs, RunsArgs, RunsCommand, RunsLsArgs};
pub(crate) use self::up::{DownArgs, LimitArgs, UpArgs};

const EXIT_STATUS: &str = "\
Exit status: 0 done, 1 it failed, 2 wrong usage or invalid, 3 the daemon is not running or cannot be reached, 130 interrupted.";

const REGISTER_HELP: &str = "\
Examples:
  nodewire register                      # the folder we are in
  nodewire register servers/image-tools --upgrade
  nodewire register . --fix              # writes a nanoserver.json that Python servers can read
  nodewire register --nats greeter       # all instances of a NATS service as one server

Needs no daemon; one that runs sees the new entry by itself and starts the server.
Exit status: 0 registered, 1 the installation failed (nothing is registered then), 2 the folder or its nanoserver.json is wrong.";

const LOGS_HELP: &str = "\
Examples:
  nodewire logs image-tools --tail 50
  nodewire logs image-tools -f
  nodewire logs image-tools --json | jq -r .text

Exit status: 0 done, 2 no such server, 3 the daemon is not running or cannot be reached, 130 interrupted.";

const RUNS_HELP: &str = "\
Examples:
  nodewire runs ls --status error
  nodewire runs ls --client editor-1
  nodewire runs show 3c1e…  --json
  nodewire runs rerun 3c1e… --failed     # finished nodes are not run again";

const SWITCH_HELP: &str = "\
Examples:
  nodewire disable image-tools upscaler
  nodewire enable image-tools

Works on the registry, without the daemon; one that runs follows it.
Exit status: 0 done, 1 it failed, 2 no such server.";

const DOWN_HELP: &str = "\
Examples:
  nodewire down
  nodewire down --timeout 5 --force      # kills it if it does not end by itself

Exit status: 0 ended, 1 it has not ended in time, 2 wrong usage, 3 the daemon is not running or cannot be reached, 130 interrupted.";

const ENV_HELP: &str = "\
Examples:
  nodewire env image-tools                       # all variables
  nodewire env image-tools HF_HOME               # one
  nodewire env image-tools HF_HOME /models       # set it
  nodewire env image-tools HF_HOME --unset

A daemon that runs restarts the server with what was changed.
What the daemon sets itself, such as PORT, DOMAIN and NANOCORE_TOKEN, cannot be set here.

Exit status: 0 done, 1 it failed, 2 no such server or variable, or a name that cannot be set.";

/// Commands that nodewire and nanocore share.
#[derive(Debug, Subcommand)]
pub(crate) enum CoreCommand {
    /// Register the node server in a folder: check it, install what it needs.
    #[command(after_help = REGISTER_HELP)]
    Register(RegisterArgs),
    /// Remove a node server from the registry; its files stay.
    #[command(after_help = EXIT_STATUS)]
    Unregister(UnregisterArgs),
    /// Have node servers started with the daemon, and now if it runs.
    #[command(after_help = SWITCH_HELP)]
    Enable(SwitchArgs),
    /// Keep node servers registered without starting them; those that run are stopped.
    #[command(after_help = SWITCH_HELP)]
    Disable(SwitchArgs),
    /// Stop node servers.
    #[command(after_help = EXIT_STATUS)]
    Stop(ServersArgs),
    /// Restart node servers, once what they run has ended.
    #[command(after_help = EXIT_STATUS)]
    Restart(ServersArgs),
    /// List the registered node servers; works without the daemon.
    #[command(after_help = EXIT_STATUS)]
    List(ListArgs),
    /// Show how the daemon and its node servers are doing.
    #[command(after_help = EXIT_STATUS)]
    Status(StatusArgs),
    /// Print what a node server wrote.
    #[command(after_help = LOGS_HELP)]
    Logs(LogsArgs),
    /// End the daemon and all it has started.
    #[command(after_help = DOWN_HELP)]
    Down(DownArgs),
    /// Look for what keeps the daemon and node servers from working.
    #[command(
        after_help = "Exit status: 0 no errors (there may be warnings), 1 something is wrong."
    )]
    Doctor(DoctorArgs),
    /// Show or set variables that a node server gets.
    #[command(after_help = ENV_HELP)]
    Env(EnvArgs),
    /// List the nodes that servers offer.
    #[command(after_help = EXIT_STATUS)]
    Nodes(StatusArgs),
    /// List, show, stop, repeat and forget runs.
    #[command(after_help = RUNS_HELP)]
    Runs(RunsArgs),
    /// Show what runs and waits.
    #[command(after_help = EXIT_STATUS)]
    Queue(QueueArgs),
    /// List, store, fetch and delete assets.
    #[command(after_help = EXIT_STATUS)]
    Assets(AssetsArgs),
}

/// Where the daemon keeps its things.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlaceArgs {
    /// The data folder [NANOCORE_HOME; else nanocore in the user's data directory, else ~/.nanocore].
    #[arg(long, value_name = "DIR", help_heading = "Daemon")]
    pub(crate) data: Option<PathBuf>,
}

/// How the daemon is reached.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DaemonArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The daemon's address [NANOCORE_URL; else that of the daemon that has the data folder].
    #[arg(long, value_name = "URL", help_heading = "Daemon")]
    pub(crate) url: Option<String>,
    /// Its token [NANOCORE_TOKEN; else the one in the data folder, for the daemon that has it].
    #[arg(
        long,
        value_name = "TOKEN",
        allow_hyphen_values = true,
        help_heading = "Daemon"
    )]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// The folder with nanoserver.json.
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) path: PathBuf,
    /// Register a service on NATS instead: its instances are started by somebody else, and share its load.
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["path", "fix", "upgrade", "python", "install_project"])]
    pub(crate) nats: Option<String>,
    /// Where that NATS is, if not where the daemon's is: nats://HOST:PORT or tls://USER:PASSWORD@HOST.
    #[arg(long, value_name = "URL", requires = "nats")]
    pub(crate) nats_url: Option<String>,
    /// Write a nanoserver.json that the server's SDK can read, and keep the old one as nanoserver.json.bak.
    #[arg(long)]
    pub(crate) fix: bool,
    /// Upgrade pip before packages are installed.
    #[arg(long)]
    pub(crate) upgrade: bool,
    /// The Python interpreter for a new virtual environment (NODEWIRE_PYTHON).
    #[arg(long, value_name = "EXE")]
    pub(crate) python: Option<PathBuf>,
    /// Install the Python project itself where there is a pyproject.toml and no requirements.txt.
    #[arg(long)]
    pub(crate) install_project: bool,
    /// Print one JSON object per step, and the entry last.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UnregisterArgs {
    /// Its uid, package id, display name or folder.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Print the removed entry as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SwitchArgs {
    /// Uids, package ids, display names or folders.
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    /// Print the entries as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ServersArgs {
    /// Uids, package ids, display names or folders; all servers if there is none.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Do not wait until it is done.
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Print the servers as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Its uid, package id, display name or folder.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Go on with what it writes from now on.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many of the last lines.
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 200)]
    pub(crate) tail: usize,
    /// Print one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print the findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) daemon: DaemonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct EnvArgs {
    /// The server's uid, package id, display name or folder.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The variable.
    #[arg(value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// What it is set to.
    #[arg(value_name = "VALUE")]
    pub(crate) value: Option<String>,
    /// Take the variable away.
    #[arg(long, requires = "key", conflicts_with = "value")]
    pub(crate) unset: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}
