//! `up`, `down` and the daemon's limits.

use std::path::PathBuf;

use clap::Args;

use super::{DaemonArgs, PlaceArgs};

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
