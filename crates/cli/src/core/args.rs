//! What can be said to and about the daemon on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::args::at_least_one;
use crate::micro::go_duration;

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

const UP_HELP: &str = "\
Starts every registered node server, keeps them running, and serves assets, runs and events to clients.
The first Ctrl-C ends everything in order: running graphs are stopped, then the servers. The second ends at once.

Settings are taken from flags, else from NANOCORE_… variables, else from config.json in the data folder:
  {\"bind\": \"127.0.0.1:3001\", \"python\": \"/usr/bin/python3.12\", \"serverLogLevel\": \"info\",
   \"limits\": {\"activeRuns\": 2, \"historyBytes\": \"1GiB\"},
   \"nats\": {\"url\": \"tls://nats.example\", \"credentials\": \"/etc/nodewire.creds\"},
   \"s3\": {\"bucket\": \"assets\", \"endpoint\": \"https://s3.example\", \"accessKeyId\": \"…\"}}
nats may also be a text, as for --nats, or have user and password, token, and tlsCa.
limits has a member for each flag under Limits; `nodewire status --json` shows those in force.
With s3, the contents of assets lie in that bucket; AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN are its keys.
A bucket that cannot be used is told at once, and by `nodewire status` and `nodewire doctor`; all else works without it.

Exit status: 0 stopped as asked, 1 it failed, or another daemon has the data folder, 2 wrong usage or settings, 130 ended at once.";

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

const GC_HELP: &str = "\
Examples:
  nodewire assets gc --dry-run           # what would go
  nodewire assets gc --older-than 168h

What came or was used since the oldest running run began is kept.
Exit status: 0 done, 1 it failed, 2 wrong usage, 3 the daemon is not running or cannot be reached, 130 interrupted.";

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
#[command(after_help = UP_HELP)]
pub(crate) struct UpArgs {
    /// Where to listen [NANOCORE_BIND; 127.0.0.1:3001; port 0 takes a free one]. Beyond this machine only with a token.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) bind: Option<String>,
    /// The token for clients [NANOCORE_TOKEN, ASSET_API_TOKEN; else the one in the data folder, made at the first start].
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    pub(crate) token: Option<String>,
    /// A file with folders of models: {"paths": {"checkpoint": "/models/checkpoint"}} (NANOCORE_PATHS).
    #[arg(long, value_name = "FILE")]
    pub(crate) paths: Option<PathBuf>,
    /// The Python interpreter for new virtual environments [NODEWIRE_PYTHON; python3].
    #[arg(long, value_name = "EXE")]
    pub(crate) python: Option<PathBuf>,
    /// The NATS to look for servers on: embedded, off or an address [NODEWIRE_NATS; embedded]. The embedded one listens
    /// on this machine only; its address with the password is in nats-url in the data folder and stays the same from start
    /// to start, as long as the port is free. Servers get NODEWIRE_NATS_URL.
    #[arg(long, value_name = "WHERE")]
    pub(crate) nats: Option<String>,
    /// What node servers log: error, warn, info, debug (NODEWIRE_SERVER_LOG_LEVEL).
    #[arg(long, value_name = "LEVEL")]
    pub(crate) server_log_level: Option<String>,
    /// Go on with every run that was broken off, not only with durable ones.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Restart servers that do not reload themselves when their nodes' files change.
    #[arg(long)]
    pub(crate) watch: bool,
    /// How long executions may go on when a server is stopped or restarted; 0 ends them at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) drain_timeout: u64,
    /// Let pages of this origin use the API, such as `https://ui.example`. May be repeated.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<String>,
    /// Print every event as JSON, one object per line.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// Each also as a variable, and in `config.json`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Runs that are executed at a time [NANOCORE_ACTIVE_RUNS; 4].
    #[arg(long, value_name = "N")]
    pub(crate) active_runs: Option<String>,
    /// Runs that may wait; further ones are refused [NANOCORE_QUEUED_RUNS; 1000].
    #[arg(long, value_name = "N")]
    pub(crate) queued_runs: Option<String>,
    /// Nodes that are executed at a time, over all servers [NANOCORE_NODES_IN_FLIGHT; 64].
    #[arg(long, value_name = "N")]
    pub(crate) nodes_in_flight: Option<String>,
    /// Nodes at a time on one server [NANOCORE_NODES_IN_FLIGHT_PER_SERVER; 4]; its maxConcurrency in the registry wins.
    #[arg(long, value_name = "N")]
    pub(crate) nodes_in_flight_per_server: Option<String>,
    /// Finished runs that are kept; the oldest go first [NANOCORE_HISTORY_RUNS; 10000].
    #[arg(long, value_name = "N")]
    pub(crate) history_runs: Option<String>,
    /// What finished runs may take together, such as 500MiB [NANOCORE_HISTORY_BYTES; 4GiB]. Within both limits none is
    /// forgotten for want of room, unless the database itself has reached 16 GiB; a full disk makes none go.
    #[arg(long, value_name = "SIZE")]
    pub(crate) history_bytes: Option<String>,
    /// The largest asset [NANOCORE_MAX_ASSET_SIZE; 16GiB].
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_asset_size: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// Do not wait for its end.
    #[arg(long, conflicts_with_all = ["timeout", "force"])]
    pub(crate) no_wait: bool,
    /// How long to wait for its end.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) timeout: u64,
    /// Kill it if it has not ended by then; the next daemon ends the node servers that it leaves behind.
    #[arg(long)]
    pub(crate) force: bool,
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
