//! Ids, cycles, and whether somebody offers each node.

use std::collections::HashSet;

use super::{Checked, MAX_NAMED, NodeFacts, Role, ValidateOptions};
use crate::workflow::builtin::BUILTIN_SERVER;
use crate::workflow::graph::GraphNode;
use crate::workflow::problem::{Problem, ProblemCode};

impl Checked<'_> {
    pub(super) fn check_structure(&mut self, options: &ValidateOptions) {
        let mut found = self.duplicate_ids();
        found.extend(self.unknown_targets(&options.targets));
        found.extend(
            self.topology
                .cycles(&self.order)
                .iter()
                .map(|cycle| self.cycle(cycle)),
        );
        for (_, node, facts) in self.running() {
            found.extend(missing(node, facts));
            found.extend(version(node, facts));
            found.extend(substituted(node, facts));
        }
        found.extend(self.unused_outputs());
        self.problems.extend(found);
    }

    fn duplicate_ids(&self) -> Vec<Problem> {
        let mut seen = HashSet::new();
        let twice = self
            .graph
            .nodes
            .iter()
            .map(|node| node.id)
            .filter(|id| !seen.insert(*id));
        let nodes = twice.map(|id| {
            Problem::new(
                ProblemCode::DuplicateNodeId,
                format!("two nodes have the id {id}"),
            )
            .node(id)
        });
        let mut found: Vec<Problem> = nodes.collect();
        let mut seen = HashSet::new();
        let twice = self
            .graph
            .links
            .iter()
            .map(|link| link.id)
            .filter(|id| !seen.insert(*id));
        found.extend(twice.map(|id| {
            Problem::new(
                ProblemCode::DuplicateLinkId,
                format!("two links have the id {id}"),
            )
            .link(id)
        }));
        found
    }

    fn unknown_targets(&self, targets: &[u64]) -> Vec<Problem> {
        let unknown = targets
            .iter()
            .filter(|id| self.topology.position(**id).is_none());
        let problem = |id: &u64| {
            Problem::new(
                ProblemCode::UnknownNode,
                format!("the graph has no node {id} to run"),
            )
            .node(*id)
        };
        unknown.map(problem).collect()
    }

    fn cycle(&self, cycle: &[usize]) -> Problem {
        let ids: Vec<u64> = cycle
            .iter()
            .map(|position| self.graph.nodes[*position].id)
            .collect();
        let first = ids.first().copied().unwrap_or_default();
        let named: Vec<String> = ids.iter().take(MAX_NAMED).map(u64::to_string).collect();
        let rest = if ids.len() > MAX_NAMED {
            " → …"
        } else {
            ""
        };
        let message = format!(
            "nodes wait for each other: {}{rest} → {first}",
            named.join(" → ")
        );
        let mut problem = Problem::new(ProblemCode::Cycle, message).node(first);
        problem.node_ids = ids;
        problem
    }

    /// Nodes whose outputs go nowhere although the graph says elsewhere what its results are.
    ///
    /// A graph whose last nodes all have outputs is taken to mean those as its results.
    fn unused_outputs(&self) -> Vec<Problem> {
        let is_last = |position: usize| self.topology.outgoing[position].is_empty();
        let says_results = |facts: &NodeFacts| {
            facts.definition.outputs.is_empty() && !facts.definition.inputs.is_empty()
        };
        if !self
            .running()
            .any(|(position, _, facts)| is_last(position) && says_results(facts))
        {
            return Vec::new();
        }
        let unused = |(position, node, facts): (usize, &GraphNode, &NodeFacts)| {
            let is_unused = is_last(position) && !facts.definition.outputs.is_empty();
            is_unused.then(|| {
                let message = format!("nothing takes what {} makes", node.title());
                Problem::new(ProblemCode::NoOutputsUsed, message).node(node.id)
            })
        };
        self.running().filter_map(unused).collect()
    }
}

fn missing(node: &GraphNode, facts: &NodeFacts) -> Option<Problem> {
    if facts.role.is_some() {
        return None;
    }
    let server = node
        .server_uid
        .as_deref()
        .map(|uid| format!(" server \"{uid}\""));
    let package = node
        .server_package_id
        .as_deref()
        .map(|id| format!(" package \"{id}\""));
    let placed = match (server, package) {
        (None, None) => String::new(),
        (server, package) => format!(
            "; it was placed from{}{}",
            server.unwrap_or_default(),
            package.unwrap_or_default()
        ),
    };
    let absence = facts.absence.as_deref();
    let why = absence.map_or_else(String::new, |why| format!("; {why}"));
    let message = format!(
        "no server offers \"{}\" for {}{placed}{why}",
        node.uid,
        node.title()
    );
    Some(Problem::new(ProblemCode::NodeMissing, message).node(node.id))
}

fn version(node: &GraphNode, facts: &NodeFacts) -> Option<Problem> {
    let saved = node.version.as_deref()?;
    let offered = facts.definition.version.as_str();
    if saved == offered {
        return None;
    }
    let message = format!(
        "{} was saved with version {saved}, the server has {offered}",
        node.title()
    );
    Some(Problem::new(ProblemCode::VersionDiffers, message).node(node.id))
}

fn substituted(node: &GraphNode, facts: &NodeFacts) -> Option<Problem> {
    if !facts.substituted {
        return None;
    }
    let server = match facts.role.as_ref()? {
        Role::Remote(server) => server.uid.as_str(),
        Role::Builtin(_) => BUILTIN_SERVER,
        Role::Client | Role::Muted | Role::Pinned | Role::Reused => return None,
    };
    let is_named = node.server_uid.is_some() || node.server_package_id.is_some();
    let instead = if is_named {
        "instead of the one it was placed from"
    } else {
        "as it names none"
    };
    let message = format!("{} runs on server \"{server}\" {instead}", node.title());
    Some(Problem::new(ProblemCode::ServerSubstituted, message).node(node.id))
}
