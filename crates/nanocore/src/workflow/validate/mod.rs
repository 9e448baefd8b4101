//! Checking a graph before anything runs; everything is found at once. spec: nanograph 17.4

mod facts;
mod links;
mod params;
mod structure;

use std::collections::HashMap;

use nanograph::message::Port;
use nodewire_json::Json;

pub(crate) use facts::{NodeFacts, Role};

use super::catalog::Catalog;
use super::graph::{Graph, GraphNode};
use super::problem::Problem;
use super::topology::Topology;
use super::types::TypeCheck;

/// What to check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValidateOptions {
    /// Only these nodes and what they need will run; empty for all.
    pub targets: Vec<u64>,
    /// How strictly links' types are checked.
    pub types: TypeCheck,
}

/// Everything found about a graph. If nothing of it [is an error](Problem::is_error), the graph can run.
///
/// Ids and ends of links are always checked, all else only at nodes that will run.
#[must_use]
pub fn validate(graph: &Graph, catalog: &dyn Catalog, options: &ValidateOptions) -> Vec<Problem> {
    Checked::new(graph, catalog, options, &HashMap::new()).problems
}

/// A graph with what was found out about it.
#[derive(Debug)]
pub(crate) struct Checked<'g> {
    pub(crate) graph: &'g Graph,
    pub(crate) topology: Topology<'g>,
    /// Running nodes, each after its sources.
    pub(crate) order: Vec<usize>,
    /// Per node; `None` for those that do not run.
    pub(crate) facts: Vec<Option<NodeFacts>>,
    pub(crate) problems: Vec<Problem>,
}

impl<'g> Checked<'g> {
    /// `finished` has what an earlier run made already.
    pub(crate) fn new(
        graph: &'g Graph,
        catalog: &dyn Catalog,
        options: &ValidateOptions,
        finished: &HashMap<u64, Json>,
    ) -> Self {
        let topology = Topology::new(graph, &options.targets);
        let order = topology.order();
        let look_up = |(position, node): (usize, &GraphNode)| {
            let is_finished = finished.contains_key(&node.id);
            topology.runs[position].then(|| NodeFacts::look_up(node, catalog, is_finished))
        };
        let facts = graph.nodes.iter().enumerate().map(look_up).collect();
        let mut checked = Self {
            graph,
            topology,
            order,
            facts,
            problems: Vec::new(),
        };
        checked.check_structure(options);
        checked.check_links(options.types);
        checked.check_inputs();
        checked.check_params();
        checked
    }

    /// The running nodes with what is known of them, in file order.
    fn running(&self) -> impl Iterator<Item = (usize, &'g GraphNode, &NodeFacts)> {
        let nodes = self.graph.nodes.iter().zip(&self.facts).enumerate();
        nodes.filter_map(|(position, (node, facts))| Some((position, node, facts.as_ref()?)))
    }
}

/// How many nodes or ports a message names.
const MAX_NAMED: usize = 20;

/// The names of ports for a message.
fn names(ports: &[Port]) -> String {
    if ports.is_empty() {
        return "it has none".to_owned();
    }
    let named: Vec<String> = ports
        .iter()
        .take(MAX_NAMED)
        .map(|port| format!("\"{}\"", port.name))
        .collect();
    let more = match ports.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("it has {}{more}", named.join(", "))
}
