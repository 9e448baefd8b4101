//! The graph file: nodes, links, and everything else in it kept as it was. spec: nanograph 17.1

mod exec;
mod node;
mod parse;
mod reader;
mod write;

pub(crate) use exec::MAX_TIME;
pub use exec::{CacheMode, Exec, OnError};
pub use node::{GraphNode, GraphParam, SavedPort};
pub use parse::{
    EXEC_KEYS, GRAPH_KEYS, LINK_KEYS, MAX_LINKS, MAX_NODES, NODE_KEYS, PARAM_KEYS, PORT_KEYS,
};

use nodewire_json::Json;

use super::problem::{InvalidGraph, Problem, ProblemCode};

/// A graph file. Keys it does not know are kept in `extra` and written back unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// Identifies the graph across versions.
    pub uid: Option<String>,
    /// Name and version, as in the file; `null` if absent.
    pub meta: Json,
    /// The placed nodes, in file order.
    pub nodes: Vec<GraphNode>,
    /// The links, in file order.
    pub links: Vec<Link>,
    /// Keys without meaning here, in file order.
    pub extra: Vec<(String, Json)>,
}

/// A link from an output to an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Unique in the graph; also the order in which links into one input are joined.
    pub id: i64,
    /// The node that makes the value.
    pub source: u64,
    /// Its output port.
    pub output: String,
    /// The node that takes the value.
    pub target: u64,
    /// Its input port.
    pub input: String,
    /// Keys without meaning here.
    pub extra: Vec<(String, Json)>,
}

impl Link {
    /// A link from `(node, output)` to `(node, input)`.
    #[must_use]
    pub fn new(id: i64, from: (u64, &str), to: (u64, &str)) -> Self {
        Self {
            id,
            source: from.0,
            output: from.1.to_owned(),
            target: to.0,
            input: to.1.to_owned(),
            extra: Vec::new(),
        }
    }
}

impl Graph {
    /// Parses a graph file.
    ///
    /// # Errors
    /// Everything that is wrong with its shape, each with the path to it.
    pub fn parse(text: &str) -> Result<Self, InvalidGraph> {
        let json = Json::parse(text.to_owned()).map_err(|error| not_json(text, &error))?;
        Self::from_json(&json)
    }

    /// Reads a graph out of a JSON value.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_json(json: &Json) -> Result<Self, InvalidGraph> {
        parse::graph(json)
    }

    /// The file's text: known keys first, then the others as they were.
    #[must_use]
    pub fn to_json(&self) -> Json {
        write::graph(self)
    }

    /// The node with this label (`name` in the file); else the one with this id; else the only one with this definition,
    /// given as its uid alone or with the id as it is shown of nodes without a label (`echo-2`).
    ///
    /// # Errors
    /// If there is none, or several have the label or the definition.
    pub fn find(&self, name: &str) -> Result<&GraphNode, FindError> {
        self.find_index(name).map(|index| &self.nodes[index])
    }

    /// As [`Self::find`], to change the node.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_mut(&mut self, name: &str) -> Result<&mut GraphNode, FindError> {
        self.find_index(name).map(|index| &mut self.nodes[index])
    }

    fn find_index(&self, name: &str) -> Result<usize, FindError> {
        let id = name.parse::<u64>().ok();
        let shown = name.rsplit_once('-');
        let shown = shown.and_then(|(uid, id)| Some((uid, id.parse::<u64>().ok()?)));
        self.only(name, |node| node.name.as_deref() == Some(name))
            .or_else(|| self.only(name, |node| Some(node.id) == id))
            .or_else(|| self.only(name, |node| shown == Some((&*node.uid, node.id))))
            .or_else(|| self.only(name, |node| node.uid == name))
            .unwrap_or_else(|| {
                Err(FindError::NotFound {
                    name: name.to_owned(),
                    known: self.known(),
                })
            })
    }

    /// The only node that is wanted; `None` if there is none.
    fn only(
        &self,
        name: &str,
        is_wanted: impl Fn(&GraphNode) -> bool,
    ) -> Option<Result<usize, FindError>> {
        let nodes = self.nodes.iter().enumerate();
        let mut found = nodes.filter(|(_, node)| is_wanted(node));
        let (index, _) = found.next()?;
        Some(match found.next() {
            None => Ok(index),
            Some(_) => Err(FindError::Ambiguous(name.to_owned())),
        })
    }

    /// What nodes may be called, for people.
    fn known(&self) -> String {
        let called = |node: &GraphNode| match &node.name {
            Some(name) => name.clone(),
            None => format!("{} ({})", node.id, node.uid),
        };
        let mut known: Vec<String> = self.nodes.iter().take(KNOWN_MAX).map(called).collect();
        let more = self.nodes.len() - known.len();
        if more > 0 {
            known.push(format!("and {more} more"));
        }
        if known.is_empty() {
            return "it has none".to_owned();
        }
        format!("its nodes: {}", known.join(", "))
    }
}

/// How many nodes an error names.
const KNOWN_MAX: usize = 20;

/// Why [`Graph::find`] found no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// No node is called so.
    #[error("the graph has no node \"{name}\" ({known})")]
    NotFound {
        /// What was looked for.
        name: String,
        /// For people: what there is.
        known: String,
    },
    /// Several nodes are called so.
    #[error("several nodes of the graph are called \"{0}\"; use the id")]
    Ambiguous(String),
}

fn not_json(text: &str, error: &nodewire_json::ScanError) -> InvalidGraph {
    let before = text.get(..error.offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let message = format!("not JSON: {}, line {line} column {column}", error.kind);
    InvalidGraph {
        problems: vec![Problem::new(ProblemCode::BadGraph, message).path("")],
    }
}
