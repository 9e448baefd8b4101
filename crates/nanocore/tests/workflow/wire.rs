//! Runs over real sockets: servers that follow a script, and everything they can do wrong.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, SinkExt, StreamExt};
use nanocore::workflow::{
    CacheKey, Engine, EventKind, Exec, Graph, NodeErrorCode, ProblemCode, ResultCache, Run,
    RunOptions, RunResult, ServerPool, ServerSettings,
};
use nanograph::client::{Backoff, Client, ClientConfig};
use nanograph::message::{ClientMessage, ExecutionRequest};
use nodewire_json::Json;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{graph, set_text};

const COMPLETE: &str = r#"{"type": "complete", "outputs": {"out": [1]}}"#;

/// More than anything here takes; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A node server whose words the test chooses.
struct Script {
    listener: TcpListener,
    server_uid: &'static str,
    definitions: Value,
}

struct Socket(WebSocketStream<TcpStream>);

impl Script {
    async fn bind(server_uid: &'static str, definitions: Value) -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            server_uid,
            definitions,
        }
    }

    async fn accept(&self) -> Socket {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut socket = Socket(tokio_tungstenite::accept_async(stream).await.unwrap());
        let handshake = json!({"type": "handshake", "serverUid": self.server_uid, "serverPackageId": "package",
            "payload": {"serverUid": self.server_uid, "serverPackageId": "package", "nodeDefinitions": self.definitions}});
        socket.say(&handshake.to_string()).await;
        socket
    }

    async fn join(&self, pool: &ServerPool) -> Socket {
        let url = format!("ws://{}/", self.listener.local_addr().unwrap());
        let soon = Backoff {
            min: Duration::from_millis(1),
            max: Duration::from_millis(5),
        };
        let config = ClientConfig {
            reconnect: Some(soon),
            ..ClientConfig::default()
        };
        let (client, socket) = tokio::join!(Client::connect(&url, config), self.accept());
        pool.add(client.unwrap(), ServerSettings::default());
        socket
    }
}

impl Socket {
    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn hear(&mut self) -> ClientMessage {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next())
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            if let Message::Text(text) = message {
                return ClientMessage::parse(text.as_str().to_owned()).unwrap();
            }
        }
    }

    async fn request(&mut self) -> ExecutionRequest {
        let message = self.hear().await;
        let ClientMessage::RequestExecution(request) = message else {
            panic!("expected a request, got {message:?}")
        };
        request
    }

    /// The instance that is to be stopped; acknowledged at once.
    async fn stop(&mut self) -> String {
        let message = self.hear().await;
        let ClientMessage::StopWorkflowInstance { instance_id } = message else {
            panic!("expected a stop, got {message:?}")
        };
        let ack = json!({"type": "ack_stop_workflow", "serverUid": "s", "instanceId": *instance_id,
            "payload": {"success": true, "message": "ok"}});
        self.say(&ack.to_string()).await;
        instance_id.to_string()
    }

    /// A status, as text: it may hold what is no standard JSON.
    async fn status(&mut self, request: &ExecutionRequest, status: &str) {
        let (instance_id, node_id) = (&request.instance_id, &request.node_id);
        self.say(&format!(
            r#"{{"type": "node_status", "serverUid": "s", "instanceId": "{instance_id}",
                "payload": {{"nodeId": {node_id}, "status": {status}}}}}"#
        ))
        .await;
    }
}

fn definitions() -> Value {
    json!([
        {"uid": "make", "outputs": [{"name": "out", "type": "any"}], "exclusive": false,
         "parameters": [{"name": "seed", "type": "number", "default": 7, "hint": "kept"}, {"name": "mode", "type": "text", "value": "a"}]},
        {"uid": "take", "inputs": [{"name": "in", "type": "any"}], "outputs": [{"name": "out", "type": "any"}]},
    ])
}

fn start(pool: &ServerPool, graph: &Graph, exec: Exec) -> Run {
    Engine::new(Arc::new(pool.clone()))
        .start(
            graph,
            RunOptions {
                exec,
                ..RunOptions::default()
            },
        )
        .unwrap()
}

