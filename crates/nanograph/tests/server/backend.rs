//! The nodes of the recorded exchanges, written for our `Backend`.

use std::sync::Arc;

use nanograph::message::{ExecutionRequest, NodeDefinition, Progress, ServerMessage};
use nanograph::server::{Backend, Identity, Replies, Server, ServerOptions, Stats, StopHandle};
use nodewire_json::Json;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::traces;

/// Executes the trace nodes. Those that take time wait until [`TestServer::release`] is called.
#[derive(Clone)]
pub(crate) struct TraceNodes {
    definitions: Arc<watch::Sender<Vec<NodeDefinition>>>,
    version: Arc<watch::Sender<u64>>,
    release: Arc<watch::Sender<bool>>,
}

/// Counts the stops, since some nodes act differently on the second.
#[derive(Clone)]
pub(crate) struct Stops(Arc<watch::Sender<u32>>);

impl StopHandle for Stops {
    fn stop(&self) {
        self.0.send_modify(|stops| *stops += 1);
    }
}

impl Stops {
    async fn reached(&self, count: u32) {
        let mut stops = self.0.subscribe();
        stops
            .wait_for(|stops| *stops >= count)
            .await
            .expect("the sender is in self");
    }
}

impl Backend for TraceNodes {
    type Handle = Stops;

