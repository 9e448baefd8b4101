//! Graphs and servers for tests.

use std::sync::{Arc, Mutex};

use futures_util::stream::{BoxStream, StreamExt};
use nanocore::workflow::{
    Call, Engine, Event, EventKind, Graph, GraphNode, InProcess, Link, Report, RunOptions,
    RunResult, Server,
};
use nanograph::message::{NodeDefinition, Port};
use nodewire_json::Json;

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text.to_owned()).unwrap()
}

pub(crate) fn port(name: &str, kind: &str) -> Port {
    Port {
        name: name.to_owned(),
        kind: kind.to_owned(),
        ..Port::default()
    }
}

pub(crate) fn optional(name: &str, kind: &str) -> Port {
    Port {
        optional: true,
        ..port(name, kind)
    }
}

/// A definition with these ports.
pub(crate) fn definition(uid: &str, inputs: Vec<Port>, outputs: Vec<Port>) -> NodeDefinition {
    NodeDefinition {
        inputs,
        outputs,
        ..NodeDefinition::new(uid)
    }
}

pub(crate) fn server(uid: &str) -> Server {
    Server {
        uid: uid.to_owned(),
        package_id: Some(format!("{uid}-package")),
        ..Server::default()
    }
}

/// A graph out of `(id, uid)` and `(source, output, target, input)`; nodes whose uid is a builtin's are builtins.
pub(crate) fn graph(nodes: &[(u64, &str)], links: &[(u64, &str, u64, &str)]) -> Graph {
    let node = |(id, uid): &(u64, &str)| {
        let mut node = GraphNode::new(*id, *uid);
        if uid.ends_with("-input") || *uid == "viewer" {
            node.server_uid = Some("builtin".to_owned());
        }
        node
    };
    let link = |(id, (source, output, target, input)): (i64, &(u64, &str, u64, &str))| {
        Link::new(id, (*source, output), (*target, input))
    };
    Graph {
        nodes: nodes.iter().map(node).collect(),
        links: (1..).zip(links).map(link).collect(),
        ..Graph::default()
    }
}

pub(crate) fn set_text(graph: &mut Graph, node: &str, text: &str) {
    graph
        .find_mut(node)
        .unwrap()
        .set_param("text", Json::from(text));
}

/// The calls that reached a server, and the stops.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A handler that says all this at once.
pub(crate) fn says(
    reports: impl Fn(&Call) -> Vec<Report> + Send + Sync + 'static,
) -> impl Fn(Call) -> BoxStream<'static, Report> + Send + Sync + 'static {
    move |call| futures_util::stream::iter(reports(&call)).boxed()
}

/// A handler that says all this and then nothing, without ending.
pub(crate) fn says_and_hangs(
    reports: impl Fn(&Call) -> Vec<Report> + Send + Sync + 'static,
) -> impl Fn(Call) -> BoxStream<'static, Report> + Send + Sync + 'static {
    move |call| {
        futures_util::stream::iter(reports(&call))
            .chain(futures_util::stream::pending())
            .boxed()
    }
}

/// All elements of an input, joined by `+`.
pub(crate) fn joined(call: &Call, input: &str) -> String {
    let values: Vec<String> = call
        .request
        .inputs
        .get(input)
        .map(|list| list.decode().unwrap())
        .unwrap_or_default();
    values.join("+")
}

pub(crate) fn text_output(text: &str) -> Json {
    json(&format!(r#"{{"text": [{}]}}"#, Json::from(text)))
}

/// Runs to the end; all events and the result.
pub(crate) async fn run(
    nodes: InProcess,
    graph: &Graph,
    options: RunOptions,
) -> (Vec<Event>, RunResult) {
    let mut run = Engine::new(Arc::new(nodes)).start(graph, options).unwrap();
    let mut events = Vec::new();
    while let Some(event) = run.next_event().await {
        events.push(event);
    }
    (events, run.result().await.unwrap())
}

/// Events in short.
pub(crate) fn short(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| short_kind(&event.kind)).collect()
}

fn short_kind(kind: &EventKind) -> String {
    match kind {
        EventKind::RunStarted { nodes, reused } if reused.is_empty() => {
            format!("started {nodes:?}")
        }
        EventKind::RunStarted { nodes, reused } => format!("started {nodes:?} reusing {reused:?}"),
        EventKind::NodeState {
            node_id,
            state,
            attempt,
            cause,
            ..
        } => {
            let cause = cause
                .map(|cause| format!(" because of {cause}"))
                .unwrap_or_default();
            let attempt = if *attempt > 1 {
                format!(" again {attempt}")
            } else {
                String::new()
            };
            format!("{node_id} {state}{attempt}{cause}")
        }
        EventKind::NodeStatus { node_id, status } => {
            format!(
                "{node_id} says {}",
                status.message.as_deref().unwrap_or_default()
            )
        }
        EventKind::NodeComplete {
            node_id,
            outputs,
            cached,
            ..
        } => {
            let how = if *cached { "cached" } else { "complete" };
            format!("{node_id} {how} {outputs}")
        }
        EventKind::NodeError {
            node_id,
            error,
            retry_in,
        } => {
            let then = if retry_in.is_some() { ", retry" } else { "" };
            format!("{node_id} failed: {error}{then}")
        }
        EventKind::RunFinished { status, .. } => format!("finished {status}"),
        other => format!("{other:?}"),
    }
}

/// What came of the nodes, in short: `id state`.
pub(crate) fn states(result: &RunResult) -> Vec<String> {
    result
        .nodes
        .iter()
        .map(|node| format!("{} {}", node.node_id, node.state))
        .collect()
}
