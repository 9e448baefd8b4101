//! What is told about runs: summaries, records, pages. Serializes as the client API has it.

use jiff::Timestamp;
use nodewire_json::Json;
use serde::{Serialize, Serializer};

use super::offers::ServerWait;
use crate::workflow::{NodeError, RunStatus};

/// What a run is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, schemars::JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum RunState {
    /// It waits for its turn.
    Queued,
    /// It is being executed.
    Running,
    /// Every node that could run has completed.
    Complete,
    /// A node failed.
    Error,
    /// It was stopped on request.
    Aborted,
    /// The process that executed it ended.
    Interrupted,
}

impl RunState {
    const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Complete,
        Self::Error,
        Self::Aborted,
        Self::Interrupted,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Error => "error",
            Self::Aborted => "aborted",
            Self::Interrupted => "interrupted",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more will happen to it.
    #[must_use]
    pub fn is_finished(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

impl From<RunStatus> for RunState {
    fn from(status: RunStatus) -> Self {
        match status {
            RunStatus::Complete => Self::Complete,
            RunStatus::Error => Self::Error,
            RunStatus::Aborted => Self::Aborted,
        }
    }
}

impl Serialize for RunState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A moment, in milliseconds since 1970. Serializes as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

impl schemars::JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl Time {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self(Timestamp::now().as_millisecond())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let at = Timestamp::from_millisecond(self.0).unwrap_or_default();
        serializer.collect_str(&format_args!("{at:.3}"))
    }
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// Identifies it: a UUID.
    pub run_id: String,
    /// What it is in.
    pub status: RunState,
    /// The name of its graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Higher goes first.
    pub priority: i32,
    /// Whether its finished steps outlive the process.
    pub durable: bool,
    /// Who submitted it, as they said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The run that it repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<String>,
    /// When it was accepted.
    pub submitted_at: Time,
    /// When it began; of one that was resumed, the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// How long it took, from its start on; of one that was resumed, with the time in between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How many nodes ended in which state: an object without zeros.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub counts: Option<Json>,
    /// For people: why it ended before its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often it went on after the process had been killed.
    pub resumed: u32,
    /// For people: why its end is not on disk yet. It is in memory until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_kept: Option<String>,
}

/// All about a run.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// What lists tell.
    #[serde(flatten)]
    pub summary: RunSummary,
    /// Its place in the queue, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    /// What it waits for, if it was its turn and node servers were missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<ServerWait>,
    /// The graph as it was submitted.
    #[schemars(with = "serde_json::Value")]
    pub graph: Json,
    /// The request without the graph.
    #[schemars(with = "serde_json::Value")]
    pub options: Json,
    /// Each node that takes part, in file order.
    pub nodes: Vec<NodeRecord>,
}

/// A node of a run.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeRecord {
    /// Its id in the graph.
    pub node_id: u64,
    /// Its definition.
    pub uid: String,
    /// Its label in the graph.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is in: one of [`NodeState`](crate::workflow::NodeState)'s words, or `missing` while its run waits for a
    /// server that offers it.
    pub state: String,
    /// How often it was sent to a server.
    pub attempts: u32,
    /// The server it was sent to last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_uid: Option<String>,
    /// When it was sent first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// From its last dispatch on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why it failed: `code` and `message`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub error: Option<Json>,
    /// Attempts that failed, the newest last: `attempt`, `at`, `code`, `message`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<serde_json::Value>")]
    pub failures: Vec<Json>,
    /// The node because of which it was skipped or aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<u64>,
    /// It was stopped, but its server did not say that it ended.
    pub unconfirmed: bool,
    /// It was not executed: its outputs are from the result cache, or pinned.
    pub cached: bool,
    /// What its server said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub last_status: Option<Json>,
    /// What reached it: lists of values by port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub inputs: Option<Json>,
    /// What it made: lists of values by port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub outputs: Option<Json>,
}

impl NodeRecord {
    pub(super) fn new(node_id: u64, uid: &str, name: Option<&str>, state: &str) -> Self {
        Self {
            node_id,
            uid: uid.to_owned(),
            name: name.map(str::to_owned),
            state: state.to_owned(),
            attempts: 0,
            server_uid: None,
            started_at: None,
            ended_at: None,
            duration_ms: None,
            error: None,
            failures: Vec::new(),
            cause: None,
            unconfirmed: false,
            cached: false,
            last_status: None,
            inputs: None,
            outputs: None,
        }
    }

    /// Without what may be long, but for its error.
    pub(super) fn without_values(self) -> Self {
        Self {
            inputs: None,
            outputs: None,
            last_status: None,
            ..self
        }
    }
}

/// A larger value is not passed on in lists and events. spec: nanograph 19.4
const SHOWN_BYTES_MAX: usize = 64 << 10;

/// What stands for a value that is too large to be shown everywhere; `None` if it is not.
pub(super) fn shortened(value: &Json, run_id: &str, node_id: u64) -> Option<Json> {
    short(value.as_str().len(), usize::MAX, run_id, node_id)
}

/// What stands for a value of this size; `None` if it is shown itself, in the room that is left.
pub(super) fn short(size: usize, room: usize, run_id: &str, node_id: u64) -> Option<Json> {
    if size <= SHOWN_BYTES_MAX.min(room) {
        return None;
    }
    let href = format!("/api/v1/runs/{run_id}/nodes/{node_id}");
    let short = serde_json::json!({ "truncated": true, "size": size, "href": href });
    Some(Json::from(short))
}

/// Which runs a list has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only those in this state.
    pub status: Option<RunState>,
    /// Only those of this submitter.
    pub client_id: Option<String>,
    /// How many at most; 100 by default, 1,000 at most.
    pub limit: Option<usize>,
    /// Where the page before ended: its [`Page::next_cursor`].
    pub cursor: Option<String>,
}

impl RunFilter {
    /// Whether a page can have given this out as its cursor.
    pub(crate) fn is_cursor(text: &str) -> bool {
        text.parse::<i64>().is_ok()
    }
}

/// A part of a list, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// What there is.
    pub runs: Vec<T>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A node's error as it is kept.
pub(super) fn error_json(error: &NodeError) -> Json {
    Json::from(serde_json::json!({ "code": error.code, "message": error.message }))
}
