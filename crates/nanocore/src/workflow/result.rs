//! What came of a run.

use std::sync::Arc;
use std::time::Duration;

use nodewire_json::Json;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::state::{NodeError, NodeState, RunStatus};

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunResult {
    /// The run.
    pub run_id: Arc<str>,
    /// How it ended.
    pub status: RunStatus,
    /// From the start on.
    pub duration: Duration,
    /// Every node that took part, in file order.
    pub nodes: Vec<NodeResult>,
    /// Reports of servers that came after a node's end and were dropped.
    pub late_reports: u64,
}

/// What came of one node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeResult {
    /// The node.
    pub node_id: u64,
    /// Its label in the graph.
    pub name: Option<String>,
    /// Its definition.
    pub uid: String,
    /// One of the terminal states.
    pub state: NodeState,
    /// How often it was dispatched.
    pub attempts: u32,
    /// From the start of the run to the first dispatch, or to the completion of a node that needs no server.
    pub started: Option<Duration>,
    /// From the start of the run to the node's end.
    pub ended: Duration,
    /// Lists of values by output port: an object. Only if it completed, in this run or another.
    pub outputs: Option<Json>,
    /// What reached a node that a user interface shows: an object.
    pub inputs: Option<Json>,
    /// Why it failed.
    pub error: Option<NodeError>,
    /// The node because of which it was skipped or aborted; itself never.
    pub cause: Option<u64>,
    /// It was stopped, but its server did not say that it ended.
    pub unconfirmed: bool,
    /// It completed in an earlier run, and its outputs were [given](super::RunOptions::finished) to this one.
    pub reused: bool,
}

impl RunResult {
    /// The node with this id.
    #[must_use]
    pub fn node(&self, id: u64) -> Option<&NodeResult> {
        self.nodes.iter().find(|node| node.node_id == id)
    }

    /// The nodes that failed.
    pub fn failures(&self) -> impl Iterator<Item = (&NodeResult, &NodeError)> {
        self.nodes.iter().filter_map(|node| {
            Some((
                node,
                node.error
                    .as_ref()
                    .filter(|_| node.state == NodeState::Error)?,
            ))
        })
    }

    /// How many nodes ended in which state.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.nodes.iter().map(|node| node.state).collect()
    }
}

impl NodeResult {
    /// The values of an output port; `None` if the node did not complete or has no such output.
    #[must_use]
    pub fn output(&self, port: &str) -> Option<Json> {
        self.outputs.as_ref()?.get(port)
    }
}

/// How many nodes ended in which state. Serializes as an object without zeros.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Completed, in this run or an earlier one.
    pub complete: usize,
    /// Had outputs without being executed.
    pub cached: usize,
    /// Failed.
    pub error: usize,
    /// Stopped.
    pub aborted: usize,
    /// Never ran.
    pub skipped: usize,
}

impl FromIterator<NodeState> for Counts {
    fn from_iter<I: IntoIterator<Item = NodeState>>(states: I) -> Self {
        let mut counts = Self::default();
        for state in states {
            match state {
                NodeState::Complete => counts.complete += 1,
                NodeState::Cached => counts.cached += 1,
                NodeState::Error => counts.error += 1,
                NodeState::Aborted => counts.aborted += 1,
                NodeState::Skipped => counts.skipped += 1,
                NodeState::Pending
                | NodeState::Ready
                | NodeState::Dispatched
                | NodeState::Running => {}
            }
        }
        counts
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let counts = [
            (NodeState::Complete, self.complete),
            (NodeState::Cached, self.cached),
            (NodeState::Error, self.error),
            (NodeState::Aborted, self.aborted),
            (NodeState::Skipped, self.skipped),
        ];
        for (state, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            map.serialize_entry(&state, &count)?;
        }
        map.end()
    }
}
