//! What can be said on the command line. A flag wins over its environment variable.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use nanocore::workflow::TypeCheck;

use crate::catalogue::CatalogueCommand;
use crate::core::{CoreCommand, DaemonArgs, ServersArgs, UpArgs};
use crate::device::DeviceArgs;
use crate::failure::Failure;
use crate::micro::MicroArgs;
use crate::nnrp::NnrpArgs;

/// Runs node servers written in Rust, Python and JavaScript, and workflows over them.
#[derive(Debug, Parser)]
#[command(
    name = "nodewire",
    version,
    max_term_width = 110,
    propagate_version = true
)]
#[command(
    after_help = "Exit status: 0 done, 1 a node failed, the time was up or results could not be written, 2 wrong usage or graph, 3 a server or the daemon could not be started or reached, 130 interrupted."
)]
pub(crate) struct Args {
    /// More log on standard error; twice for everything.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How the log on standard error looks.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "NODEWIRE_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a workflow graph.
    Run(Box<RunArgs>),
    /// Report everything that is wrong with a graph, or with a node server's folder.
    #[command(mut_arg("file", |file| file.required(false).default_value(".")))]
    Validate(ValidateArgs),
    /// Run the daemon in the foreground, with all registered node servers.
    Up(Box<UpArgs>),
    /// Start node servers on the daemon.
    Start(ServersArgs),
    #[command(flatten)]
    Core(CoreCommand),
    #[command(flatten)]
    Catalogue(CatalogueCommand),
    /// Develop a Rust node server: build, run, rebuild on changes.
    Dev(DevArgs),
    /// Make a project of a node server in Rust.
    New(NewArgs),
    /// Work with NATS services: run, call, find, watch.
    Micro(Box<MicroArgs>),
    /// Work with Autotrainer devices: be one, command one, watch one.
    Device(Box<DeviceArgs>),
    /// Work with NNRP/1: show packets, probe, serve, measure, record and replay sessions.
    Nnrp(Box<NnrpArgs>),
    /// Print a shell's completions.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

const RUN_EXAMPLES: &str = "\
Examples:
  # All photographs of a folder to the node named `photos`; results to a folder
  nodewire run graph.json --input photos=@holiday/ --out results

  # Texts, numbers, JSON; parameters of any node
  nodewire run graph.json --input prompt='a red fox' --input options=@options.json --param resize.width=640

  # A server that runs already; events for a program
  nodewire run graph.json --server ws://127.0.0.1:3017 --json

  # On the daemon (`nodewire up`), with its servers; finished steps survive whatever happens
  nodewire run graph.json --daemon --durable --priority 5

Node servers are found by the nanoserver.json in their folders, below the graph's folder and every --servers folder.
What a server needs is installed or built on first use: a Python virtual environment, npm packages, a cargo build.";

#[derive(Debug, clap::Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
    /// Give an input node its value: NAME=VALUE, NAME=@FILE, or NAME=@DIR for all files of a folder in the order of their
    /// names. May be repeated, also for one node. At an asset input, files are uploaded; at a text input their text is
    /// read, at a JSON input their JSON.
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(crate) input: Vec<String>,
    /// Write results to this folder; without it they are printed.
    #[arg(short, long, value_name = "DIR", env = "NODEWIRE_OUT")]
    pub(crate) out: Option<PathBuf>,
    /// Run only this node, by name or id, and what it needs; its outputs are results. May be repeated.
    #[arg(short, long, value_name = "NODE")]
    pub(crate) target: Vec<String>,
    /// Print one JSON object per event on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Stop the run after this many seconds.
    #[arg(long, value_name = "SECONDS", env = "NODEWIRE_TIMEOUT")]
    pub(crate) timeout: Option<f64>,
    /// Keep assets in this folder instead of a temporary one.
    #[arg(long, value_name = "DIR", env = "NODEWIRE_ASSETS")]
    pub(crate) assets: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) on_daemon: OnDaemonArgs,
}

