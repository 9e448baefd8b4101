//! What backends can rely on, and what they cannot get wrong.

use std::sync::Arc;

use nanograph::message::{ExecutionRequest, NodeDefinition, ServerMessage};
use nanograph::server::{Backend, Delivery, Identity, Replies, Server, ServerOptions};
use nodewire_json::Json;
use tokio::sync::{mpsc, watch};

use crate::backend::{TestServer, json};
use crate::client::{Client, complete, error, request, started, status, stop};
use crate::traces;

/// Hands every execution to the test.
struct Handed(mpsc::Sender<Replies>);

impl Backend for Handed {
    type Handle = ();

    fn definitions(&self) -> Vec<NodeDefinition> {
        Vec::new()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::Sender::new(0).subscribe()
    }

    fn execute(&self, request: ExecutionRequest, replies: Replies) {
        assert!(*request.node_uid != *"panic", "asked to");
        self.0.try_send(replies).expect("the test takes them");
    }
}

struct Hands {
    client: Client,
    executions: mpsc::Receiver<Replies>,
    stats: Arc<nanograph::server::Stats>,
    _task: tokio::task::JoinHandle<()>,
}

impl Hands {
    async fn start(outbound_bytes: usize) -> Self {
        let (sender, executions) = mpsc::channel(100);
        let mut options = ServerOptions::new(Identity::new("trace-server", "package"));
        options.limits.outbound_bytes = outbound_bytes;
        let server = Server::bind("127.0.0.1:0", options, Arc::new(Handed(sender)))
            .await
            .unwrap();
        let (address, stats) = (server.local_addr().to_string(), server.stats());
        let task = tokio::spawn(server.serve(std::future::pending()));
        let mut client = Client::connect(&address).await;
        client.text().await;
        Self {
            client,
            executions,
            stats,
            _task: task,
        }
    }

    async fn execution(&mut self, uid: &str) -> Replies {
        self.client.send(request("wf", "1", uid, "{}")).await;
        self.executions.recv().await.expect("the server runs")
    }
}

#[tokio::test]
async fn one_terminal_status_and_nothing_after_it() {
    let mut hands = Hands::start(1 << 20).await;
    let replies = hands.execution("x").await;
    assert_eq!(
        (replies.instance_id(), replies.node_id().as_u64()),
        ("wf", Some(1))
    );
    replies.started();
    assert_eq!(
        replies.partial(Some("half"), &json("{\"x\": [1]}")),
        Delivery::Queued
    );
    assert_eq!(replies.complete(&Json::null()), Delivery::Queued);
    assert!(replies.is_over());
    assert_eq!(replies.complete(&Json::null()), Delivery::Over);
    assert_eq!(replies.error("late"), Delivery::Over);
    assert_eq!(replies.running(Some("late"), None), Delivery::Over);
    drop(replies);
    hands.client.expect(&started("wf", "1")).await;
    let half = r#"{"type": "running", "message": "half", "outputs": {"x": [1]}}"#;
    hands.client.expect(&status("wf", "1", half)).await;
    hands.client.expect(&complete("wf", "1", "null")).await;
    hands.client.expect_silence().await;
}

#[tokio::test]
async fn dropped_replies_are_an_error() {
    let mut hands = Hands::start(1 << 20).await;
    drop(hands.execution("x").await);
    hands
        .client
        .expect(&error("wf", "1", "The execution ended without a result"))
        .await;
    hands.client.expect_silence().await;
}

#[tokio::test]
async fn a_panic_in_the_backend_costs_one_execution() {
    let mut hands = Hands::start(1 << 20).await;
    hands.client.send(request("wf", "1", "panic", "{}")).await;
    hands
        .client
        .expect(&error("wf", "1", "The execution ended without a result"))
        .await;
    let _ = hands.execution("x").await.not_found();
    hands
        .client
        .expect(&error("wf", "1", "Node definition not found: x"))
        .await;
    assert_eq!(hands.stats.snapshot().backend_panics, 1);
}

