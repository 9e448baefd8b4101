//! Which nodes a run executes, and what is told of them before it does.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::offers::ServerWait;
use super::record::{NodeRecord, RunState};
use super::request::RunRequest;
use super::store::Kept;
use crate::workflow::{Graph, GraphNode, NodeState};

/// The nodes that a run with these targets would execute, in file order.
pub(super) fn will_run(graph: &Graph, targets: &[u64]) -> Vec<u64> {
    let mut wanted: HashSet<u64> = targets.iter().copied().collect();
    let mut next: Vec<u64> = targets.to_vec();
    let mut sources = BTreeMap::<u64, Vec<u64>>::new();
    for link in &graph.links {
        sources.entry(link.target).or_default().push(link.source);
    }
    while let Some(node) = next.pop() {
        for source in sources.get(&node).into_iter().flatten() {
            if wanted.insert(*source) {
                next.push(*source);
            }
        }
    }
    let runs = |node: &&GraphNode| node.active && (targets.is_empty() || wanted.contains(&node.id));
    graph
        .nodes
        .iter()
        .filter(runs)
        .map(|node| node.id)
        .collect()
}

/// The state of a node that no server offers. spec: nanograph 14.1
const MISSING: &str = "missing";

/// The nodes of a run that has not ended, in file order, as long as nothing else was told of them; of one that broke off
/// with its process, as what they are then: nobody knows whether they ran, unless finished steps were kept.
pub(super) fn planned(run: &Kept, wait: Option<&ServerWait>) -> Vec<NodeRecord> {
    let is_interrupted = run.summary.status == RunState::Interrupted;
    if run.summary.status.is_finished() && !is_interrupted {
        return Vec::new();
    }
    let Ok(mut request) = serde_json::from_str::<RunRequest>(run.options.as_str()) else {
        return Vec::new();
    };
    request.graph = run.graph.clone();
    let Ok(graph) = request.graph() else {
        return Vec::new();
    };
    let wanted: HashSet<u64> = will_run(&graph, &request.targets).into_iter().collect();
    let missing = wait.map(|wait| wait.missing.as_slice()).unwrap_or_default();
    let missing: HashSet<&str> = missing.iter().map(|node| node.uid.as_str()).collect();
    let record = |node: &GraphNode| {
        // A node that is pinned, or shown by a user interface, needs no server.
        let needs_server = node.pin.is_none() && !node.client && !node.muted;
        let state = if is_interrupted {
            NodeState::Aborted.as_str()
        } else if needs_server && missing.contains(node.uid.as_str()) {
            MISSING
        } else {
            NodeState::Pending.as_str()
        };
        NodeRecord {
            unconfirmed: is_interrupted && !run.summary.durable,
            ..NodeRecord::new(node.id, &node.uid, node.name.as_deref(), state)
        }
    };
    let nodes = graph.nodes.iter();
    nodes
        .filter(|node| wanted.contains(&node.id))
        .map(record)
        .collect()
}

/// The nodes that must not be executed twice. spec: nanograph 16.2
pub(super) fn executed_once(graph: &Graph) -> HashSet<u64> {
    let nodes = graph.nodes.iter();
    nodes
        .filter(|node| node.exec.idempotent == Some(false))
        .map(|node| node.id)
        .collect()
}

/// These nodes and all that depends on them.
pub(super) fn with_dependants(graph: &Graph, mut nodes: HashSet<u64>) -> HashSet<u64> {
    let mut targets = BTreeMap::<u64, Vec<u64>>::new();
    for link in &graph.links {
        targets.entry(link.source).or_default().push(link.target);
    }
    let mut next: Vec<u64> = nodes.iter().copied().collect();
    while let Some(node) = next.pop() {
        for target in targets.get(&node).into_iter().flatten() {
            if nodes.insert(*target) {
                next.push(*target);
            }
        }
    }
    nodes
}

/// What is planned, but for nodes of which more is known: those that an earlier process has executed. Known ones that
/// are not planned come last.
pub(super) fn with_planned(planned: Vec<NodeRecord>, known: Vec<NodeRecord>) -> Vec<NodeRecord> {
    let ids: HashSet<u64> = planned.iter().map(|node| node.node_id).collect();
    let (known, others): (Vec<_>, Vec<_>) = known
        .into_iter()
        .partition(|node| ids.contains(&node.node_id));
    let known = known.into_iter().map(|node| (node.node_id, node));
    let mut known: HashMap<u64, NodeRecord> = known.collect();
    let nodes = planned.into_iter();
    nodes
        .map(|node| known.remove(&node.node_id).unwrap_or(node))
        .chain(others)
        .collect()
}