/// A run on the daemon. What finds and starts servers for a run of its own is not used then.
#[derive(Debug, clap::Args)]
pub(crate) struct OnDaemonArgs {
    /// Run it on the daemon, with the servers registered there. --servers, --server, --assets, --python and
    /// --server-log-level are for runs without it, and refused.
    #[arg(long, help_heading = "Daemon")]
    pub(crate) daemon: bool,
    /// Print the run's id and do not wait for its end.
    #[arg(long, help_heading = "Daemon", conflicts_with = "out")]
    pub(crate) detach: bool,
    /// Keep every finished step on disk before the next begins, so that the run goes on after a crash of the daemon.
    #[arg(long, help_heading = "Daemon")]
    pub(crate) durable: bool,
    /// Let the run wait for node servers that are not there yet: 5 minutes, with --durable as long as it takes.
    #[arg(long, help_heading = "Daemon")]
    pub(crate) wait_servers: bool,
    /// Runs with a higher priority are started first; from -1000 to 1000.
    #[arg(
        long,
        value_name = "NUMBER",
        help_heading = "Daemon",
        value_parser = clap::value_parser!(i32).range(-1000..=1000),
        allow_negative_numbers = true
    )]
    pub(crate) priority: Option<i32>,
    /// Whether earlier results are taken: refresh runs everything and keeps the new results, off neither takes nor keeps any.
    #[arg(long, value_enum, help_heading = "Daemon")]
    pub(crate) cache: Option<Cache>,
    #[command(flatten)]
    pub(crate) at: DaemonArgs,
}

/// How a run on the daemon uses earlier results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cache {
    /// Unchanged nodes are not run again.
    Auto,
    /// Everything is run, and kept.
    Refresh,
    /// Nothing is taken or kept.
    Off,
}

impl Cache {
    /// The word in the API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Refresh => "refresh",
            Self::Off => "off",
        }
    }
}

impl RunArgs {
    /// Refuses what only a run without the daemon can do. A variable is for all runs, and means nothing here.
    pub(crate) fn check_unused_on_daemon(&self) -> Result<(), Failure> {
        let variable = |name: &str| {
            let text = std::env::var(name).ok();
            text.filter(|text| !text.is_empty())
        };
        let parts = |name: &str, separator| {
            let text = variable(name);
            let parts = text.iter().flat_map(|text| text.split(separator));
            parts.map(str::to_owned).collect::<Vec<_>>()
        };
        let paths = |paths: Vec<String>| paths.into_iter().map(PathBuf::from).collect::<Vec<_>>();
        let graph = &self.graph;
        let python = variable("NODEWIRE_PYTHON").unwrap_or_else(|| PYTHON.to_owned());
        let given = [
            (
                graph.servers != paths(parts("NODEWIRE_SERVERS", ':')),
                "--servers",
            ),
            (graph.server != parts("NODEWIRE_SERVER", ','), "--server"),
            (
                self.assets != variable("NODEWIRE_ASSETS").map(PathBuf::from),
                "--assets",
            ),
            (graph.python.as_os_str() != python.as_str(), "--python"),
            (
                graph.server_log_level != variable("NODEWIRE_SERVER_LOG_LEVEL"),
                "--server-log-level",
            ),
        ];
        match given.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, flag)) => Err(Failure::usage(format!(
                "{flag} is for runs without --daemon: the daemon has servers and assets of its own; see `nodewire register`"
            ))),
            None => Ok(()),
        }
    }
}

impl OnDaemonArgs {
    /// Refuses what only the daemon can do.
    pub(crate) fn check_unused(&self) -> Result<(), Failure> {
        let given = [
            (self.detach, "--detach"),
            (self.durable, "--durable"),
            (self.wait_servers, "--wait-servers"),
            (self.priority.is_some(), "--priority"),
            (self.cache.is_some(), "--cache"),
            (self.at.place.data.is_some(), "--data"),
            (self.at.url.is_some(), "--url"),
            (self.at.token.is_some(), "--token"),
        ];
        match given.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, flag)) => Err(Failure::usage(format!("{flag} needs --daemon"))),
            None => Ok(()),
        }
    }
}

