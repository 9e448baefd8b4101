//! A checked graph made ready to run: dense indices, requests prepared, nothing left to look up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use nodewire_json::Json;

use super::asset_links::AssetLinks;
use super::cache::{KeyBase, is_cacheable};
use super::catalog::{InputStyle, Server};
use super::graph::{Exec, GraphNode};
use super::request::graph_node_json;
use super::topology::Edge;
use super::types::{Fit, carries_assets, port_types_fit};
use super::validate::{Checked, NodeFacts, Role};

/// What a run executes. Nodes are called by their position in `nodes`.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<PlanNode>,
    pub(crate) servers: Vec<Arc<Server>>,
}

/// How a plan is made.
#[derive(Clone, Copy)]
pub(crate) struct PlanOptions<'o> {
    /// For nodes that do not say otherwise.
    pub(crate) defaults: &'o Exec,
    /// Outputs of nodes that an earlier run has executed.
    pub(crate) finished: &'o HashMap<u64, Json>,
    /// Nodes that an earlier run may have executed, and that must not be executed twice.
    pub(crate) lost: &'o HashSet<u64>,
    /// Whether keys for the result cache are needed.
    pub(crate) caches: bool,
    /// The assets that values may name.
    pub(crate) assets: Option<&'o dyn AssetLinks>,
}

/// A node of a plan.
#[derive(Debug)]
pub(crate) struct PlanNode {
    pub(crate) id: u64,
    pub(crate) uid: Arc<str>,
    pub(crate) name: Option<String>,
    pub(crate) work: Work,
    pub(crate) exec: Exec,
    pub(crate) inputs: Vec<PlanInput>,
    /// Each once.
    pub(crate) successors: Vec<usize>,
    /// How many different nodes it waits for.
    pub(crate) sources: usize,
    /// Nodes on the longest way from here to an end, this one included.
    pub(crate) remaining: u32,
    /// An inactive node that a required input is linked to.
    pub(crate) blocked_by: Option<u64>,
}

/// What running a node means.
#[derive(Debug)]
pub(crate) enum Work {
    /// A request to a server.
    Remote(Remote),
    /// Outputs that are known already.
    Constant(Vec<(String, Json)>),
    /// Outputs that the graph pins.
    Pinned(Json),
    /// Outputs that an earlier run has made.
    Reused(Json),
    /// Nothing: an earlier run may have executed it, which must not happen twice.
    Lost,
    /// Showing what reaches it.
    Show,
    /// Passing inputs on: output name and position of the input.
    Bypass(Vec<(String, Option<usize>)>),
}

/// A node that a server runs.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) server: usize,
    /// The request's `graphNode`.
    pub(crate) graph_node: Json,
    /// The server's uid.
    pub(crate) server_uid: Arc<str>,
    /// At most one node of a group is in flight. spec: nanograph 16.1
    pub(crate) group: Option<Arc<str>>,
    /// What of its key is known; `None` if its result is not to be used again.
    pub(crate) key: Option<KeyBase>,
}

impl PlanNode {
    /// What a server runs, if one does.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        match &self.work {
            Work::Remote(remote) => Some(remote),
            Work::Constant(_)
            | Work::Pinned(_)
            | Work::Reused(_)
            | Work::Lost
            | Work::Show
            | Work::Bypass(_) => None,
        }
    }
}

/// An input port and where its list comes from.
#[derive(Debug)]
pub(crate) struct PlanInput {
    pub(crate) name: String,
    pub(crate) optional: bool,
    /// Source node and output name, in ascending order of link ids.
    pub(crate) sources: Vec<(usize, String)>,
    pub(crate) constant: Option<Json>,
    pub(crate) style: InputStyle,
    /// Whether strings that reach it may be references to assets.
    pub(crate) carries_assets: bool,
}

impl Plan {
    /// The plan of a graph in which no error was found.
    pub(crate) fn new(checked: &Checked<'_>, options: PlanOptions<'_>) -> Self {
        let mut builder = Builder::new(checked, options);
        let nodes = builder
            .positions
            .clone()
            .into_iter()
            .filter_map(|position| builder.node(position));
        let nodes = nodes.collect();
        let mut plan = Self {
            nodes,
            servers: builder.servers,
        };
        let order: Vec<usize> = checked
            .order
            .iter()
            .map(|position| builder.index[*position])
            .collect();
        plan.measure(&order);
        plan
    }

    /// Fills in what follows from the inputs. `order` has every node after its sources.
    fn measure(&mut self, order: &[usize]) {
        for node in 0..self.nodes.len() {
            let mut sources: Vec<usize> = self.nodes[node]
                .inputs
                .iter()
                .flat_map(|input| &input.sources)
                .map(|(source, _)| *source)
                .collect();
            sources.sort_unstable();
            sources.dedup();
            self.nodes[node].sources = sources.len();
            for source in sources {
                self.nodes[source].successors.push(node);
            }
        }
        for &node in order.iter().rev() {
            let after = self.nodes[node]
                .successors
                .iter()
                .map(|next| self.nodes[*next].remaining)
                .max();
            self.nodes[node].remaining = after.unwrap_or_default() + 1;
        }
    }
}

/// What is shared while the nodes of a plan are made.
struct Builder<'c, 'g> {
    checked: &'c Checked<'g>,
    options: PlanOptions<'c>,
    /// Positions in the graph of the nodes that run.
    positions: Vec<usize>,
    /// From position in the graph to position in the plan.
    index: Vec<usize>,
    servers: Vec<Arc<Server>>,
    server_index: HashMap<String, (usize, Arc<str>)>,
}