#[tokio::test]
async fn without_room_running_statuses_are_dropped_and_terminal_ones_are_not() {
    let mut hands = Hands::start(100_000).await;
    let (first, second) = (hands.execution("x").await, hands.execution("x").await);
    // More than what the system buffers, so that it waits until the client reads.
    let large = json(&format!("[\"{}\"]", "a".repeat(20_000_000)));
    first.complete(&large);
    assert!(!second.has_room());
    assert_eq!(second.running(Some("dropped"), None), Delivery::Full);
    assert_eq!(second.partial(None, &Json::null()), Delivery::Full);
    let waiting = tokio::spawn(async move {
        second.room().await;
        assert_eq!(second.running(Some("again"), None), Delivery::Queued);
        second.complete(&Json::null());
    });
    assert!(hands.client.text().await.len() > 20_000_000);
    hands
        .client
        .expect(&status(
            "wf",
            "1",
            r#"{"type": "running", "message": "again"}"#,
        ))
        .await;
    hands.client.expect(&complete("wf", "1", "null")).await;
    waiting.await.unwrap();
    assert_eq!(hands.stats.snapshot().statuses_dropped, 2);
}

#[tokio::test]
async fn statuses_for_a_gone_client_are_counted_as_lost() {
    let mut hands = Hands::start(1 << 20).await;
    let replies = hands.execution("x").await;
    hands.client.socket.close(None).await.unwrap();
    assert!(hands.client.next().await.is_none() || hands.client.next().await.is_none());
    while replies.is_connected() {
        tokio::task::yield_now().await;
    }
    replies.room().await;
    replies.started();
    assert_eq!(replies.complete(&Json::null()), Delivery::Gone);
    let stats = hands.stats.snapshot();
    assert_eq!((stats.statuses_lost, stats.executions_completed), (2, 1));
}

#[tokio::test]
async fn outputs_have_no_size_limit() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(request("wf-1", "1", "big", "{}")).await;
    client.expect(&started("wf-1", "1")).await;
    assert_eq!(client.text().await.len(), 6_000_190, "as recorded");
}

/// spec: nanograph 5.2, 8.3
#[tokio::test]
async fn changed_definitions_are_announced_once_they_settle() {
    let update = traces::load()
        .into_iter()
        .filter(|scenario| scenario.name == "hot_reload")
        .flat_map(|scenario| scenario.steps)
        .find_map(|step| step.text.filter(|text| text.contains("definitions_update")))
        .expect("recorded");
    let ServerMessage::DefinitionsUpdate(parsed) = ServerMessage::parse(update.as_str()).unwrap()
    else {
        panic!("not an update")
    };
    let server =
        TestServer::start_with(|options| options.debounce = std::time::Duration::from_millis(20))
            .await;
    let (mut first, mut second) = (server.client().await, server.client().await);
    server.redefine(Vec::new());
    server.redefine(parsed.node_definitions);
    first.expect(&update).await;
    second.expect(&update).await;
    first.expect_silence().await;
    let mut late = Client::connect(&server.address).await;
    let handshake = late.text().await;
    assert!(handshake.contains("Echo v2") && !handshake.contains("static-node"));
    // Running executions and the nodes that are gone are not disturbed.
    first.send(request("wf-1", "1", "static-node", "{}")).await;
    first
        .expect(&error(
            "wf-1",
            "1",
            "Node definition not found: static-node",
        ))
        .await;
}

#[tokio::test]
async fn the_handshake_names_the_software() {
    let server = TestServer::start_with(|options| {
        options.identity.sdk = Identity::new("", "").sdk;
    })
    .await;
    let handshake = Client::connect(&server.address).await.text().await;
    let ServerMessage::Handshake(handshake) = ServerMessage::parse(handshake).unwrap() else {
        panic!("not one")
    };
    assert_eq!(
        handshake.sdk.as_deref(),
        Some(concat!("nodewire/", env!("CARGO_PKG_VERSION")))
    );
}

/// Pings and stops are answered while nodes run, and executions of other connections are found. spec: nanograph 9
#[tokio::test]
async fn stops_reach_executions_of_gone_connections() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for node_id in 0..100 {
        client
            .send(request("orphans", &node_id.to_string(), "sleep", "{}"))
            .await;
    }
    for node_id in 0..100 {
        client
            .expect(&started("orphans", &node_id.to_string()))
            .await;
    }
    drop(client);
    let mut other = server.client().await;
    other.send(stop("orphans")).await;
    assert!(other.text().await.contains("abort 100 active node(s)"));
    server
        .wait_for(|stats| stats.executions_failed == 100)
        .await;
    other.expect_silence().await;
}
