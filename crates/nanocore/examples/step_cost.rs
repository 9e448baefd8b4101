//! What a step of a workflow costs: no-op nodes in process, and the check of a large graph.
//!
//! `cargo run --release -p nanocore --example step_cost`

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a program for people"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{BoxStream, StreamExt, once};
use nanocore::workflow::{
    Call, Engine, Graph, GraphNode, InProcess, Link, NodeInvoker, Report, RunOptions, RunStatus,
    Server, ValidateOptions, validate,
};
use nanograph::message::{NodeDefinition, Port};
use nodewire_json::Json;

const ROUNDS: usize = 101;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let nodes = Arc::new(no_op());
    for (name, graph) in [
        ("chain of 400", grid(1, 400)),
        ("20 wide, 20 deep", grid(20, 20)),
    ] {
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            times.push(run(&nodes, &graph).await);
        }
        let (start, steps): (Vec<_>, Vec<_>) = times.into_iter().unzip();
        let (start, steps) = (per_step(median(start)), per_step(median(steps)));
        println!("{name}: {steps:.2} us per step, and {start:.2} us per node to check and plan");
    }
    let large = grid(100, 100);
    let text = large.to_json();
    let parse = median(
        (0..11)
            .map(|_| timed(|| drop(Graph::from_json(&text).expect("valid"))))
            .collect(),
    );
    let check = median(
        (0..11)
            .map(|_| timed(|| drop(validate(&large, &*nodes, &ValidateOptions::default()))))
            .collect(),
    );
    println!("10000 nodes, 19800 links: parsed in {parse:.1?}, checked in {check:.1?}");
}

fn no_op() -> InProcess {
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
    let outputs = Json::parse(r#"{"out": [1]}"#).expect("valid");
    let done = Report::complete(&outputs);
    let handler = move |_: Call| -> BoxStream<'static, Report> {
        once(std::future::ready(done.clone())).boxed()
    };
    InProcess::new().server(
        Server {
            uid: "s".to_owned(),
            ..Server::default()
        },
        [(definition, handler)],
    )
}

/// Layers of nodes; each takes from the node above and, if there is one, from that one's neighbour.
fn grid(width: u64, depth: u64) -> Graph {
    let mut graph = Graph::default();
    for id in 0..width * depth {
        graph.nodes.push(GraphNode {
            server_uid: Some("s".to_owned()),
            ..GraphNode::new(id, "no-op")
        });
        if let Some(above) = id.checked_sub(width) {
            let next = i64::try_from(graph.links.len()).expect("few");
            graph.links.push(Link::new(next, (above, "out"), (id, "a")));
            if above % width + 1 < width {
                graph
                    .links
                    .push(Link::new(next + 1, (above + 1, "out"), (id, "b")));
            }
        }
    }
    graph
}

async fn run<I: NodeInvoker + 'static>(nodes: &Arc<I>, graph: &Graph) -> (Duration, Duration) {
    let begin = Instant::now();
    let run = Engine::new(nodes.clone())
        .start(graph, RunOptions::default())
        .expect("valid");
    let started = begin.elapsed();
    let result = run.result().await.expect("ends");
    assert_eq!(result.status, RunStatus::Complete);
    (started, begin.elapsed() - started)
}

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn per_step(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6 / 400.0
}
