//! A checked graph made ready to run: dense indices, requests prepared, nothing left to look up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use nodewire_json::Json;

use super::catalog::{InputStyle, Server};
use super::graph::{Exec, GraphNode};
use super::request::graph_node_json;
use super::topology::Edge;
use super::types::{Fit, port_types_fit};
use super::validate::{Checked, NodeFacts, Role};

/// What a run executes. Nodes are called by their position in `nodes`.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<PlanNode>,
    pub(crate) servers: Vec<Arc<Server>>,
    /// How many names of exclusive groups there are.
    pub(crate) groups: usize,
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
    /// At most one node of a group is in flight. spec: nanograph 16.1
    pub(crate) group: Option<usize>,
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
}

impl Plan {
    /// The plan of a graph in which no error was found.
    pub(crate) fn new(checked: &Checked<'_>, defaults: &Exec) -> Self {
        let mut builder = Builder::new(checked);
        let nodes = builder
            .positions
            .clone()
            .into_iter()
            .filter_map(|position| builder.node(position, defaults));
        let nodes = nodes.collect();
        let mut plan = Self {
            nodes,
            servers: builder.servers,
            groups: builder.group_names.len(),
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
    /// Positions in the graph of the nodes that run.
    positions: Vec<usize>,
    /// From position in the graph to position in the plan.
    index: Vec<usize>,
    servers: Vec<Arc<Server>>,
    server_index: HashMap<String, usize>,
    group_names: BTreeMap<String, usize>,
}

impl<'c, 'g> Builder<'c, 'g> {
    fn new(checked: &'c Checked<'g>) -> Self {
        let runs = &checked.topology.runs;
        let positions: Vec<usize> = (0..runs.len()).filter(|position| runs[*position]).collect();
        let mut index = vec![usize::MAX; runs.len()];
        for (planned, position) in positions.iter().enumerate() {
            index[*position] = planned;
        }
        let (servers, server_index, group_names) = Default::default();
        Self {
            checked,
            positions,
            index,
            servers,
            server_index,
            group_names,
        }
    }

    fn node(&mut self, position: usize, defaults: &Exec) -> Option<PlanNode> {
        let (node, facts) = (
            &self.checked.graph.nodes[position],
            self.checked.facts[position].as_ref()?,
        );
        let (inputs, blocked_by) = self.inputs(position, node, facts);
        let work = match facts.role.as_ref()? {
            Role::Remote(server) => Work::Remote(self.remote(node, facts, server)),
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
            exec: node.exec.or(defaults).limited(),
            inputs,
            successors: Vec::new(),
            sources: 0,
            remaining: 0,
            blocked_by,
        })
    }

    fn remote(&mut self, node: &GraphNode, facts: &NodeFacts, server: &Arc<Server>) -> Remote {
        let known = self.server_index.get(&server.uid).copied();
        let server_index = known.unwrap_or_else(|| {
            self.servers.push(server.clone());
            self.server_index
                .insert(server.uid.clone(), self.servers.len() - 1);
            self.servers.len() - 1
        });
        let group = facts
            .definition
            .raw
            .get("exclusive")
            .and_then(|name| name.decode::<String>().ok());
        let next = self.group_names.len();
        let group = group.map(|name| *self.group_names.entry(name).or_insert(next));
        Remote {
            server: server_index,
            graph_node: graph_node_json(node, &facts.definition, server),
            group,
        }
    }

    fn inputs(
        &self,
        position: usize,
        node: &GraphNode,
        facts: &NodeFacts,
    ) -> (Vec<PlanInput>, Option<u64>) {
        let style = facts
            .server()
            .map(|server| server.input_style)
            .unwrap_or_default();
        let style = if scalar_by_definition(facts) {
            InputStyle::Scalar
        } else {
            style
        };
        let port = |name: &str, optional| PlanInput {
            name: name.to_owned(),
            optional,
            sources: Vec::new(),
            constant: node.value(name).cloned(),
            style,
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
