//! Runs that share places for nodes in flight.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{StreamExt, once};
use nanocore::workflow::{
    Call, Capacity, CapacityUsage, Engine, Graph, InProcess, Limits, Report, Run, RunOptions,
    RunStatus, Server,
};
use nanograph::message::NodeDefinition;
use tokio::sync::Semaphore;

use crate::support::*;

/// A node that says when it begins, and ends when it gets a permit.
fn working(
    log: &Log,
    gate: &Arc<Semaphore>,
    servers: &[Server],
    node: &NodeDefinition,
) -> InProcess {
    let mut nodes = InProcess::new();
    for server in servers {
        let (log, gate) = (log.clone(), gate.clone());
        let handler = move |call: Call| {
            let label = joined(&call, "label");
            log.add(label);
            let gate = gate.clone();
            let answer = async move {
                gate.acquire().await.unwrap().forget();
                Report::complete(&json("{}"))
            };
            once(answer).boxed()
        };
        nodes = nodes.server(server.clone(), [(node.clone(), handler)]);
    }
    nodes
}

fn work() -> NodeDefinition {
    definition("work", vec![port("label", "string")], vec![])
}

/// `count` nodes without links on a server, labelled `<label><id>`.
fn independent(label: &str, server: &str, count: u64) -> Graph {
    let nodes: Vec<(u64, &str)> = (1..=count).map(|id| (id, "work")).collect();
    let mut graph = graph(&nodes, &[]);
    for node in &mut graph.nodes {
        node.server_uid = Some(server.to_owned());
        let list = format!(r#"["{label}{}"]"#, node.id);
        node.set_value("label", json(&list));
    }
    graph
}

struct Shared {
    engine: Engine<InProcess>,
    capacity: Capacity,
    log: Log,
    gate: Arc<Semaphore>,
}

impl Shared {
    fn new(in_flight: usize, in_flight_per_server: usize, node: &NodeDefinition) -> Self {
        let (log, gate) = (Log::default(), Arc::new(Semaphore::new(0)));
        let servers = [server("s"), server("t")];
        let limits = Limits {
            in_flight,
            in_flight_per_server,
        };
        Self {
            engine: Engine::new(Arc::new(working(&log, &gate, &servers, node))),
            capacity: Capacity::new(limits),
            log,
            gate,
        }
    }

    fn start(&self, graph: &Graph, priority: i32) -> Run {
        let options = RunOptions {
            capacity: Some(self.capacity.clone()),
            priority,
            ..RunOptions::default()
        };
        self.engine.start(graph, options).unwrap()
    }

    /// Lets nodes end, one after the other, each after all others have come to rest.
    async fn let_end(&self, count: usize) {
        for _ in 0..count {
            self.gate.add_permits(1);
            idle().await;
        }
    }
}

/// Until nothing more happens: the clock is stopped while anything does.
async fn idle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn completes(run: Run) {
    assert_eq!(run.result().await.unwrap().status, RunStatus::Complete);
}

// spec: nanograph 16.1
#[tokio::test(start_paused = true)]
async fn places_go_by_priority_then_age_then_id() {
    let shared = Shared::new(1, 4, &work());
    let first = shared.start(&independent("a", "s", 3), 0);
    idle().await;
    let second = shared.start(&independent("b", "t", 2), 0);
    let urgent = shared.start(&independent("c", "s", 2), 1);
    idle().await;
    let usage = CapacityUsage {
        in_flight: 1,
        waiting: 6,
        groups_busy: 0,
    };
    assert_eq!(shared.capacity.usage(), usage);
    shared.let_end(7).await;
    assert_eq!(
        shared.log.lines(),
        ["a1", "c1", "c2", "a2", "a3", "b1", "b2"]
    );
    for run in [first, second, urgent] {
        completes(run).await;
    }
    assert_eq!(shared.capacity.usage(), CapacityUsage::default());
}

#[tokio::test(start_paused = true)]
async fn a_server_has_so_many_places_over_all_runs() {
    let shared = Shared::new(64, 2, &work());
    let runs = ["a", "b"].map(|label| shared.start(&independent(label, "s", 2), 0));
    let other = shared.start(&independent("c", "t", 1), -1);
    idle().await;
    assert_eq!(shared.log.lines(), ["a1", "a2", "c1"]);
    shared.let_end(5).await;
    assert_eq!(shared.log.lines().len(), 5);
    for run in runs.into_iter().chain([other]) {
        completes(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_exclusive_group_spans_servers_and_runs() {
    let text = work()
        .to_json()
        .to_string()
        .replacen('{', r#"{"exclusive": "gpu0", "#, 1);
    let exclusive = NodeDefinition {
        raw: json(&text),
        ..work()
    };
    let shared = Shared::new(64, 4, &exclusive);
    let runs = ["s", "t"].map(|server| shared.start(&independent(server, server, 2), 0));
    idle().await;
    assert_eq!(shared.log.lines(), ["s1"]);
    assert_eq!(shared.capacity.usage().groups_busy, 1);
    shared.let_end(4).await;
    assert_eq!(shared.log.lines(), ["s1", "s2", "t1", "t2"]);
    for run in runs {
        completes(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_gives_its_places_back() {
    let shared = Shared::new(1, 1, &work());
    let first = shared.start(&independent("a", "s", 3), 0);
    idle().await;
    let second = shared.start(&independent("b", "s", 1), 0);
    idle().await;
    assert_eq!(shared.log.lines(), ["a1"]);
    drop(first);
    shared.gate.add_permits(2);
    completes(second).await;
    assert_eq!(shared.log.lines(), ["a1", "b1"]);
    idle().await;
    assert_eq!(shared.capacity.usage(), CapacityUsage::default());
}