/// The interpreter unless another one is named.
const PYTHON: &str = "python3";

/// What `run` and `validate` share.
#[derive(Debug, clap::Args)]
pub(crate) struct GraphArgs {
    /// The graph file; for `validate` also a node server's folder.
    #[arg(value_name = "GRAPH.json")]
    pub(crate) file: PathBuf,
    /// Give a node's parameter another value. JSON where the parameter is no text. May be repeated.
    #[arg(short, long, value_name = "NODE.NAME=VALUE")]
    pub(crate) param: Vec<String>,
    /// Look for node servers in this folder too. May be repeated.
    #[arg(
        long,
        value_name = "DIR",
        env = "NODEWIRE_SERVERS",
        value_delimiter = ':'
    )]
    pub(crate) servers: Vec<PathBuf>,
    /// Use a node server that runs already. May be repeated.
    #[arg(
        long,
        value_name = "URL",
        env = "NODEWIRE_SERVER",
        value_delimiter = ','
    )]
    pub(crate) server: Vec<String>,
    /// How strictly the types of links are checked.
    #[arg(long, value_enum, default_value_t = Types::Strict, env = "NODEWIRE_TYPES")]
    pub(crate) types: Types,
    /// The Python interpreter for new virtual environments.
    #[arg(
        long,
        value_name = "EXE",
        default_value = PYTHON,
        env = "NODEWIRE_PYTHON"
    )]
    pub(crate) python: PathBuf,
    /// What node servers log: error, warn, info, debug.
    #[arg(long, value_name = "LEVEL", env = "NODEWIRE_SERVER_LOG_LEVEL")]
    pub(crate) server_log_level: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
    /// Start no server; only what can be seen in the file is checked.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Print problems as JSON, one per line.
    #[arg(long)]
    pub(crate) json: bool,
}

const DEV_HELP: &str = "\
When a source file changes, the server is built while the old one goes on serving. If the build fails, its errors are shown
and the old one stays. If it succeeds, the old one is stopped (running executions get their time to finish, clients see
close code 1000) and the new one starts on the same port: clients reconnect there and see the new definitions.";

#[derive(Debug, clap::Args)]
#[command(after_help = DEV_HELP)]
pub(crate) struct DevArgs {
    /// The folder with the server's nanoserver.json.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// The port; without it that of nanoserver.json.
    #[arg(long, env = "PORT")]
    pub(crate) port: Option<u16>,
    /// The asset server that the nodes use.
    #[arg(
        long,
        value_name = "URL",
        env = "NANOCORE_HTTP_ENDPOINT",
        default_value = ""
    )]
    pub(crate) asset_endpoint: String,
    /// Its token.
    #[arg(
        long,
        value_name = "TOKEN",
        allow_hyphen_values = true,
        env = "NANOCORE_TOKEN",
        default_value = "",
        hide_env_values = true
    )]
    pub(crate) asset_token: String,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The project has a node, tests, a nodewire.toml with all wires on loopback, a nanoserver.json and a README."
)]
pub(crate) struct NewArgs {
    /// The project's name, which is also that of its package, its service and its device.
    pub(crate) name: String,
    /// The project's folder; by default one of its name here.
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
    /// The crate `nodewire`, or a checkout that has it; by default the checkout that this command was built from.
    #[arg(long, value_name = "DIR")]
    pub(crate) nodewire_path: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Types {
    /// What does not fit prevents the run.
    Strict,
    /// What does not fit is only told.
    Warn,
    /// Types are not looked at.
    Off,
}

impl Types {
    /// The word in the API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Warn => "warn",
            Self::Off => "off",
        }
    }
}

impl From<Types> for TypeCheck {
    fn from(types: Types) -> Self {
        match types {
            Types::Strict => Self::Strict,
            Types::Warn => Self::Warn,
            Types::Off => Self::Off,
        }
    }
}

/// Takes a number that is not 0.
pub(crate) fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}
