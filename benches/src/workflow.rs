//! What a step of a workflow costs the engine: nodes that do nothing, in this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::stream::{BoxStream, StreamExt, once};
use nanocore::workflow::{
    Call, Engine, Graph, GraphNode, InProcess, Link, Report, RunOptions, RunStatus, Server,
    ValidateOptions, validate,
};
use nanograph::message::{NodeDefinition, Port};
use nodewire_json::Json;

/// Nodes to measure with.
#[derive(Debug)]
pub struct Nodes(Arc<InProcess>);

/// What one run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunTime {
    /// Checking and planning, before the first node.
    pub start: Duration,
    /// From the first node to the result.
    pub steps: Duration,
}

impl Nodes {
    /// One node type with two optional inputs and one output, which ends at once.
    ///
    /// # Errors
    /// Never, as long as the texts in here are JSON.
    pub fn new() -> anyhow::Result<Self> {
        let port = |name: &str, optional| Port {
            name: name.to_owned(),
            kind: "any".to_owned(),
            optional,
            ..Port::default()
        };
        let definition = NodeDefinition {
            inputs: vec![port("a", true), port("b", true)],
            outputs: vec![port("out", false)],
            ..NodeDefinition::new("no-op")
        };
        let done = Report::complete(&Json::parse(r#"{"out": [1]}"#)?);
        let handler = move |_: Call| -> BoxStream<'static, Report> {
            once(std::future::ready(done.clone())).boxed()
        };
        let server = Server {
            uid: "s".to_owned(),
            ..Server::default()
        };
        Ok(Self(Arc::new(
            InProcess::new().server(server, [(definition, handler)]),
        )))
    }

    /// Runs a graph.
    ///
    /// # Errors
    /// The graph is refused, or does not complete.
    pub async fn run(&self, graph: &Graph) -> anyhow::Result<RunTime> {
        let begin = Instant::now();
        let run = Engine::new(Arc::clone(&self.0)).start(graph, RunOptions::default())?;
        let start = begin.elapsed();
        let result = run.result().await.context("the run has no result")?;
        ensure!(
            result.status == RunStatus::Complete,
            "the run did not complete"
        );
        Ok(RunTime {
            start,
            steps: begin.elapsed() - start,
        })
    }

    /// How long checking a graph takes.
    #[must_use]
    pub fn check(&self, graph: &Graph) -> Duration {
        let begin = Instant::now();
        let problems = validate(graph, &*self.0, &ValidateOptions::default());
        std::hint::black_box(problems);
        begin.elapsed()
    }
}

/// Layers of nodes; each takes from the node above and, if there is one, from that one's neighbour.
///
/// # Errors
/// There are more links than can be numbered.
pub fn grid(width: u64, depth: u64) -> anyhow::Result<Graph> {
    let mut graph = Graph::default();
    for id in 0..width * depth {
        graph.nodes.push(GraphNode {
            server_uid: Some("s".to_owned()),
            ..GraphNode::new(id, "no-op")
        });
        let Some(above) = id.checked_sub(width) else {
            continue;
        };
        let next = i64::try_from(graph.links.len())?;
        graph.links.push(Link::new(next, (above, "out"), (id, "a")));
        if above % width + 1 < width {
            graph
                .links
                .push(Link::new(next + 1, (above + 1, "out"), (id, "b")));
        }
    }
    Ok(graph)
}
