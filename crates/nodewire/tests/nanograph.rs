//! Nodes served on the Nanograph wire, asked over a socket by our client.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nanograph::client::{Client, ClientConfig, Execution, ExecutionEvent};
use nanograph::config::{ConfigFile, ServerConfig};
use nanograph::message::{ExecutionRequest, NodeId, Status, StatusKind};
use nodewire::nanograph::NanographConfig;
use nodewire::prelude::*;
use nodewire::{
    Executor, Node, NodeDefinition, NodeServerBuilder, Outputs as CoreOutputs, RunningServer,
    node_fn,
};
use tokio::sync::Semaphore;

/// Prefixes each text.
#[node(output = "text")]
async fn echo(text: Vec<String>, #[param(default = "> ")] prefix: String) -> Vec<String> {
    text.iter().map(|text| format!("{prefix}{text}")).collect()
}

/// Passes on whatever comes.
#[node(output = "value")]
async fn pass(value: Vec<Json>) -> Vec<Json> {
    value
}

/// Reports three steps, with a preview.
#[node(output = "n")]
async fn progress(context: Context) -> u32 {
    for step in 1..=3 {
        context.progress(step, 3, format!("step {step}"));
    }
    context
        .partial(CoreOutputs::new().with("n", Json::from("so far")))
        .await;
    3
}

/// Runs until it is told to stop.
#[node]
async fn wait(context: Context) {
    context.cancelled().await;
}

/// Fails.
#[node]
async fn fail() -> Result<(), NodeError> {
    Err(NodeError::invalid_input("boom: é \"quoted\""))
}

/// Panics.
#[node]
async fn panic() {
    panic!("a defect");
}

/// Two at once, one waiting.
#[node(concurrency = 1, queue = 1)]
async fn narrow(context: Context) {
    context.cancelled().await;
}

async fn serve() -> RunningServer {
    let builder = NodeServer::builder()
        .node(echo())
        .node(pass())
        .node(progress())
        .node(wait())
        .node(fail())
        .node(panic())
        .node(narrow());
    serve_nodes(builder).await
}

async fn serve_nodes(builder: NodeServerBuilder) -> RunningServer {
    let file = r#"{"serverUid": "test-server", "serverPackageId": "test", "port": 3017, "watchDebounceTime": 20}"#;
    let config = ServerConfig::resolve(ConfigFile::parse(file).unwrap(), |name| {
        (name == "PORT").then(|| "0".to_owned())
    });
    let server = builder.nanograph(NanographConfig::new(config.unwrap()));
    server.build().unwrap().start().await.unwrap()
}

async fn connect(server: &RunningServer) -> Client {
    Client::connect(
        &format!("ws://{}", server.nanograph_address().unwrap()),
        ClientConfig::default(),
    )
    .await
    .unwrap()
}