    fn definitions(&self) -> Vec<NodeDefinition> {
        self.definitions.borrow().clone()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn execute(&self, request: ExecutionRequest, replies: Replies) -> Stops {
        let stops = Stops(Arc::new(watch::Sender::new(0)));
        let known = self
            .definitions
            .borrow()
            .iter()
            .any(|definition| definition.uid == *request.node_uid);
        if known {
            tokio::spawn(run(
                request,
                replies,
                stops.clone(),
                self.release.subscribe(),
            ));
        } else {
            replies.not_found();
        }
        stops
    }
}

async fn run(
    request: ExecutionRequest,
    replies: Replies,
    stops: Stops,
    mut release: watch::Receiver<bool>,
) {
    replies.started();
    let released = async {
        release
            .wait_for(|released| *released)
            .await
            .map(|_| ())
            .expect("the sender lives")
    };
    match request.node_uid.as_ref() {
        "echo" | "sync-echo" => {
            replies.complete(&echo(&request));
        }
        "inspect" => {
            replies.complete(&inspect(&request));
        }
        "scalar-output" => {
            replies.complete(&scalar(&request));
        }
        "none-output" => {
            replies.complete(&Json::null());
        }
        "nan-output" => {
            let outputs =
                r#"{"x": [NaN, Infinity, -Infinity, 1.0, 1000000000000000000000000000000]}"#;
            replies.complete(&json(outputs));
        }
        "big" => {
            replies.complete(&json(&format!(r#"{{"x": ["{}"]}}"#, "a".repeat(6_000_000))));
        }
        "progress" | "sync-progress" => {
            for step in 1..=3 {
                replies.running(
                    Some(&format!("step {step}")),
                    Some(Progress { step, total: 3 }),
                );
            }
            replies.complete(&json(r#"{"n": [3]}"#));
        }
        "progress-noawait" => {
            replies.complete(&json(r#"{"n": [3]}"#));
            replies.running(Some("step 1"), Some(Progress { step: 1, total: 3 }));
        }
        "fail" => {
            replies.error("boom: é \"quoted\"");
        }
        "fail-empty" => {
            replies.error("");
        }
        "send-error-then-raise" => {
            replies.error("first");
            replies.error("second");
        }
        "send-error-then-return" => {
            replies.error("soft");
            replies.complete(&json(r#"{"x": [1]}"#));
        }
        "manual-complete" => {
            replies.status(&json(r#"{"type": "idle"}"#));
            replies.status(&json(r#"{"type": "missing", "message": "m"}"#));
            replies.complete(&json(r#"{"x": [1]}"#));
            replies.complete(&json(r#"{"x": [2]}"#));
        }
        "bad-output" => {
            let map = std::collections::BTreeMap::from([((1, 2), 3)]);
            let error = Json::from_serialize(&map).expect_err("keys that are no strings");
            replies.error(&format!("the outputs cannot be written as JSON: {error}"));
        }
        "stubborn" => {
            stops.reached(1).await;
            replies.running(Some("still here"), None);
            tokio::select! {
                () = stops.reached(2) => {}
                () = released => {}
            }
            replies.cancelled();
        }
        "stubborn-raise" => {
            stops.reached(1).await;
            replies.cancelled();
        }
        // Sleeping and blocking ones: whatever comes first.
        _ => tokio::select! {
            () = stops.reached(1) => { replies.cancelled(); }
            () = released => { replies.complete(&json(r#"{"done": [true]}"#)); }
        },
    }
}

fn echo(request: &ExecutionRequest) -> Json {
    let parameters = request
        .parameters()
        .and_then(Json::elements)
        .unwrap_or_default();
    let text = |json: Json| json.decode::<String>().expect("a string");
    let prefix = parameters
        .iter()
        .find(|parameter| parameter.get("name") == Some(json(r#""prefix""#)));
    let prefix = prefix
        .and_then(|parameter| parameter.get("value"))
        .map(text)
        .unwrap_or_default();
    let texts = request
        .inputs
        .get("text")
        .and_then(|texts| texts.elements())
        .unwrap_or_default();
    let texts: Vec<Json> = texts
        .into_iter()
        .map(|value| Json::from(&*format!("{prefix}{}", text(value))))
        .collect();
    json(&format!(r#"{{"text": {}}}"#, Json::array(&texts)))
}

fn inspect(request: &ExecutionRequest) -> Json {
    json(&format!(
        r#"{{"inputs": {}, "parameters": {}, "context_keys": ["graph_node", "instance_id", "is_aborted", "send_status"], "graph_node": {}, "instance_id": "{}"}}"#,
        request.inputs,
        request.parameters().expect("checked before"),
        request.graph_node,
        request.instance_id,
    ))
}

fn scalar(request: &ExecutionRequest) -> Json {
    let value = request.inputs.get("input1").expect("an input");
    let text = value
        .decode::<String>()
        .unwrap_or_else(|_| value.as_str().replace('"', "'"));
    json(&format!(r#"{{"output1": "Processed by Python: {text}"}}"#))
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text).expect("well-formed")
}

/// A server with the trace nodes, and what its test needs.
pub(crate) struct TestServer {
    pub(crate) address: String,
    pub(crate) stats: Arc<Stats>,
    pub(crate) nodes: TraceNodes,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl TestServer {
    /// As the recorded servers were configured.
    pub(crate) fn options() -> ServerOptions {
        let mut identity = Identity::new("trace-server", "trace-server-package");
        identity.domain = "local-python.nanograph".into();
        identity.server_display_name = "Trace Server".into();
        identity.nanocore_http_endpoint = "http://127.0.0.1:3001".into();
        identity.greeting = "Nano Python Node Server is running".into();
        identity.sdk = None;
        ServerOptions::new(identity)
    }

    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(adjust: impl FnOnce(&mut ServerOptions)) -> Self {
        let mut options = Self::options();
        adjust(&mut options);
        Self::start_server(options, |_| {}).await
    }

    pub(crate) async fn start_server(
        options: ServerOptions,
        adjust: impl FnOnce(&mut Server<TraceNodes>),
    ) -> Self {
        let nodes = TraceNodes {
            definitions: Arc::new(watch::Sender::new(recorded_definitions())),
            version: Arc::default(),
            release: Arc::default(),
        };
        let mut server = Server::bind("127.0.0.1:0", options, nodes.clone())
            .await
            .expect("a free port");
        adjust(&mut server);
        let (address, stats) = (server.local_addr().to_string(), server.stats());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.serve(async { drop(stopped.await) }));
        Self {
            address,
            stats,
            nodes,
            stop: Some(stop),
            task,
        }
    }

    /// A client that has read its handshake.
    pub(crate) async fn client(&self) -> Client {
        let mut client = Client::connect(&self.address).await;
        assert!(client.text().await.starts_with(r#"{"type": "handshake""#));
        client
    }

    /// Lets the nodes that wait go on.
    pub(crate) fn release(&self) {
        self.nodes.release.send_replace(true);
    }

    pub(crate) fn redefine(&self, definitions: Vec<NodeDefinition>) {
        self.nodes.definitions.send_replace(definitions);
        self.nodes.version.send_modify(|version| *version += 1);
    }

    /// Stops the server and waits until it is gone.
    pub(crate) async fn stop(mut self) {
        self.begin_stop();
        self.task.await.expect("the server does not panic");
    }

    pub(crate) fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until the counters are as wanted.
    pub(crate) async fn wait_for(
        &self,
        condition: impl Fn(&nanograph::server::StatsSnapshot) -> bool,
    ) {
        while !condition(&self.stats.snapshot()) {
            // Counters cannot be waited on; a short pause between looks.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
}

fn recorded_definitions() -> Vec<NodeDefinition> {
    let handshake = traces::load()
        .into_iter()
        .find(|scenario| scenario.name == "connect")
        .expect("recorded");
    let text = handshake
        .steps
        .iter()
        .find_map(|step| step.text.clone())
        .expect("the handshake's text");
    let message = ServerMessage::parse(text).expect("a message");
    let ServerMessage::Handshake(handshake) = message else {
        panic!("{message:?}")
    };
    handshake.node_definitions
}
