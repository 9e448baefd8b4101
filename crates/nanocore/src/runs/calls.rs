//! What the calls of a [`RunManager`](super::RunManager) take and answer.

use nodewire_json::Json;
use serde::{Deserialize, Serialize};

use super::record::RunState;
use super::request::Overrides;
use crate::workflow::Problem;

/// A run that was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    /// Identifies it.
    pub run_id: String,
    /// How many runs were before it.
    pub position: u64,
    /// What is worth knowing about the graph: a list of [`Problem`]s.
    #[schemars(with = "serde_json::Value")]
    pub warnings: Json,
    /// It was submitted before, with the same idempotency key.
    #[serde(skip)]
    pub is_known: bool,
}

/// What a run of a request would do.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// Everything found; without errors among them it can run.
    pub problems: Vec<Problem>,
    /// The nodes that would run.
    pub nodes: Vec<u64>,
}

/// How a run is to be repeated. As JSON: overrides, and `"from": "failed"`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(from = "RerunBody")]
pub struct Rerun {
    /// Use again what completed, apart from nodes that the overrides change and all that depends on them.
    pub from_failed: bool,
    /// What is changed.
    pub overrides: Overrides,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct RerunBody {
    from: Option<RerunFrom>,
    #[serde(flatten)]
    overrides: Overrides,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
enum RerunFrom {
    Start,
    Failed,
}

/// What became of a request to stop a run.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Aborted {
    /// The run.
    pub run_id: String,
    /// What it is in now: still `running` while its nodes stop.
    pub status: RunState,
    /// It had ended before; nothing was done.
    pub was_finished: bool,
}

/// What is to be taken out of the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct QueueChange {
    /// All that wait.
    pub clear: bool,
    /// These.
    pub delete: Vec<String>,
}

/// What was taken out of the queue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueChanged {
    /// Runs that waited, and are aborted now.
    pub removed: Vec<String>,
    /// Runs that did not wait.
    pub not_waiting: Vec<String>,
}

impl From<RerunBody> for Rerun {
    fn from(body: RerunBody) -> Self {
        Self {
            from_failed: matches!(body.from, Some(RerunFrom::Failed)),
            overrides: body.overrides,
        }
    }
}