impl<'c, 'g> Builder<'c, 'g> {
    fn new(checked: &'c Checked<'g>, options: PlanOptions<'c>) -> Self {
        let runs = &checked.topology.runs;
        let positions: Vec<usize> = (0..runs.len()).filter(|position| runs[*position]).collect();
        let mut index = vec![usize::MAX; runs.len()];
        for (planned, position) in positions.iter().enumerate() {
            index[*position] = planned;
        }
        let (servers, server_index) = Default::default();
        Self {
            checked,
            options,
            positions,
            index,
            servers,
            server_index,
        }
    }

    fn node(&mut self, position: usize) -> Option<PlanNode> {
        let (node, facts) = (
            &self.checked.graph.nodes[position],
            self.checked.facts[position].as_ref()?,
        );
        let role = facts.role.as_ref()?;
        let (inputs, blocked_by) = match role {
            Role::Pinned | Role::Reused => (Vec::new(), None),
            Role::Remote(_) | Role::Builtin(_) | Role::Client | Role::Muted => {
                self.inputs(position, node, facts)
            }
        };
        let exec = node.exec.or(self.options.defaults).limited();
        let work = match role {
            Role::Remote(_) if self.options.lost.contains(&node.id) => Work::Lost,
            Role::Remote(server) => Work::Remote(self.remote(node, facts, server, &exec)),
            Role::Pinned => Work::Pinned(node.pin.clone()?),
            Role::Reused => Work::Reused(self.options.finished.get(&node.id)?.clone()),
            Role::Builtin(builtin) => builtin
                .parameter()
                .map_or(Work::Show, |_| Work::Constant(builtin.outputs(node))),
            Role::Client => Work::Show,
            Role::Muted => Work::Bypass(bypass(facts, &inputs)),
        };
        Some(PlanNode {
            id: node.id,
            uid: node.uid.as_str().into(),
            name: node.name.clone(),
            work,
            exec,
            inputs,
            successors: Vec::new(),
            sources: 0,
            remaining: 0,
            blocked_by,
        })
    }

    fn remote(
        &mut self,
        node: &GraphNode,
        facts: &NodeFacts,
        server: &Arc<Server>,
        exec: &Exec,
    ) -> Remote {
        let known = self.server_index.get(&server.uid).cloned();
        let (server_index, server_uid) = known.unwrap_or_else(|| {
            self.servers.push(server.clone());
            let index = (self.servers.len() - 1, Arc::from(server.uid.as_str()));
            self.server_index.insert(server.uid.clone(), index.clone());
            index
        });
        let group = facts
            .definition
            .raw
            .get("exclusive")
            .and_then(|name| name.decode::<String>().ok());
        Remote {
            server: server_index,
            graph_node: graph_node_json(node, &facts.definition, server),
            server_uid,
            group: group.map(Arc::from),
            key: self.key(node, facts, server, exec),
        }
    }

    fn key(
        &self,
        node: &GraphNode,
        facts: &NodeFacts,
        server: &Server,
        exec: &Exec,
    ) -> Option<KeyBase> {
        let mode = exec.cache.unwrap_or_default();
        if !self.options.caches || !is_cacheable(node, &facts.definition, mode) {
            return None;
        }
        let style = input_style(facts);
        KeyBase::new(node, &facts.definition, server, style, self.options.assets)
    }

    fn inputs(
        &self,
        position: usize,
        node: &GraphNode,
        facts: &NodeFacts,
    ) -> (Vec<PlanInput>, Option<u64>) {
        let style = input_style(facts);
        let port = |name: &str, optional| PlanInput {
            name: name.to_owned(),
            optional,
            sources: Vec::new(),
            constant: node.value(name).cloned(),
            style,
            carries_assets: facts
                .input(name)
                .is_none_or(|port| carries_assets(&port.kind)),
        };
        let mut inputs: Vec<PlanInput> = facts
            .definition
            .inputs
            .iter()
            .map(|defined| port(&defined.name, defined.optional))
            .collect();
        let mut blocked_by = None;
        for edge in self.checked.topology.incoming[position]
            .iter()
            .map(|edge| &self.checked.topology.edges[*edge])
        {
            let found = inputs
                .iter()
                .position(|input| input.name == edge.link.input);
            let at = found.unwrap_or_else(|| {
                inputs.push(port(&edge.link.input, true));
                inputs.len() - 1
            });
            match self.index[edge.source] {
                usize::MAX if !inputs[at].optional => {
                    blocked_by = blocked_by.or(Some(edge.link.source))
                }
                usize::MAX => {}
                source => inputs[at].sources.push((source, source_output(edge))),
            }
        }
        (inputs, blocked_by)
    }
}

fn source_output(edge: &Edge<'_>) -> String {
    edge.link.output.clone()
}

fn input_style(facts: &NodeFacts) -> InputStyle {
    if scalar_by_definition(facts) {
        return InputStyle::Scalar;
    }
    facts
        .server()
        .map(|server| server.input_style)
        .unwrap_or_default()
}

// spec: nanograph 14.4
fn scalar_by_definition(facts: &NodeFacts) -> bool {
    facts
        .definition
        .raw
        .get("inputStyle")
        .is_some_and(|style| style.as_str() == "\"scalar\"")
}

/// Each output of a muted node takes the first linked input of a type that fits. spec: nanograph 17.5
fn bypass(facts: &NodeFacts, inputs: &[PlanInput]) -> Vec<(String, Option<usize>)> {
    let kind = |name: &str| facts.input(name).map_or("", |port| port.kind.as_str());
    let outputs = facts.definition.outputs.iter().map(|output| {
        let fits = |input: &PlanInput| {
            !input.sources.is_empty() && port_types_fit(kind(&input.name), &output.kind) != Fit::No
        };
        (output.name.clone(), inputs.iter().position(fits))
    });
    outputs.collect()
}
