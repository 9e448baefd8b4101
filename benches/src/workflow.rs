//! What a step of a workflow costs the engine: nodes that do nothing, in this process and on a node server.

mod disk;
mod managed;
mod timed;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::stream::{BoxStream, StreamExt, once};
use nanocore::workflow::{
    Call, Engine, Graph, GraphNode, InProcess, Link, NodeInvoker, Report, RunOptions, RunStatus,
    Server, ServerPool, ServerSettings, ValidateOptions, validate,
};
use nanograph::client::{Client, ClientConfig};
use nanograph::message::{NodeDefinition, Port};
use nodewire_json::Json;

pub use disk::sync_us;
pub use managed::Managed;
pub use timed::Timed;

/// What one run took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTime {
    /// Checking and planning, before the first node.
    pub start: Duration,
    /// From the first node to the result.
    pub steps: Duration,
    /// From each node to the next, in the order in which they were executed.
    pub between: Vec<Duration>,
}

/// One node type with two optional inputs and one output, which ends at once, in this process.
///
/// # Errors
/// Never, as long as the texts in here are JSON.
pub fn nodes_in_process() -> anyhow::Result<Timed<InProcess>> {
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
    let nodes = InProcess::new().server(server, [(definition, handler)]);
    Ok(Timed::new(nodes))
}

/// The nodes of the server at `address`.
///
/// # Errors
/// It cannot be reached.
pub async fn nodes_of_server(address: &str) -> anyhow::Result<Timed<ServerPool>> {
    let client = Client::connect(&format!("ws://{address}/"), ClientConfig::default()).await?;
    let pool = ServerPool::new();
    pool.add(client, ServerSettings::default());
    Ok(Timed::new(pool))
}

/// Runs a graph.
///
/// # Errors
/// The graph is refused, or does not complete.
pub async fn run<I: NodeInvoker + 'static>(
    nodes: &Arc<Timed<I>>,
    graph: &Graph,
) -> anyhow::Result<RunTime> {
    nodes.forget();
    let begin = Instant::now();
    let run = Engine::new(Arc::clone(nodes)).start(graph, RunOptions::default())?;
    let start = begin.elapsed();
    let result = run.result().await.context("the run has no result")?;
    let steps = begin.elapsed() - start;
    ensure!(
        result.status == RunStatus::Complete,
        "the run did not complete"
    );
    Ok(RunTime {
        start,
        steps,
        between: nodes.between(),
    })
}

/// How long checking a graph takes.
#[must_use]
pub fn check(nodes: &Timed<InProcess>, graph: &Graph) -> Duration {
    let begin = Instant::now();
    let problems = validate(graph, nodes, &ValidateOptions::default());
    std::hint::black_box(problems);
    begin.elapsed()
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

/// A chain of nodes that do nothing.
#[must_use]
pub fn chain_in_process(length: u64) -> String {
    chain(length, r#""uid": "no-op", "serverUid": "s""#, ("a", "out"))
}

/// A chain of the bench's echo nodes ([`crate::nanograph`]), which hands two words on.
#[must_use]
pub fn chain_of_echoes(length: u64) -> String {
    chain(
        length,
        r#""uid": "echo", "serverUid": "bench""#,
        ("text", "text"),
    )
}

/// A graph file.
fn chain(length: u64, node: &str, (input, output): (&str, &str)) -> String {
    let first = format!(r#"{{"{input}": ["hi", "you"]}}"#);
    let values = |id| if id == 0 { first.as_str() } else { "{}" };
    let node = |id| {
        let values = values(id);
        format!(r#"{{"id": {id}, {node}, "params": [], "values": {values}}}"#)
    };
    let link = |id| {
        let from = id - 1;
        format!(r#"{{"id": {id}, "link": [{from}, "{output}", {id}, "{input}"]}}"#)
    };
    let nodes: Vec<_> = (0..length).map(node).collect();
    let links: Vec<_> = (1..length).map(link).collect();
    format!(
        r#"{{"nodes": [{}], "links": [{}]}}"#,
        nodes.join(", "),
        links.join(", ")
    )
}
