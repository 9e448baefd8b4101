//! What is known of a run while it is executed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nodewire_json::Json;

use super::record::{NodeRecord, Time, error_json};
use crate::workflow::{Event, EventKind, FinishedStep, Graph, NodeState, RunResult};

/// Failed attempts that are kept of a node, the newest.
const FAILURES_MAX: usize = 16;
/// Larger inputs of steps are not kept: they are their sources' outputs.
const INPUT_BYTES_MAX: usize = 64 << 10;

/// The nodes of a run, as its events tell of them. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(super) struct Live {
    // A std mutex: it is held for look-ups and copies of small records, never over an await.
    nodes: Arc<Mutex<Nodes>>,
}

#[derive(Debug, Default)]
struct Nodes {
    /// In file order.
    records: BTreeMap<usize, NodeRecord>,
    places: HashMap<u64, usize>,
}

impl Live {
    /// Begins with the nodes that will run, and those that did before.
    pub(super) fn begin(&self, graph: &Graph, nodes: &[u64], reused: &HashMap<u64, NodeRecord>) {
        let mut state = self.lock();
        let wanted: std::collections::HashSet<u64> =
            nodes.iter().chain(reused.keys()).copied().collect();
        for (place, node) in graph.nodes.iter().enumerate() {
            if wanted.contains(&node.id) {
                let new = || NodeRecord::new(node.id, &node.uid, node.name.as_deref(), "pending");
                let record = reused.get(&node.id).cloned().unwrap_or_else(new);
                state.places.insert(node.id, place);
                state.records.insert(place, record);
            }
        }
    }

    pub(super) fn event(&self, event: &Event) {
        let at = Time(event.ts.as_millisecond());
        if let Some(node_id) = event.kind.node_id() {
            self.change(node_id, |record| node_event(record, &event.kind, at));
        }
    }

    /// What the step log sees, and events do not have.
    pub(super) fn step(&self, step: &FinishedStep) {
        self.change(step.node_id, |record| {
            record.server_uid = Some(step.server_uid.clone());
            record.inputs = Some(&step.inputs)
                .filter(|inputs| inputs.as_str().len() <= INPUT_BYTES_MAX)
                .cloned();
        });
    }

    /// What only the result has.
    pub(super) fn finish(&self, result: &RunResult) {
        for node in &result.nodes {
            self.change(node.node_id, |record| {
                record.state = node.state.as_str().to_owned();
                record.unconfirmed = node.unconfirmed;
                record.cause = node.cause;
                if !node.reused {
                    // A node that was lost has its attempts from before.
                    record.attempts = record.attempts.max(node.attempts);
                }
                if let Some(error) = node
                    .error
                    .as_ref()
                    .filter(|_| node.state == NodeState::Error)
                {
                    record.error = Some(error_json(error));
                }
                if node.outputs.is_some() {
                    record.outputs.clone_from(&node.outputs);
                }
                if node.inputs.is_some() {
                    record.inputs.clone_from(&node.inputs);
                }
            });
        }
    }

    /// All nodes, in file order, with their place.
    pub(super) fn records(&self) -> Vec<(usize, NodeRecord)> {
        let state = self.lock();
        state
            .records
            .iter()
            .map(|(place, record)| (*place, record.clone()))
            .collect()
    }

    pub(super) fn node(&self, node_id: u64) -> Option<NodeRecord> {
        let state = self.lock();
        state.records.get(state.places.get(&node_id)?).cloned()
    }

    /// The place of a node in its graph.
    pub(super) fn place(&self, node_id: u64) -> usize {
        self.lock()
            .places
            .get(&node_id)
            .copied()
            .unwrap_or_default()
    }

    fn change(&self, node_id: u64, change: impl FnOnce(&mut NodeRecord)) {
        let mut state = self.lock();
        let place = state.places.get(&node_id).copied();
        if let Some(record) = place.and_then(|place| state.records.get_mut(&place)) {
            change(record);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn node_event(record: &mut NodeRecord, kind: &EventKind, at: Time) {
    match kind {
        EventKind::NodeState {
            state,
            attempt,
            server_uid,
            cause,
            ..
        } => {
            record.state = state.as_str().to_owned();
            record.attempts = record.attempts.max(*attempt);
            record.cause = *cause;
            if server_uid.is_some() {
                record.server_uid.clone_from(server_uid);
            }
            if *state == NodeState::Dispatched {
                record.started_at.get_or_insert(at);
            } else if state.is_terminal() {
                record.ended_at = Some(at);
            }
        }
        EventKind::NodeStatus { status, .. } => {
            record.state = NodeState::Running.as_str().to_owned();
            record.last_status = Some(status.raw.clone());
        }
        EventKind::NodeComplete {
            outputs,
            inputs,
            duration,
            cached,
            ..
        } => completed(record, (outputs, inputs.as_ref()), *duration, *cached, at),
        EventKind::NodeError {
            error, retry_in, ..
        } => {
            let attempt = record.attempts;
            let failure = serde_json::json!({
                "attempt": attempt, "at": at, "code": error.code, "message": error.message,
            });
            if record.failures.len() == FAILURES_MAX {
                record.failures.remove(0);
            }
            record.failures.push(Json::from(failure));
            if retry_in.is_some() {
                record.state = NodeState::Ready.as_str().to_owned();
            } else {
                record.state = NodeState::Error.as_str().to_owned();
                record.error = Some(error_json(error));
                record.ended_at = Some(at);
            }
        }
        EventKind::RunStarted { .. } | EventKind::RunFinished { .. } => {}
    }
}

fn completed(
    record: &mut NodeRecord,
    (outputs, inputs): (&Json, Option<&Json>),
    duration: Duration,
    cached: bool,
    at: Time,
) {
    let state = if cached {
        NodeState::Cached
    } else {
        NodeState::Complete
    };
    record.state = state.as_str().to_owned();
    record.cached = cached;
    record.ended_at = Some(at);
    record.started_at.get_or_insert(at);
    record.duration_ms = u64::try_from(duration.as_millis()).ok();
    record.outputs = Some(outputs.clone());
    if inputs.is_some() {
        record.inputs = inputs.cloned();
    }
}