async fn execute(
    client: &Client,
    instance: &str,
    node: &str,
    inputs: &str,
    parameters: &str,
) -> Execution {
    let graph_node = format!(r#"{{"id": 1, "uid": "{node}", "parameters": {parameters}}}"#);
    let request = ExecutionRequest::new(
        instance,
        NodeId::from(1),
        node,
        Json::parse(inputs.to_owned()).unwrap(),
        Json::parse(graph_node).unwrap(),
    );
    client.execute(request).await.unwrap()
}

async fn outputs(execution: Execution) -> String {
    execution.outcome().await.unwrap().outputs.to_string()
}

async fn error(execution: Execution) -> String {
    execution.outcome().await.unwrap_err().to_string()
}

async fn next_status(execution: &mut Execution) -> Arc<Status> {
    match execution.next().await {
        Some(ExecutionEvent::Status(status)) => Arc::new(status),
        other => panic!("no status but {other:?}"),
    }
}

#[tokio::test]
async fn definitions_are_announced() {
    let server = serve().await;
    let handshake = connect(&server).await.handshake();
    assert_eq!(
        (
            handshake.server_uid.as_str(),
            handshake.node_definitions.len()
        ),
        ("test-server", 7)
    );
    let echo = &handshake.node_definitions[0];
    assert_eq!(
        (echo.uid.as_str(), echo.description.as_str()),
        ("echo", "Prefixes each text.")
    );
    assert_eq!(
        (echo.inputs[0].kind.as_str(), echo.outputs[0].kind.as_str()),
        ("string", "string")
    );
    let prefix = &echo.parameters[0];
    assert_eq!(
        (prefix.kind.as_str(), prefix.value.as_str()),
        ("text", r#""> ""#)
    );
}

#[tokio::test]
async fn inputs_and_parameters_reach_the_node_and_defaults_fill_in() {
    let server = serve().await;
    let client = connect(&server).await;
    let set =
        r##"[{"name": "prefix", "type": "text", "value": "# "}, {"name": "unknown", "value": 1}]"##;
    let done = execute(&client, "i", "echo", r#"{"text": ["a", "b"]}"#, set).await;
    assert_eq!(outputs(done).await, r##"{"text": ["# a", "# b"]}"##);
    let done = execute(&client, "i", "echo", r#"{"text": ["a"]}"#, "[]").await;
    assert_eq!(outputs(done).await, r#"{"text": ["> a"]}"#);
    let done = execute(&client, "i", "echo", r#"{"text": "bare"}"#, "[]").await;
    assert_eq!(
        outputs(done).await,
        r#"{"text": ["> bare"]}"#,
        "some peers write values without a list"
    );
}

/// spec: nanograph 9, 17.4: a graph may be older than the node.
#[tokio::test]
async fn what_the_node_does_not_have_is_ignored() {
    let server = serve().await;
    let client = connect(&server).await;
    let parameters = r#"[{"name": "suffix", "value": 1}]"#;
    let inputs = r#"{"text": ["a"], "txet": ["b"]}"#;
    let execution = execute(&client, "wf-1", "echo", inputs, parameters).await;
    assert_eq!(outputs(execution).await, r#"{"text": ["> a"]}"#);
    server.stop().await;
}

#[tokio::test]
async fn numbers_pass_through_unchanged_and_non_finite_ones_become_null() {
    let server = serve().await;
    let client = connect(&server).await;
    let inputs = r#"{"value": [1000000000000000000000000000000, 1.0, NaN, {"x": -Infinity}]}"#;
    let done = execute(&client, "i", "pass", inputs, "[]").await;
    let expected = r#"{"value": [1000000000000000000000000000000, 1.0, null, {"x": null}]}"#;
    assert_eq!(outputs(done).await, expected);
}

#[tokio::test]
async fn progress_and_partial_outputs_are_running_statuses_in_order() {
    let server = serve().await;
    let client = connect(&server).await;
    let mut execution = execute(&client, "i", "progress", "{}", "[]").await;
    let mut seen = Vec::new();
    while let Some(ExecutionEvent::Status(status)) = execution.next().await {
        assert_eq!(status.kind, StatusKind::Running);
        let step = status.progress.map(|progress| progress.step);
        seen.push((
            status.message.unwrap_or_default(),
            step,
            status.outputs.map(|outputs| outputs.to_string()),
        ));
    }
    let expected = [
        ("Starting execution...".to_owned(), None, None),
        ("step 1".to_owned(), Some(1), None),
        ("step 2".to_owned(), Some(2), None),
        ("step 3".to_owned(), Some(3), None),
        (String::new(), None, Some(r#"{"n": ["so far"]}"#.to_owned())),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn every_kind_of_failure_is_an_error_status_and_others_go_on() {
    let server = serve().await;
    let client = connect(&server).await;
    let mut waiting = execute(&client, "waiting", "wait", "{}", "[]").await;
    assert_eq!(next_status(&mut waiting).await.kind, StatusKind::Running);

    assert_eq!(
        error(execute(&client, "i", "fail", "{}", "[]").await).await,
        "boom: é \"quoted\""
    );
    assert_eq!(
        error(execute(&client, "i", "panic", "{}", "[]").await).await,
        "the node panicked: a defect"
    );
    assert_eq!(
        error(execute(&client, "i", "nope", "{}", "[]").await).await,
        "Node definition not found: nope"
    );
    assert_eq!(
        error(execute(&client, "i", "echo", "{}", "[]").await).await,
        "input `text` is missing"
    );
    let wrong = execute(&client, "i", "echo", r#"{"text": ["a", 2]}"#, "[]").await;
    assert!(error(wrong).await.contains("`text`"));
    let no_list = error(execute(&client, "i", "echo", "{}", "null").await).await;
    assert_eq!(
        no_list,
        "payload.graphNode.parameters is missing or no array"
    );

    waiting.stop().await.unwrap();
    assert_eq!(error(waiting).await, "stopped: Execution cancelled");
    let counters = server.executor().counters();
    assert!(counters.is_balanced(), "{counters:?}");
}

#[tokio::test]
async fn a_full_queue_is_told_and_stopping_ends_what_runs_and_what_waits() {
    let server = serve().await;
    let client = connect(&server).await;
    let mut running = execute(&client, "a", "narrow", "{}", "[]").await;
    assert_eq!(next_status(&mut running).await.kind, StatusKind::Running);
    let waiting = execute(&client, "b", "narrow", "{}", "[]").await;
    let refused = execute(&client, "c", "narrow", "{}", "[]").await;
    assert!(error(refused).await.contains("overloaded"));
    waiting.stop().await.unwrap();
    assert_eq!(error(waiting).await, "stopped: Execution cancelled");
    running.stop().await.unwrap();
    assert_eq!(error(running).await, "stopped: Execution cancelled");
    assert_eq!(server.executor().counters().cancelled, 2);
}

#[tokio::test]
async fn changes_of_the_registry_are_broadcast_and_do_not_disturb_what_runs() {
    let server = serve().await;
    let client = connect(&server).await;
    let mut handshakes = client.watch_handshake();
    handshakes.mark_unchanged();
    let mut running = execute(&client, "i", "wait", "{}", "[]").await;
    assert_eq!(next_status(&mut running).await.kind, StatusKind::Running);

    let late = NodeDefinition::builder("late").build().unwrap();
    server.executor().registry().remove("wait");
    server
        .executor()
        .registry()
        .replace(node_fn(late, async |_| Ok(CoreOutputs::new())));
    handshakes.changed().await.unwrap();
    let uids: Vec<_> = handshakes
        .borrow()
        .node_definitions
        .iter()
        .map(|node| node.uid.clone())
        .collect();
    assert!(
        uids.contains(&"late".to_owned()) && !uids.contains(&"wait".to_owned()),
        "{uids:?}"
    );
    assert_eq!(
        outputs(execute(&client, "j", "late", "{}", "[]").await).await,
        "{}"
    );
    running.stop().await.unwrap();
    assert_eq!(error(running).await, "stopped: Execution cancelled");
}

#[tokio::test]
async fn a_graceful_stop_lets_executions_finish_and_tells_their_clients() {
    let gate = Arc::new(Semaphore::new(0));
    let server = serve().await;
    let open = Arc::clone(&gate);
    let definition = NodeDefinition::builder("gated").build().unwrap();
    server
        .executor()
        .registry()
        .replace(node_fn(definition, move |_| {
            let open = Arc::clone(&open);
            async move {
                open.acquire().await.unwrap().forget();
                Ok(CoreOutputs::new().with("done", "yes"))
            }
        }));
    let client = connect(&server).await;
    let mut running = execute(&client, "i", "gated", "{}", "[]").await;
    assert_eq!(next_status(&mut running).await.kind, StatusKind::Running);
    let executor = server.executor().clone();
    let stopping = tokio::spawn(server.stop());
    until_closed(&executor, "echo").await;
    let refused = execute(&client, "j", "echo", r#"{"text": ["a"]}"#, "[]").await;
    assert_eq!(error(refused).await, "the server is shutting down");
    gate.add_permits(1);
    assert_eq!(outputs(running).await, r#"{"done": ["yes"]}"#);
    stopping.await.unwrap();
}

/// Waits until the executor takes no requests any more.
async fn until_closed(executor: &Executor, node: &str) {
    let closed = async {
        while !matches!(
            executor.submit(nodewire::ExecutionRequest::new(node)),
            Err(nodewire::Refusal::ShuttingDown)
        ) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), closed)
        .await
        .unwrap();
}

#[tokio::test]
async fn executions_go_on_when_their_client_leaves_and_can_be_stopped_by_another() {
    let server = serve().await;
    let first = connect(&server).await;
    let mut execution = execute(&first, "left", "wait", "{}", "[]").await;
    assert_eq!(next_status(&mut execution).await.kind, StatusKind::Running);
    first.close().await;
    let second = connect(&server).await;
    assert_eq!(server.executor().counters().in_flight, 1);
    let ack = second.stop_instance("left").await.unwrap();
    assert!(
        ack.message.contains("abort 1 active node"),
        "{}",
        ack.message
    );
}

/// Keeps assets in memory. Storing waits for a permit.
struct Memory {
    gate: Arc<Semaphore>,
    kept: std::sync::Mutex<Vec<bytes::Bytes>>,
}

impl nodewire::AssetStore for Memory {
    fn fetch(&self, asset: AssetRef) -> nodewire::BoxFuture<'_, Result<bytes::Bytes, NodeError>> {
        Box::pin(async move {
            let kept = self.kept.lock().unwrap();
            let index = asset
                .as_str()
                .trim_start_matches("sha256:")
                .trim_start_matches('0');
            let index: usize = index.parse().unwrap_or_default();
            kept.get(index)
                .cloned()
                .ok_or_else(|| NodeError::invalid_input("no such asset"))
        })
    }

    fn store(&self, asset: NewAsset) -> nodewire::BoxFuture<'_, Result<AssetRef, NodeError>> {
        Box::pin(async move {
            self.gate.acquire().await.unwrap().forget();
            let mut kept = self.kept.lock().unwrap();
            kept.push(asset.content);
            Ok(AssetRef::new(format!("sha256:{:064}", kept.len() - 1)))
        })
    }
}

/// Turns bytes round.
#[node(output = "bytes")]
async fn reverse(bytes: bytes::Bytes) -> bytes::Bytes {
    bytes.iter().rev().copied().collect::<Vec<_>>().into()
}

/// Sends three previews with bytes, and counts them.
fn previews(sent: &Arc<AtomicUsize>) -> impl Node + use<> {
    let sent = Arc::clone(sent);
    let definition = NodeDefinition::builder("previews").build().unwrap();
    node_fn(definition, move |context: Context| {
        let sent = Arc::clone(&sent);
        async move {
            for _ in 0..3 {
                let bytes = bytes::Bytes::from_static(b"so far");
                context.partial(CoreOutputs::new().with("b", bytes)).await;
                sent.fetch_add(1, Ordering::SeqCst);
            }
            // Waits for the last one, which the end would overtake.
            context.partial(CoreOutputs::new()).await;
            Ok(CoreOutputs::new())
        }
    })
}

async fn serve_with_assets(gate: &Arc<Semaphore>) -> RunningServer {
    serve_with(gate, |builder| builder).await
}

async fn serve_with(
    gate: &Arc<Semaphore>,
    build: impl FnOnce(NodeServerBuilder) -> NodeServerBuilder,
) -> RunningServer {
    let file = ConfigFile::parse(r#"{"serverUid": "s", "serverPackageId": "p"}"#).unwrap();
    let config =
        ServerConfig::resolve(file, |name| (name == "PORT").then(|| "0".to_owned())).unwrap();
    let store = Memory {
        gate: Arc::clone(gate),
        kept: std::sync::Mutex::new(vec!["abc".into()]),
    };
    let server = NodeServer::builder()
        .node(reverse())
        .assets(Arc::new(store));
    let server = build(server.nanograph(NanographConfig::new(config)));
    server.build().unwrap().start().await.unwrap()
}

/// However slow the store is, an execution holds the bytes of one preview.
#[tokio::test]
async fn a_preview_waits_until_the_one_before_is_stored() {
    let (gate, sent) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let node = previews(&sent);
    let server = serve_with(&gate, |builder| builder.node(node)).await;
    let client = connect(&server).await;
    let mut execution = execute(&client, "i", "previews", "{}", "[]").await;
    assert_eq!(next_status(&mut execution).await.kind, StatusKind::Running);
    while sent.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // On one thread, what can go on does.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sent.load(Ordering::SeqCst), 1);
    gate.add_permits(3);
    for number in 1..=3 {
        let told = next_status(&mut execution).await.outputs.clone();
        let expected = format!(r#"{{"b": ["sha256:{number:064}"]}}"#);
        assert_eq!(told.unwrap().to_string(), expected);
    }
    assert_eq!(outputs(execution).await, "{}");
    server.stop().await;
}

#[tokio::test]
async fn bytes_travel_as_assets() {
    let gate = Arc::new(Semaphore::new(10));
    let server = serve_with_assets(&gate).await;
    let client = connect(&server).await;
    assert_eq!(
        client.handshake().node_definitions[0].inputs[0].kind,
        "asset"
    );
    let inputs = format!(r#"{{"bytes": ["sha256:{:064}"]}}"#, 0);
    let done = execute(&client, "i", "reverse", &inputs, "[]").await;
    assert_eq!(
        outputs(done).await,
        format!(r#"{{"bytes": ["sha256:{:064}"]}}"#, 1)
    );
    let unknown = format!(r#"{{"bytes": ["sha256:{:064}"]}}"#, 77);
    let failed = execute(&client, "i", "reverse", &unknown, "[]").await;
    assert_eq!(error(failed).await, "no such asset");
}

#[tokio::test]
async fn a_stop_waits_until_outputs_are_stored_and_told() {
    let gate = Arc::new(Semaphore::new(0));
    let server = serve_with_assets(&gate).await;
    let client = connect(&server).await;
    let inputs = format!(r#"{{"bytes": ["sha256:{:064}"]}}"#, 0);
    let mut storing = execute(&client, "i", "reverse", &inputs, "[]").await;
    assert_eq!(next_status(&mut storing).await.kind, StatusKind::Running);
    let executor = server.executor().clone();
    while executor.counters().completed == 0 {
        tokio::task::yield_now().await;
    }
    let stopping = tokio::spawn(server.stop());
    until_closed(&executor, "reverse").await;
    gate.add_permits(1);
    assert_eq!(
        outputs(storing).await,
        format!(r#"{{"bytes": ["sha256:{:064}"]}}"#, 1)
    );
    stopping.await.unwrap();
}

#[tokio::test]
async fn without_a_store_references_are_an_error_that_says_so() {
    let file = ConfigFile::parse(r#"{"serverUid": "s", "serverPackageId": "p"}"#).unwrap();
    let config =
        ServerConfig::resolve(file, |name| (name == "PORT").then(|| "0".to_owned())).unwrap();
    let server = NodeServer::builder()
        .node(reverse())
        .nanograph(NanographConfig::new(config));
    let server = server.build().unwrap().start().await.unwrap();
    let client = connect(&server).await;
    let inputs = format!(r#"{{"bytes": ["sha256:{:064}"]}}"#, 0);
    let failed = error(execute(&client, "i", "reverse", &inputs, "[]").await).await;
    assert!(failed.contains("no asset store"), "{failed}");
    // A text that is no reference is a text.
    let failed = error(execute(&client, "j", "reverse", r#"{"bytes": ["abc"]}"#, "[]").await).await;
    assert!(failed.contains("expected bytes"), "{failed}");
    assert_eq!(server.executor().counters().failed, 2);
}

/// A store that fails badly.
struct Panicking;

impl nodewire::AssetStore for Panicking {
    fn fetch(&self, _asset: AssetRef) -> nodewire::BoxFuture<'_, Result<bytes::Bytes, NodeError>> {
        panic!("a defect of the store");
    }

    fn store(&self, _asset: NewAsset) -> nodewire::BoxFuture<'_, Result<AssetRef, NodeError>> {
        panic!("a defect of the store");
    }
}

/// Tells previews with bytes, and then how many.
#[node(output = "n")]
async fn pictures(context: Context) -> u32 {
    for n in 0..3 {
        let picture = nodewire::Value::Bytes(vec![n; 10].into());
        let preview = CoreOutputs::new().with("n", picture);
        context.partial(preview).await;
    }
    3
}

#[tokio::test]
async fn a_store_that_panics_costs_a_preview_and_not_the_execution() {
    let builder = NodeServer::builder()
        .node(pictures())
        .assets(Arc::new(Panicking));
    let server = serve_nodes(builder).await;
    let client = connect(&server).await;
    let done = execute(&client, "i", "pictures", "{}", "[]").await;
    let done = tokio::time::timeout(Duration::from_secs(20), outputs(done)).await;
    assert_eq!(done.expect("an end"), r#"{"n": [3]}"#);
}