async fn result(run: Run) -> RunResult {
    tokio::time::timeout(PATIENCE, run.result())
        .await
        .unwrap()
        .unwrap()
}

/// Two servers of one package: the graph's `serverUid` decides.
fn two_nodes() -> Graph {
    let mut graph = graph(&[(1, "make"), (2, "take")], &[(1, "out", 2, "in")]);
    graph.nodes[0].server_uid = Some("one".to_owned());
    graph.nodes[1].server_uid = Some("two".to_owned());
    graph
}

// spec: nanograph 14.2, 14.3, 15.2
#[tokio::test]
async fn values_go_from_server_to_server_as_they_came() {
    let pool = ServerPool::new();
    let (one, two) = (
        Script::bind("one", definitions()).await,
        Script::bind("two", definitions()).await,
    );
    let (mut first, mut second) = (one.join(&pool).await, two.join(&pool).await);
    let mut graph = two_nodes();
    graph.nodes[0].set_param("mode", "b".into());
    graph.nodes[0].set_param("own", "c".into());
    let run = start(&pool, &graph, Exec::default());
    let run_id = run.run_id().to_owned();

    let made = first.request().await;
    assert_eq!(*made.instance_id, *run_id);
    let sent: Value = made.graph_node.decode().unwrap();
    assert_eq!(
        sent["parameters"],
        json!([
            {"name": "seed", "type": "number", "default": 7, "hint": "kept", "value": 7},
            {"name": "mode", "type": "text", "value": "b"},
            {"name": "own", "value": "c"},
        ])
    );
    assert_eq!(
        (&sent["id"], &sent["serverUid"], &sent["name"]),
        (&json!(1), &json!("one"), &json!("make"))
    );
    first
        .status(&made, r#"{"type": "running", "message": "go"}"#)
        .await;
    first
        .status(
            &made,
            r#"{"type": "complete", "outputs": {"out": [NaN, 1.10, 99999999999999999999]}}"#,
        )
        .await;

    let taken = second.request().await;
    assert_eq!(
        taken.inputs.as_str(),
        r#"{"in": [NaN, 1.10, 99999999999999999999]}"#
    );
    second
        .status(&taken, r#"{"type": "complete", "outputs": {"out": []}}"#)
        .await;
    // Quirk N17: whatever follows is dropped.
    second
        .status(&taken, r#"{"type": "error", "message": "late"}"#)
        .await;
    second
        .status(&taken, r#"{"type": "running", "message": "later still"}"#)
        .await;
    let result = result(run).await;
    assert!(result.failures().next().is_none());
    assert_eq!(
        result.node(2).unwrap().outputs.as_ref().unwrap().as_str(),
        r#"{"out": []}"#
    );
}

// spec: nanograph 16.2, 16.5
#[tokio::test]
async fn a_lost_server_is_told_to_stop_the_old_attempt_before_the_next() {
    let pool = ServerPool::new();
    let script = Script::bind("one", definitions()).await;
    let mut socket = script.join(&pool).await;
    let graph = graph(&[(5, "make")], &[]);
    let soon = Exec {
        retry_delay: Some(Duration::from_millis(1)),
        ..Exec::default()
    };
    let run = start(&pool, &graph, soon);
    let run_id = run.run_id().to_owned();
    let first = socket.request().await;
    socket.status(&first, r#"{"type": "running"}"#).await;
    drop(socket);

    let mut socket = script.accept().await;
    assert_eq!(socket.stop().await, run_id);
    let second = socket.request().await;
    assert_eq!(*second.instance_id, *format!("{run_id}.5.2"));
    socket
        .status(&second, r#"{"type": "complete", "outputs": {"out": [1]}}"#)
        .await;
    let result = result(run).await;
    assert_eq!(
        (result.node(5).unwrap().attempts, result.counts().complete),
        (2, 1)
    );
}

// spec: nanograph 16.4
#[tokio::test]
async fn what_waits_for_its_server_is_not_sent_after_an_abort() {
    let pool = ServerPool::new();
    let script = Script::bind("one", definitions()).await;
    let mut socket = script.join(&pool).await;
    let soon = Exec {
        retry_delay: Some(Duration::from_millis(1)),
        ..Exec::default()
    };
    let mut run = start(&pool, &graph(&[(5, "make")], &[]), soon);
    let run_id = run.run_id().to_owned();
    socket.request().await;
    drop(socket);
    // The second attempt waits for the server.
    while let Some(event) = run.next_event().await {
        if matches!(event.kind, EventKind::NodeState { attempt: 2, .. }) {
            break;
        }
    }
    run.abort_handle().abort();
    let result = result(run).await;
    assert_eq!(result.counts().aborted, 1);
    assert!(
        !result.node(5).unwrap().unconfirmed,
        "nothing of it was sent"
    );

    let mut socket = script.accept().await;
    assert_eq!(socket.stop().await, run_id, "of the first attempt");
    pool.remove("one").unwrap().close().await;
    assert!(!matches!(socket.0.next().await, Some(Ok(Message::Text(_)))));
}

// spec: nanograph 16.4
#[tokio::test]
async fn an_abort_stops_the_instance_once_and_its_error_means_aborted() {
    let pool = ServerPool::new();
    let script = Script::bind("one", definitions()).await;
    let mut socket = script.join(&pool).await;
    let graph = graph(&[(1, "make"), (2, "make")], &[]);
    let run = start(&pool, &graph, Exec::default());
    let requests = [socket.request().await, socket.request().await];
    run.abort_handle().abort();
    assert_eq!(socket.stop().await, run.run_id());
    for request in &requests {
        socket
            .status(
                request,
                r#"{"type": "error", "message": "Execution cancelled"}"#,
            )
            .await;
    }
    let result = result(run).await;
    assert_eq!(result.counts().aborted, 2);
    assert!(!result.node(1).unwrap().unconfirmed);
}

#[tokio::test]
async fn a_node_is_found_by_server_then_package_then_anywhere() {
    let pool = ServerPool::new();
    let script = Script::bind("one", definitions()).await;
    let _socket = script.join(&pool).await;
    let engine = Engine::new(Arc::new(pool.clone()));
    let codes = |server: Option<&str>, package: Option<&str>, uid: &str| {
        let mut graph = graph(&[(1, uid)], &[]);
        graph.nodes[0].server_uid = server.map(str::to_owned);
        graph.nodes[0].server_package_id = package.map(str::to_owned);
        let problems = engine.check(&graph, &RunOptions::default());
        problems
            .iter()
            .map(|problem| problem.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(Some("one"), None, "make"), []);
    assert_eq!(codes(Some("gone"), Some("package"), "make"), []);
    assert_eq!(
        codes(Some("gone"), Some("other"), "make"),
        [ProblemCode::ServerSubstituted]
    );
    assert_eq!(codes(None, None, "make"), []);
    assert_eq!(
        codes(Some("one"), None, "nobody"),
        [ProblemCode::NodeMissing]
    );
    pool.remove("one");
    assert_eq!(codes(Some("one"), None, "make"), [ProblemCode::NodeMissing]);
}

#[tokio::test]
async fn nodes_that_a_server_announces_later_can_be_run() {
    let pool = ServerPool::new();
    let script = Script::bind("one", json!([])).await;
    let mut socket = script.join(&pool).await;
    let engine = Engine::new(Arc::new(pool.clone()));
    let graph = graph(&[(1, "make")], &[]);
    assert_eq!(
        engine.check(&graph, &RunOptions::default())[0].code,
        ProblemCode::NodeMissing
    );
    let mut announced = pool.clients()[0].watch_handshake();
    announced.mark_unchanged();
    socket.say(&json!({"type": "definitions_update", "serverUid": "one", "payload": {"nodeDefinitions": definitions()}}).to_string()).await;
    tokio::time::timeout(PATIENCE, announced.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(engine.check(&graph, &RunOptions::default()), []);
}

impl Socket {
    async fn announce(&mut self, definitions: &Value) {
        let update = json!({"type": "definitions_update", "serverUid": "one", "payload": {"nodeDefinitions": definitions}});
        self.say(&update.to_string()).await;
    }
}

#[derive(Debug, Default)]
struct Kept(std::sync::Mutex<HashMap<CacheKey, Json>>);

impl ResultCache for Kept {
    fn get(&self, key: &CacheKey) -> BoxFuture<'static, Option<Json>> {
        std::future::ready(self.0.lock().unwrap().get(key).cloned()).boxed()
    }

    fn put(&self, key: CacheKey, outputs: &Json) {
        self.0.lock().unwrap().insert(key, outputs.clone());
    }
}

// spec: nanograph 18
#[tokio::test]
async fn results_of_code_that_may_have_changed_are_not_used_again() {
    let pool = ServerPool::new();
    let script = Script::bind("one", definitions()).await;
    let mut socket = script.join(&pool).await;
    let cache = Arc::new(Kept::default());
    let run = || {
        let options = RunOptions {
            cache: Some(cache.clone()),
            ..RunOptions::default()
        };
        Engine::new(Arc::new(pool.clone()))
            .start(&graph(&[(1, "make")], &[]), options)
            .unwrap()
    };
    // Executed once, then found.
    let first = run();
    let request = socket.request().await;
    socket.status(&request, COMPLETE).await;
    assert_eq!(result(first).await.counts().complete, 1);
    assert_eq!(result(run()).await.counts().cached, 1);
    // Definitions that are announced again may belong to other code.
    let mut announced = pool.clients()[0].watch_handshake();
    announced.mark_unchanged();
    socket.announce(&definitions()).await;
    tokio::time::timeout(PATIENCE, announced.changed())
        .await
        .unwrap()
        .unwrap();
    let second = run();
    let request = socket.request().await;
    // While it runs, its code changes: what comes of it is not kept.
    announced.mark_unchanged();
    socket.announce(&definitions()).await;
    tokio::time::timeout(PATIENCE, announced.changed())
        .await
        .unwrap()
        .unwrap();
    socket.status(&request, COMPLETE).await;
    assert_eq!(result(second).await.counts().complete, 1);
    let kept = cache.0.lock().unwrap().len();
    assert_eq!(kept, 1);
    // Whoever knows the code says so, and says when it is as before.
    assert!(pool.set_code_epoch("one", "v1"));
    let third = run();
    let request = socket.request().await;
    socket.status(&request, COMPLETE).await;
    assert_eq!(result(third).await.counts().complete, 1);
    assert_eq!(result(run()).await.counts().cached, 1);
    assert!(pool.set_code_epoch("one", "v2"));
    assert!(pool.set_code_epoch("one", "v1"));
    assert_eq!(result(run()).await.counts().cached, 1);
    assert!(!pool.set_code_epoch("two", "v1"));
}

// spec: nanograph 5.4
#[tokio::test]
async fn a_node_that_the_server_forgot_is_tried_again() {
    let pool = ServerPool::new();
    let script = Script::bind("one", definitions()).await;
    let mut socket = script.join(&pool).await;
    let soon = Exec {
        retry_delay: Some(Duration::from_millis(1)),
        ..Exec::default()
    };
    let run = start(&pool, &graph(&[(1, "make")], &[]), soon);
    for _ in 0..3 {
        let request = socket.request().await;
        socket
            .status(
                &request,
                r#"{"type": "error", "message": "Node definition not found: make"}"#,
            )
            .await;
    }
    let result = result(run).await;
    assert_eq!(
        result.node(1).unwrap().error.as_ref().unwrap().code,
        NodeErrorCode::NodeNotFound
    );
}

/// The diamond over servers made with the real SDK.
#[tokio::test]
async fn the_real_python_servers_run_a_diamond_and_fail_and_stop() {
    use nodewire_testkit::{PythonNodeServer, SdkVersion};
    for version in SdkVersion::ALL {
        let server = PythonNodeServer::start(version).await.unwrap();
        let pool = ServerPool::new();
        pool.add(
            Client::connect(&server.url(), ClientConfig::default())
                .await
                .unwrap(),
            ServerSettings::default(),
        );

        let mut diamond = graph(
            &[
                (1, "text-input"),
                (2, "echo"),
                (3, "echo"),
                (4, "echo"),
                (5, "viewer"),
            ],
            &[
                (1, "text", 2, "text"),
                (1, "text", 3, "text"),
                (2, "text", 4, "text"),
                (3, "text", 4, "text"),
                (4, "text", 5, "value"),
            ],
        );
        set_text(&mut diamond, "1", "é");
        for (node, prefix) in [(1, "a"), (2, "b"), (3, "c")] {
            diamond.nodes[node].set_param("prefix", prefix.into());
        }
        let done = result(start(&pool, &diamond, Exec::default())).await;
        let shown: Value = done
            .node(5)
            .unwrap()
            .inputs
            .as_ref()
            .unwrap()
            .decode()
            .unwrap();
        assert_eq!(shown, json!({"value": ["caé", "cbé"]}), "{version:?}");

        let failed = result(start(&pool, &graph(&[(1, "fail")], &[]), Exec::default())).await;
        assert_eq!(
            failed.node(1).unwrap().error.as_ref().unwrap().message,
            "boom: é \"quoted\""
        );

        let mut sleeping = graph(&[(1, "sleep")], &[]);
        sleeping.nodes[0].set_param("seconds", json!(60).into());
        let mut run = start(&pool, &sleeping, Exec::default());
        while run
            .next_event()
            .await
            .is_some_and(|event| event.kind.type_name() != "node_status")
        {}
        run.abort_handle().abort();
        let stopped = result(run).await;
        assert_eq!(
            (
                stopped.counts().aborted,
                stopped.node(1).unwrap().unconfirmed
            ),
            (1, false),
            "{version:?}"
        );
    }
}

/// Nodes that were not sent wait for a server that is looked after; what was in flight is lost and tried again.
#[tokio::test]
async fn a_server_that_is_kept_up_is_waited_for() {
    let pool = ServerPool::new();
    pool.set_kept_up("one", true);
    let script = Script::bind("one", definitions()).await;
    let mut socket = script.join(&pool).await;
    let mut graph = graph(&[(1, "make"), (2, "take")], &[(1, "out", 2, "in")]);
    for node in &mut graph.nodes {
        node.server_uid = Some("one".to_owned());
    }
    let exec = Exec {
        retry_delay: Some(Duration::ZERO),
        ..Exec::default()
    };
    let mut run = start(&pool, &graph, exec);
    let lost = socket.request().await;
    assert_eq!(lost.node_uid, "make");
    let client = pool.remove("one").unwrap();
    client.close().await;
    drop(socket);
    // Far more often than a lost node is tried again: without the wait, it would fail now.
    let is_lost = async {
        while let Some(event) = run.next_event().await {
            if let EventKind::NodeError { retry_in, .. } = event.kind {
                return retry_in.is_some();
            }
        }
        false
    };
    assert!(tokio::time::timeout(PATIENCE, is_lost).await.unwrap());
    let mut socket = script.join(&pool).await;
    for _ in 0..2 {
        let request = socket.request().await;
        socket.status(&request, COMPLETE).await;
    }
    let result = result(run).await;
    assert_eq!(result.counts().complete, 2);
    assert_eq!(result.node(1).unwrap().attempts, 2);
}

#[tokio::test]
async fn a_server_that_is_given_up_is_waited_for_no_more() {
    let pool = ServerPool::new();
    pool.set_kept_up("one", true);
    let script = Script::bind("one", definitions()).await;
    let _socket = script.join(&pool).await;
    let mut graph = graph(&[(1, "make")], &[]);
    graph.nodes[0].server_uid = Some("one".to_owned());
    let exec = Exec {
        retry_delay: Some(Duration::ZERO),
        ..Exec::default()
    };
    let aborted = start(&pool, &graph, exec.clone());
    let failing = start(&pool, &graph, exec);
    // Before the runs had a chance to send anything.
    pool.remove("one").unwrap();
    aborted.abort_handle().abort();
    assert_eq!(result(aborted).await.counts().aborted, 1);
    pool.set_kept_up("one", false);
    let result = result(failing).await;
    let error = result.node(1).unwrap().error.as_ref().unwrap();
    assert_eq!(error.code, NodeErrorCode::ServerLost);
}
