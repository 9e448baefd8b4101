//! What happens in a run, as it happens. spec: nanograph 19.4

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nanograph::message::Status;
use nodewire_json::Json;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::result::Counts;
use super::state::{NodeError, NodeState, RunStatus};

/// One thing that happened in a run. Serializes as on the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Grows by one from event to event of the run; a gap means that running statuses were joined for a slow reader.
    pub seq: u64,
    /// When it happened.
    pub ts: Timestamp,
    /// The run.
    pub run_id: Arc<str>,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
///
/// Order: a node's completion precedes the dispatch of its successors; `RunStarted` is first, `RunFinished` last.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// The run begins.
    RunStarted {
        /// The nodes that will run.
        nodes: Vec<u64>,
        /// The nodes whose outputs an earlier run has made already. Nothing else is told of them.
        reused: Vec<u64>,
    },
    /// A node was dispatched, skipped or aborted. Other states follow from the other events.
    NodeState {
        /// The node.
        node_id: u64,
        /// What it is in now.
        state: NodeState,
        /// The attempt, from 1; 0 if it was never dispatched.
        attempt: u32,
        /// The server it is on, or was on.
        server_uid: Option<String>,
        /// The node because of which it was skipped or aborted.
        cause: Option<u64>,
    },
    /// The server said something about a running node; at most 20 times a second, the last one always.
    NodeStatus {
        /// The node.
        node_id: u64,
        /// As received; its typed progress is made to fit `step <= total`.
        status: Status,
    },
    /// A node ended with outputs.
    NodeComplete {
        /// The node.
        node_id: u64,
        /// Lists of values by output port: an object.
        outputs: Json,
        /// What reached a node that a user interface shows: an object.
        inputs: Option<Json>,
        /// It was not executed: the outputs are from the result cache, or pinned in the graph.
        cached: bool,
        /// From dispatch on.
        duration: Duration,
    },
    /// An attempt of a node failed.
    NodeError {
        /// The node.
        node_id: u64,
        /// Why.
        error: NodeError,
        /// When it is tried again; without, the node has failed for good.
        retry_in: Option<Duration>,
    },
    /// The run is over.
    RunFinished {
        /// How it ended.
        status: RunStatus,
        /// From the start on.
        duration: Duration,
        /// How many nodes ended in which state.
        counts: Counts,
    },
}

impl EventKind {
    /// The word on the wire.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::NodeState { .. } => "node_state",
            Self::NodeStatus { .. } => "node_status",
            Self::NodeComplete { .. } => "node_complete",
            Self::NodeError { .. } => "node_error",
            Self::RunFinished { .. } => "run_finished",
        }
    }

    /// The node it is about.
    #[must_use]
    pub fn node_id(&self) -> Option<u64> {
        match self {
            Self::NodeState { node_id, .. }
            | Self::NodeStatus { node_id, .. }
            | Self::NodeComplete { node_id, .. }
            | Self::NodeError { node_id, .. } => Some(*node_id),
            Self::RunStarted { .. } | Self::RunFinished { .. } => None,
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("seq", &self.seq)?;
        map.serialize_entry("ts", &format_args!("{:.3}", self.ts))?;
        map.serialize_entry("type", self.kind.type_name())?;
        map.serialize_entry("runId", &*self.run_id)?;
        if let Some(node_id) = self.kind.node_id() {
            map.serialize_entry("nodeId", &node_id)?;
        }
        self.fields(&mut map)?;
        map.end()
    }
}

/// What an event tells, without what every event has: `seq`, `ts`, `type`, `runId`. For whoever numbers events anew.
pub(crate) struct EventFields<'e>(pub(crate) &'e Event);

impl Serialize for EventFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        optional(&mut map, "nodeId", self.0.kind.node_id().as_ref())?;
        self.0.fields(&mut map)?;
        map.end()
    }
}

impl Event {
    fn fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match &self.kind {
            EventKind::RunStarted { nodes, reused } => {
                map.serialize_entry("nodes", nodes)?;
                map.serialize_entry("reused", reused)
            }
            EventKind::NodeState {
                state,
                attempt,
                server_uid,
                cause,
                ..
            } => {
                map.serialize_entry("state", state)?;
                map.serialize_entry("attempt", attempt)?;
                optional(map, "serverUid", server_uid.as_ref())?;
                optional(map, "cause", cause.as_ref())
            }
            EventKind::NodeStatus { status, .. } => map.serialize_entry("status", &status.raw),
            EventKind::NodeComplete {
                outputs,
                inputs,
                cached,
                duration,
                ..
            } => {
                map.serialize_entry("outputs", outputs)?;
                optional(map, "inputs", inputs.as_ref())?;
                map.serialize_entry("cached", cached)?;
                map.serialize_entry("durationMs", &duration.as_millis())
            }
            EventKind::NodeError {
                error, retry_in, ..
            } => {
                map.serialize_entry("code", &error.code)?;
                map.serialize_entry("message", &error.message)?;
                let at = retry_in.and_then(|wait| self.ts.checked_add(wait).ok());
                optional(map, "willRetryAt", at.map(|at| format!("{at:.3}")).as_ref())
            }
            EventKind::RunFinished {
                status,
                duration,
                counts,
            } => {
                map.serialize_entry("status", status)?;
                map.serialize_entry("durationMs", &duration.as_millis())?;
                map.serialize_entry("counts", counts)
            }
        }
    }
}

fn optional<M: SerializeMap, T: Serialize>(
    map: &mut M,
    key: &str,
    value: Option<&T>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, value))
}
