//! Runs that wait for node servers: they hold no place, and get their turn again when all that they lack is offered.
//!
//! One task watches while at least one run waits. It wakes when what is offered changes, when a run comes to wait, and
//! when the time of one is over; it never looks in between.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use serde::Serialize;
use serde_json::json;

use super::queue::Active;
use super::record::Time;
use super::shared::Shared;
use crate::workflow::{Catalog, Graph, GraphNode, InvalidGraph};

/// Kinds of nodes that are noted of one run. With more, it looks for the others when these are there.
const MISSING_MAX: usize = 100;

/// A run that waits for node servers. It has no place of those that are executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingForServers {
    /// The run.
    pub run_id: Arc<str>,
    /// Higher goes first.
    pub priority: i32,
    /// What it lacks.
    #[serde(flatten)]
    pub wait: ServerWait,
}

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerWait {
    /// Nodes that no server offers: the first 100 kinds.
    pub missing: Vec<MissingNode>,
    /// Since when.
    pub since: Time,
    /// When it fails; absent if it waits as long as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// A kind of node that no server offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MissingNode {
    /// Its definition.
    pub uid: String,
    /// The server that the graph names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_uid: Option<String>,
    /// The package that the graph names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_package_id: Option<String>,
}

/// What nobody offers of a graph; `None` if it has other faults, so that waiting would not help.
pub(super) fn missing(graph: &Graph, invalid: &InvalidGraph) -> Option<Vec<MissingNode>> {
    if !invalid.lacks_offers_only() {
        return None;
    }
    let ids: BTreeSet<u64> = invalid
        .problems
        .iter()
        .filter(|problem| problem.is_error())
        .filter_map(|problem| problem.node_id)
        .collect();
    let mut known = BTreeSet::new();
    let is_new = |node: &&GraphNode| ids.contains(&node.id) && known.insert(node.uid.clone());
    let nodes = graph.nodes.iter().filter(is_new).take(MISSING_MAX);
    let missing = nodes.map(|node| MissingNode {
        uid: node.uid.clone(),
        server_uid: node.server_uid.clone(),
        server_package_id: node.server_package_id.clone(),
    });
    Some(missing.collect())
}

/// Gives a run's place back until there is what it lacks. False if it has waited long enough.
pub(super) fn park(
    shared: &Arc<Shared>,
    active: &Active,
    missing: Vec<MissingNode>,
    is_limited: bool,
) -> bool {
    let limit = is_limited.then_some(shared.options.offers_wait);
    let fields = json!({ "missing": missing });
    let is_watched = {
        let mut queue = shared.queue();
        if !queue.park(active, missing, limit) {
            return false;
        }
        queue.watch()
    };
    shared
        .events
        .publish("run_waiting", Some(&active.run_id), fields);
    if is_watched {
        shared.parked.notify_one();
    } else {
        shared.tasks.spawn(watch(shared.clone()));
    }
    true
}

/// Gives runs their turn again, until none waits for servers.
async fn watch(shared: Arc<Shared>) {
    loop {
        // Before the look, so that nothing in between is missed.
        let changed = shared.nodes.changed();
        let Some(lacked) = shared.queue().lacked() else {
            return;
        };
        let is_offered = |uid: &String| shared.nodes.resolve(&GraphNode::new(0, uid)).is_some();
        let offered: BTreeSet<String> = lacked.into_iter().filter(is_offered).collect();
        if shared.queue().wake(&offered, Instant::now()) {
            shared.publish_queue();
            shared.start_next();
            continue;
        }
        let deadline = shared.queue().next_deadline();
        let over = match deadline {
            Some(at) => tokio::time::sleep_until(at.into()).left_future(),
            None => std::future::pending().right_future(),
        };
        tokio::select! {
            () = changed => {}
            () = over => {}
            () = shared.parked.notified() => {}
            () = shared.stopping.cancelled() => return,
        }
    }
}
