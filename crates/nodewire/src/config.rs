//! `nodewire.toml`, and the environment and flags that win over it.
//!
//! [`NodeServerBuilder::run`](crate::NodeServerBuilder::run) reads all of it, in this order: what the program's code
//! configured, the file, the environment, the program's flags. What comes later wins, setting by setting; what nobody
//! gives stays as it was.
//!
//! ```toml
//! [server]
//! name = "greeter"
//!
//! [nanograph] # served, as its table is there
//!
//! [http]
//! listen = "127.0.0.1:8080"
//! token_file = "http.token" # beside this file
//!
//! [nats]
//! enabled = false # unless --nats-enabled says so, or another flag of [nats]
//! url = "nats://127.0.0.1:4222"
//! ```
//!
//! The file is the one that `--config` names, or `NODEWIRE_CONFIG`, or the code
//! ([`NodeServerBuilder::config`](crate::NodeServerBuilder::config)), or else `nodewire.toml` in the working directory, if
//! there is one. It has 1 MiB at most. Tables and keys that do not exist are errors, but for `[catalogue]`, which other
//! programs read. Everything that is wrong, anywhere, is told at once.
//!
//! # Variables and flags
//! | In the file | Environment | Flag |
//! |---|---|---|
//! | `listen` of `[http]` | `NODEWIRE_HTTP_LISTEN=127.0.0.1:8080` | `--http-listen 127.0.0.1:8080` |
//! | `drain_ms` of `[server]` | `NODEWIRE_SERVER_DRAIN_MS=500` | `--server-drain-ms=500` |
//! | `quick_nodes` of `[autotrainer]` | `NODEWIRE_AUTOTRAINER_QUICK_NODES=a,b` | `--autotrainer-quick-nodes a,b` |
//! | `commands` of `[autotrainer]` | `NODEWIRE_AUTOTRAINER_COMMANDS=a=7,b=8` | `--autotrainer-commands a=7,b=8` |
//! | | `NODEWIRE_CONFIG` | `--config FILE` |
//! | | | `--print-config`, `--help`, `--version` |
//! | | | `--mcp-stdio`: serves [MCP](crate::mcp) on standard input and output, and nothing else |
//!
//! So it is for every key: `NODEWIRE_<TABLE>_<KEY>` and `--<table>-<key>`. Empty variables count as unset.
//!
//! # Which wires are served
//! Those that the code configures, that have a table in the file, or that a flag says something about; `enabled` has the
//! last word. The environment is inherited by whatever is started, so it alone switches no wire on, but for
//! `NODEWIRE_<WIRE>_ENABLED=true`. If neither code nor file name a wire, the Nanograph wire is served as
//! `nanoserver.json` in the working directory says. `[metrics]` counts as they do, but is none of them. `--mcp-stdio`
//! serves nothing else, whatever is said of other wires, and needs none of their files.
//!
//! # Traces
//! `[telemetry]` says the same as OpenTelemetry's variables (`OTEL_EXPORTER_OTLP_ENDPOINT` and others,
//! [`TelemetryConfig::from_variables`](crate::telemetry::TelemetryConfig::from_variables)), which win over the file as
//! other variables do; flags and `NODEWIRE_TELEMETRY_…` win over them. Nothing is exported without an endpoint. An exporter
//! of the code's own ([`NodeServerBuilder::telemetry`](crate::NodeServerBuilder::telemetry)) is left as it is.
//!
//! # Secrets
//! They are in files, or in the environment; never in `nodewire.toml` or on the command line, and never shown. Relative
//! paths start at the folder of the file they are in.
//!
//! # Settings
#![doc = include_str!("config/settings.md")]

mod flags;
mod layers;
mod near;
mod print;
mod problem;
mod secret_file;
mod setting;
mod toml_file;
mod value;
mod wires;

use std::path::Path;

pub(crate) use self::flags::{Action, Flags, parse as parse_flags};
pub(crate) use self::layers::Layers;
pub(crate) use self::print::{help, version};
pub(crate) use self::problem::Problems;
pub use self::problem::{ConfigError, ConfigPlace, ConfigProblem};
use self::setting::Table;
#[cfg(feature = "mcp")]
pub(crate) use self::wires::apply_mcp_stdio;
pub(crate) use self::wires::{Surroundings, apply};
use crate::program::LogSettings;
use crate::server::Parts;

/// The file in the working directory.
pub(crate) const FILE_NAME: &str = "nodewire.toml";

/// The variable that names another file.
pub(crate) const FILE_VARIABLE: &str = "NODEWIRE_CONFIG";

/// A `nodewire.toml`, read.
#[derive(Debug, Clone)]
pub struct NodewireConfig {
    pub(crate) layers: Layers,
}

impl NodewireConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or anything in it is wrong: everything at once.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        let layers = toml_file::load(path.as_ref(), &mut problems);
        problems.check()?;
        Ok(Self { layers })
    }

    /// Reads the text of a file. `path` is where it lies: what messages say, and where relative paths in it start.
    ///
    /// # Errors
    /// Anything in it is wrong: everything at once.
    pub fn parse(text: &str, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        let layers = toml_file::parse(text, path.as_ref(), &mut problems);
        problems.check()?;
        Ok(Self { layers })
    }
}

/// A program's file, environment and flags, joined.
pub(crate) fn join(
    file: Layers,
    lookup: &dyn Fn(&str) -> Option<String>,
    flags: &Flags,
    problems: &mut Problems,
) -> Layers {
    let mut layers = file;
    layers.join(Layers::from_variables(lookup, problems));
    layers.join(flags.layers.clone());
    layers
}

/// The file at this path.
pub(crate) fn load(path: &Path, problems: &mut Problems) -> Layers {
    toml_file::load(path, problems)
}

/// How the program logs.
pub(crate) fn log_settings(layers: &Layers) -> LogSettings {
    let log = layers.table(Table::Log);
    let is_of_file = matches!(log.place("level"), ConfigPlace::File { .. });
    let level: Option<String> = log.get("level");
    LogSettings {
        is_json: log.get::<String>("format").as_deref() == Some("json"),
        level: level.clone().filter(|_| !is_of_file),
        level_otherwise: level.filter(|_| is_of_file),
    }
}

/// What `--print-config` prints.
pub(crate) fn print(layers: &Layers, parts: &Parts, around: Surroundings<'_>) -> String {
    let served = wires::served(layers, &parts.wires, around);
    print::config(layers, &parts.wires, &served)
}

/// The server's name and version, as far as anybody says.
pub(crate) fn identity(layers: &Layers, parts: &Parts) -> (Option<String>, Option<String>) {
    let server = layers.table(Table::Server);
    let name = server.get("name").or_else(|| parts.identity.name.clone());
    let version = server
        .get("version")
        .or_else(|| parts.identity.version.clone());
    (name, version)
}

#[cfg(test)]
mod tests;
