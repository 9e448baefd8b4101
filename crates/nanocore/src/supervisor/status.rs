//! What is told about a supervised server.

use std::path::PathBuf;

use jiff::Timestamp;
use nanograph::config::Language;
use serde::{Serialize, Serializer};

use crate::nats::NatsCounts;
use crate::register::Finding;

/// What a server is up to. spec: nanograph 12.6
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ServerState {
    /// It is not to run.
    Stopped,
    /// What it depends on is being installed, or it is being built.
    Installing,
    /// The process runs, and is not ready yet.
    Starting,
    /// It can be used.
    Ready,
    /// The process runs, the connection is lost and being opened again.
    Disconnected,
    /// It failed, and will be started again after a while.
    Backoff,
    /// It failed too often, or in a way that starting again does not mend.
    Failed,
    /// It is being stopped.
    Stopping,
}

impl ServerState {
    /// The word for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Installing => "installing",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Disconnected => "disconnected",
            Self::Backoff => "backoff",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
        }
    }
}

/// A supervised server, as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// Identifies the installation.
    pub server_uid: String,
    /// Identifies the package.
    pub server_package_id: String,
    /// For people.
    pub server_display_name: String,
    /// What it is written in.
    #[serde(serialize_with = "language")]
    #[schemars(with = "String")]
    pub language: Language,
    /// Its folder; `None` if somebody else runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Where it is, or was last, connected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The service, if it is reached over NATS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats: Option<NatsStatus>,
    /// The port assigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The process, while there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What it is up to.
    pub state: ServerState,
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// Whether the registry has it started by itself.
    pub enabled: bool,
    /// Whether it has said nothing for longer than the keep-alive time, although executions are outstanding.
    pub unresponsive: bool,
    /// The version of the SDK, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdk_version: Option<String>,
    /// How its SDK names assets: `uuid` or `hash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset_refs: Option<&'static str>,
    /// Executions under way on it.
    pub running: u64,
    /// The nodes it offers, or offered last while it is away.
    pub nodes: Vec<String>,
    /// How often it was started, since the supervisor was.
    pub starts: u64,
    /// Failed starts in a row.
    pub failed_starts: u32,
    /// When it will be started again, in `backoff`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub next_start: Option<Timestamp>,
    /// Why it failed last; gone once it has been ready for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Why what it needs since its files changed could not be installed; it runs on as it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_error: Option<String>,
    /// What is wrong with its `nanoserver.json` now; a running server goes on with the file it was started with.
    pub problems: Vec<Finding>,
    /// What an operator should know, such as a port that had to be changed.
    pub notes: Vec<String>,
    /// What was lost of its log.
    pub log: LogCounters,
}

/// A server that is reached over NATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatsStatus {
    /// The service's name.
    pub service: String,
    /// How many instances share its load now.
    pub instances: usize,
    /// What was counted since it was connected.
    pub counts: NatsCounters,
}

/// What was counted on a server that is reached over NATS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatsCounters {
    /// Executions lost with an instance or the connection.
    pub lost: u64,
    /// Requests sent again since an instance was full or leaving.
    pub sent_again: u64,
    /// Replies to executions that had ended here.
    pub late_replies: u64,
    /// Progress and previews dropped since they were not taken in time.
    pub dropped_replies: u64,
    /// Cancellations that could not be sent.
    pub dropped_cancels: u64,
}

impl From<NatsCounts> for NatsCounters {
    fn from(counts: NatsCounts) -> Self {
        Self {
            lost: counts.lost,
            sent_again: counts.sent_again,
            late_replies: counts.late_replies,
            dropped_replies: counts.dropped_replies,
            dropped_cancels: counts.dropped_cancels,
        }
    }
}

/// Why a server failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastError {
    /// What happened, and what to do.
    pub message: String,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What it said last on standard error: at most 50 lines.
    pub stderr: Vec<String>,
}

/// How much was logged, and lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogCounters {
    /// Lines taken.
    pub lines: u64,
    /// Lines that the files do not have, since the disk was full or too slow. The ring had them.
    pub not_written: u64,
    /// Lines that followers missed, since they were too slow.
    pub missed: u64,
}

fn language<S: Serializer>(language: &Language, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(language.as_str())
}
