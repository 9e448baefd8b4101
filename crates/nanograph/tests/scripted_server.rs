//! The client against a scripted server: recorded exchanges, and everything a server can do wrong.

#![expect(clippy::expect_used, reason = "a test may fail")]

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use nanograph::client::{
    Backoff, Client, ClientConfig, ConnectError, ConnectionState, ExecuteError, Execution,
    ExecutionError, ExecutionEvent, KeepAlive, ProbeError, StopError, probe,
};
use nanograph::message::{ClientMessage, ExecutionRequest, NodeId};
use nodewire_json::Json;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// More than anything here takes; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(120);
const HANDSHAKE: &str =
    r#"{"type": "handshake", "serverUid": "s", "payload": {"nodeDefinitions": [{"uid": "a"}]}}"#;

type ServerSocket = WebSocketStream<TcpStream>;

struct Server {
    listener: TcpListener,
}

impl Server {
    async fn bind() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.expect("listener"),
        }
    }

    fn url(&self) -> String {
        format!("ws://{}/", self.listener.local_addr().expect("address"))
    }

    async fn accept(&self) -> ServerSocket {
        let (stream, _) = self.listener.accept().await.expect("connection");
        tokio_tungstenite::accept_async(stream)
            .await
            .expect("upgrade")
    }

    /// A connection with its handshake sent.
    async fn greet(&self) -> ServerSocket {
        let mut socket = self.accept().await;
        say(&mut socket, HANDSHAKE).await;
        socket
    }

    async fn connect(&self, config: ClientConfig) -> (Client, ServerSocket) {
        let url = self.url();
        let (client, socket) = tokio::join!(Client::connect(&url, config), self.greet());
        (client.expect("client"), socket)
    }
}

async fn say(socket: &mut ServerSocket, text: impl Into<String>) {
    socket.send(Message::text(text.into())).await.expect("sent");
}

/// The next text from the client.
async fn hear(socket: &mut ServerSocket) -> ClientMessage {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next())
            .await
            .expect("a message");
        if let Message::Text(text) = message.expect("a message").expect("a message") {
            return ClientMessage::parse(text.as_str().to_owned()).expect("a message of this wire");
        }
    }
}

fn request(instance_id: &str, node_id: u64) -> ExecutionRequest {
    let graph_node = json!({"id": node_id, "uid": "a", "parameters": []});
    ExecutionRequest::new(
        instance_id.to_owned(),
        NodeId::from(node_id),
        "a",
        Json::from(json!({})),
        Json::from(graph_node),
    )
}

fn status(instance_id: &str, node_id: u64, status: &Value) -> String {
    json!({"type": "node_status", "serverUid": "s", "instanceId": instance_id,
        "payload": {"nodeId": node_id, "status": status}})
    .to_string()
}

fn patient() -> ClientConfig {
    let reconnect = Some(Backoff {
        min: Duration::from_millis(1),
        max: Duration::from_millis(5),
    });
    ClientConfig {
        reconnect,
        ..ClientConfig::default()
    }
}

async fn outcome(execution: Execution) -> Result<String, ExecutionError> {
    let outcome = tokio::time::timeout(PATIENCE, execution.outcome())
        .await
        .expect("an end");
    outcome.map(|completion| completion.outputs.to_string())
}

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            // Nothing tells when a counter changes.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("the condition");
}

// ---- Recorded exchanges ----

/// The request of a recorded frame, or the stop of one.
enum Recorded {
    Request(Box<ExecutionRequest>),
    Stop(String),
}

fn recorded(text: &str) -> Option<Recorded> {
    match ClientMessage::parse(text.to_owned()).ok()? {
        ClientMessage::RequestExecution(request) => Some(Recorded::Request(Box::new(request))),
        ClientMessage::StopWorkflowInstance { instance_id } => {
            Some(Recorded::Stop(instance_id.to_string()))
        }
        ClientMessage::Unknown { .. } | _ => None,
    }
}

fn scenarios() -> Vec<Value> {
    let path = nodewire_testkit::vector_path("nanograph-traces.json");
    let file: Value =
        serde_json::from_slice(&std::fs::read(path).expect("traces")).expect("traces");
    file["scenarios"].as_array().expect("scenarios").clone()
}

/// Plays one side of a scenario to the client and gives how each execution ended.
async fn replay(steps: &[Value]) -> (Client, Vec<Execution>, ServerSocket) {
    let server = Server::bind().await;
    let (client, mut socket) = server
        .connect(ClientConfig {
            reconnect: None,
            ..ClientConfig::default()
        })
        .await;
    let mut executions = Vec::new();
    for step in steps {
        let Some(text) = step["text"].as_str() else {
            continue;
        };
        match (step["dir"].as_str(), recorded(text)) {
            (Some("send"), Some(Recorded::Request(request))) => {
                let request = *request;
                let expected = request.clone();
                executions.push(client.execute(request).await.expect("taken"));
                let ClientMessage::RequestExecution(heard) = hear(&mut socket).await else {
                    panic!("no request")
                };
                assert_eq!(
                    heard, expected,
                    "what the client sends is what was recorded"
                );
            }
            (Some("send"), Some(Recorded::Stop(instance_id))) => {
                let client = client.clone();
                tokio::spawn(async move { client.stop_instance(instance_id).await });
                assert!(matches!(
                    hear(&mut socket).await,
                    ClientMessage::StopWorkflowInstance { .. }
                ));
            }
            (Some("recv"), _) => say(&mut socket, text).await,
            _ => {}
        }
    }
    (client, executions, socket)
}

/// What the recorded statuses of the first execution come to, by the rules of spec 15.1.
fn expected_end(steps: &[Value], execution: &Execution) -> Option<String> {
    let stop = steps.iter().position(|step| {
        step["text"]
            .as_str()
            .is_some_and(|text| text.contains("stop_workflow"))
    });
    let received = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step["dir"] == "recv");
    let last = received.filter_map(|(at, step)| {
        let message = Json::parse(step["text"].as_str()?.to_owned()).ok()?;
        let status = message.get("payload")?.get("status")?;
        let instance: String = message.get("instanceId")?.decode().ok()?;
        let kind: String = status.get("type")?.decode().ok()?;
        let message: String = status
            .get("message")
            .and_then(|message| message.decode().ok())
            .unwrap_or_default();
        let message = if message.is_empty() {
            "node failed without a message".to_owned()
        } else {
            message
        };
        match kind.as_str() {
            _ if instance != execution.instance_id() => None,
            "complete" => Some(
                status
                    .get("outputs")
                    .filter(|outputs| !outputs.is_null())
                    .map_or_else(|| "{}".to_owned(), |outputs| outputs.to_string()),
            ),
            "error" if stop.is_some_and(|stop| stop < at) => Some(format!("stopped: {message}")),
            "error" => Some(message),
            _ => None,
        }
    });
    { last }.next()
}

#[tokio::test]
async fn recorded_exchanges_end_as_they_did() {
    let mut replayed = HashSet::new();
    for scenario in scenarios() {
        let name = scenario["name"].as_str().expect("name");
        let steps = scenario["steps"].as_array().cloned().unwrap_or_default();
        let one_connection = steps
            .iter()
            .all(|step| step["conn"].is_null() || step["conn"] == "A");
        let complete = steps
            .iter()
            .all(|step| step["text_head"].is_null() && step["binary"].is_null());
        // Two executions under one key are refused here (quirk N10).
        if !one_connection || !complete || name == "same_instance_and_node_twice" {
            continue;
        }
        let (client, mut executions, socket) = replay(&steps).await;
        executions.truncate(1);
        let Some(execution) = executions.pop() else {
            continue;
        };
        let expected = expected_end(&steps, &execution);
        drop(socket);
        let end = match outcome(execution).await {
            Ok(outputs) => Some(outputs),
            Err(ExecutionError::ServerLost { .. }) => None,
            Err(error) => Some(error.to_string()),
        };
        assert_eq!(end, expected, "{name} {}", scenario["sdk"]);
        assert_eq!(client.counters().unknown_statuses, 0, "{name}");
        replayed.insert(name.to_owned());
    }
    assert!(replayed.len() >= 30, "{replayed:?}");
}

// ---- Connecting ----

#[tokio::test]
async fn the_upgrade_is_what_python_servers_accept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
    let url = format!("ws://{}", listener.local_addr().expect("address"));
    let connecting =
        tokio::spawn(async move { Client::connect(&url, ClientConfig::default()).await });
    let (mut stream, _) = listener.accept().await.expect("connection");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("head"));
    }
    let head = String::from_utf8(head).expect("text");
    assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
    // Compared as a whole by the Python SDK (quirk N5); no extension is offered (spec 13.1).
    assert!(head.contains("\r\nConnection: Upgrade\r\n"), "{head}");
    assert!(head.contains("\r\nUpgrade: websocket\r\n"), "{head}");
    assert!(
        !head.to_lowercase().contains("sec-websocket-extensions"),
        "{head}"
    );
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await
        .expect("answer");
    let refused = connecting.await.expect("task").expect_err("no upgrade");
    assert!(
        matches!(refused, ConnectError::NotWebSocket { status: 200, .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_server_that_never_greets_is_no_node_server() {
    let server = Server::bind().await;
    let url = server.url();
    let config = ClientConfig {
        connect_timeout: Duration::from_millis(500),
        handshake_timeout: Duration::from_millis(100),
        ..ClientConfig::default()
    };
    // Nobody accepts the upgrade.
    let refused = Client::connect(&url, config.clone())
        .await
        .expect_err("no upgrade");
    assert!(
        matches!(refused, ConnectError::TimedOut { .. }),
        "{refused}"
    );

    // The upgrade itself may take as long as a busy machine needs.
    let config = ClientConfig {
        connect_timeout: PATIENCE,
        ..config
    };
    let noise = async {
        let _first = server.listener.accept().await.expect("the first attempt");
        let mut socket = server.accept().await;
        for text in [
            "",
            "{",
            "[]",
            "7",
            r#"{"type": 5}"#,
            r#"{"type": "handshake"}"#,
            r#"{"type": "node_status"}"#,
        ] {
            say(&mut socket, text).await;
        }
        socket
            .send(Message::binary(vec![1, 2]))
            .await
            .expect("sent");
        socket
    };
    let (refused, _socket) = tokio::join!(Client::connect(&url, config.clone()), noise);
    assert!(
        matches!(refused, Err(ConnectError::NoHandshake { .. })),
        "{refused:?}"
    );

    let goodbye = async {
        let mut socket = server.accept().await;
        socket.close(None).await.expect("closed");
    };
    let patient = ClientConfig {
        handshake_timeout: PATIENCE,
        ..config.clone()
    };
    let (refused, ()) = tokio::join!(Client::connect(&url, patient), goodbye);
    assert!(
        matches!(refused, Err(ConnectError::ClosedEarly { .. })),
        "{refused:?}"
    );

    drop(server);
    let refused = Client::connect(&url, config.clone()).await;
    assert!(
        matches!(refused, Err(ConnectError::Unreachable { .. })),
        "{refused:?}"
    );
    for url in ["", "http://127.0.0.1/", "ws://", "127.0.0.1:1"] {
        let refused = Client::connect(url, config.clone()).await;
        assert!(
            matches!(refused, Err(ConnectError::InvalidUrl { .. })),
            "{url}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn another_server_on_the_port_is_refused_now_and_later() {
    let server = Server::bind().await;
    let config = ClientConfig {
        expected_server_uid: Some("s".to_owned()),
        ..patient()
    };
    let (client, socket) = server.connect(config).await;
    drop(socket);
    let mut impostor = server.accept().await;
    say(&mut impostor, HANDSHAKE.replace("\"s\"", "\"t\"")).await;
    let mut state = client.watch_state();
    let told = |state: &ConnectionState| matches!(state, ConnectionState::Reconnecting { reason, .. } if reason.contains("another process"));
    tokio::time::timeout(PATIENCE, state.wait_for(told))
        .await
        .expect("told")
        .expect("client");
    let _right = server.greet().await;
    assert!(
        tokio::time::timeout(PATIENCE, client.connected())
            .await
            .expect("connected")
    );
}

// ---- While connected ----

#[tokio::test]
async fn garbage_is_counted_and_changes_nothing() {
    let server = Server::bind().await;
    let (client, mut socket) = server.connect(ClientConfig::default()).await;
    let execution = client.execute(request("i", 1)).await.expect("taken");
    hear(&mut socket).await;
    for text in [
        "",
        "{",
        "null",
        "[1]",
        r#"{"type": "x"}"#,
        r#"{"type": "node_status", "instanceId": "i", "payload": {}}"#,
    ] {
        say(&mut socket, text).await;
    }
    socket
        .send(Message::binary(vec![0; 10]))
        .await
        .expect("sent");
    say(&mut socket, status("other", 1, &json!({"type": "error"}))).await;
    say(&mut socket, status("i", 2, &json!({"type": "error"}))).await;
    say(
        &mut socket,
        r#"{"type": "ack_stop_workflow", "instanceId": "i", "payload": {"success": true}}"#,
    )
    .await;
    say(&mut socket, status("i", 1, &json!(7))).await;
    say(
        &mut socket,
        status("i", 1, &json!({"type": "complete", "outputs": {"x": [1]}})),
    )
    .await;
    assert_eq!(outcome(execution).await.as_deref(), Ok(r#"{"x":[1]}"#));
    let counters = client.counters();
    assert_eq!(
        (counters.invalid_messages, counters.unknown_statuses),
        (7, 2)
    );
}

#[tokio::test]
async fn an_end_that_cannot_be_read_is_an_end() {
    let server = Server::bind().await;
    let (client, mut socket) = server.connect(ClientConfig::default()).await;
    let execution = client.execute(request("i", 1)).await.expect("taken");
    hear(&mut socket).await;
    let deep = format!("{}{}", "[".repeat(400), "]".repeat(400));
    for kind in ["running", "complete"] {
        say(
            &mut socket,
            format!(
                r#"{{"type": "node_status", "serverUid": "s", "instanceId": "i",
                    "payload": {{"nodeId": 1, "status": {{"type": "{kind}", "outputs": {{"x": {deep}}}}}}}}}"#
            ),
        )
        .await;
    }
    let error = outcome(execution).await.unwrap_err();
    assert!(
        matches!(error, ExecutionError::InvalidOutputs { .. }),
        "{error}"
    );
    assert_eq!(
        (client.counters().invalid_messages, client.counters().failed),
        (2, 1)
    );
}

#[tokio::test]
async fn a_slow_reader_misses_statuses_but_not_the_end() {
    let server = Server::bind().await;
    let config = ClientConfig {
        max_queued_statuses: 3,
        ..ClientConfig::default()
    };
    let (client, mut socket) = server.connect(config).await;
    let mut execution = client.execute(request("i", 1)).await.expect("taken");
    for step in 0..50 {
        say(
            &mut socket,
            status(
                "i",
                1,
                &json!({"type": "running", "progress": {"step": step, "total": 50}}),
            ),
        )
        .await;
    }
    say(
        &mut socket,
        status("i", 1, &json!({"type": "error", "message": "end"})),
    )
    .await;
    until(|| client.counters().failed == 1).await;
    let mut seen = Vec::new();
    while let Some(event) = execution.next().await {
        seen.push(match event {
            ExecutionEvent::Status(status) => status.progress.expect("progress").step.to_string(),
            ExecutionEvent::End(end) => end.expect_err("failed").to_string(),
        });
    }
    assert_eq!(seen, ["47", "48", "49", "end"]);
    assert_eq!(
        (execution.conflated(), client.counters().conflated_statuses),
        (47, 47)
    );
}

#[tokio::test]
async fn dropped_executions_are_forgotten_and_nothing_is_sent() {
    let server = Server::bind().await;
    let (client, mut socket) = server.connect(ClientConfig::default()).await;
    let execution = client.execute(request("i", 1)).await.expect("taken");
    hear(&mut socket).await;
    let again = client.execute(request("i", 1)).await;
    assert!(matches!(again, Err(ExecuteError::Duplicate { .. })));
    drop(execution);
    assert_eq!(
        (client.counters().outstanding, client.counters().abandoned),
        (0, 1)
    );
    // Dropped before the task could write it: it is not sent at all (this test has one thread, so none ran meanwhile).
    drop(client.execute(request("never", 1)).await.expect("taken"));
    let _next = client.execute(request("next", 1)).await.expect("taken");
    let ClientMessage::RequestExecution(heard) = hear(&mut socket).await else {
        panic!("no request")
    };
    assert_eq!(heard.instance_id, "next");
}

#[tokio::test]
async fn every_limit_is_kept() {
    let server = Server::bind().await;
    let config = ClientConfig {
        max_outstanding: 2,
        max_request_bytes: 200,
        max_message_bytes: 1000,
        ..patient()
    };
    let (client, mut socket) = server.connect(config).await;
    let first = client.execute(request("i", 1)).await.expect("taken");
    let _second = client.execute(request("i", 2)).await.expect("taken");
    assert!(matches!(
        client.execute(request("i", 3)).await,
        Err(ExecuteError::TooManyOutstanding { limit: 2 })
    ));
    let refused = client.execute(request(&"i".repeat(200), 3)).await;
    assert!(matches!(
        refused,
        Err(ExecuteError::InputTooLarge { limit: 200, .. })
    ));
    say(
        &mut socket,
        status(
            "i",
            1,
            &json!({"type": "running", "message": "x".repeat(2000)}),
        ),
    )
    .await;
    assert!(
        matches!(outcome(first).await, Err(ExecutionError::ServerLost { .. })),
        "the message is over the limit"
    );
}

#[tokio::test]
async fn stops_get_their_own_answer_or_none() {
    let server = Server::bind().await;
    let config = ClientConfig {
        stop_timeout: Duration::from_secs(1),
        ..patient()
    };
    let (client, mut socket) = server.connect(config).await;
    let ack = |message: &str| {
        json!({"type": "ack_stop_workflow", "instanceId": "i", "payload": {"success": true, "message": message}}).to_string()
    };
    assert!(matches!(
        client.stop_instance("i").await,
        Err(StopError::TimedOut { .. })
    ));
    // The answer to the first stop comes late and must not answer the second.
    let second = tokio::spawn({
        let client = client.clone();
        async move { client.stop_instance("i").await }
    });
    hear(&mut socket).await;
    hear(&mut socket).await;
    say(&mut socket, ack("first")).await;
    say(&mut socket, ack("second")).await;
    assert_eq!(second.await.expect("task").expect("ack").message, "second");
    let third = tokio::spawn({
        let client = client.clone();
        async move { client.stop_instance("i").await }
    });
    hear(&mut socket).await;
    drop(socket);
    assert_eq!(
        third.await.expect("task").err(),
        Some(StopError::ServerLost)
    );
    assert_eq!(
        client.stop_instance("i").await.err(),
        Some(StopError::NotConnected)
    );
}

#[tokio::test]
async fn definitions_follow_updates_and_new_connections() {
    let server = Server::bind().await;
    let (client, mut socket) = server.connect(patient()).await;
    let mut handshake = client.watch_handshake();
    let uids = |client: &Client| {
        client
            .handshake()
            .node_definitions
            .iter()
            .map(|n| n.uid.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(uids(&client), ["a"]);
    say(&mut socket, r#"{"type": "definitions_update", "payload": {"nodeDefinitions": [{"uid": "b"}, {"no": 1}, {"uid": "c"}]}}"#).await;
    tokio::time::timeout(PATIENCE, handshake.changed())
        .await
        .expect("changed")
        .expect("client");
    assert_eq!(
        (uids(&client), client.handshake().server_uid.as_str()),
        (vec!["b".to_owned(), "c".to_owned()], "s")
    );
    drop(socket);
    let _again = server.greet().await;
    tokio::time::timeout(PATIENCE, handshake.changed())
        .await
        .expect("changed")
        .expect("client");
    assert_eq!(uids(&client), ["a"]);
}

#[tokio::test]
async fn losses_say_why() {
    let server = Server::bind().await;
    for (code, expected) in [
        (Some(1009_u16), "code 1009"),
        (Some(1000), "code 1000"),
        (None, "connection"),
    ] {
        let (client, mut socket) = server
            .connect(ClientConfig {
                reconnect: None,
                ..ClientConfig::default()
            })
            .await;
        let execution = client.execute(request("i", 1)).await.expect("taken");
        hear(&mut socket).await;
        match code {
            Some(code) => {
                let frame = CloseFrame {
                    code: code.into(),
                    reason: "why".into(),
                };
                socket.close(Some(frame)).await.expect("closed");
                // The goodbye is answered.
                let answer = tokio::time::timeout(PATIENCE, socket.next())
                    .await
                    .expect("an answer");
                assert!(matches!(answer, Some(Ok(Message::Close(_)))), "{answer:?}");
            }
            None => drop(socket),
        }
        let Err(ExecutionError::ServerLost { reason, sent: true }) = outcome(execution).await
        else {
            panic!("not lost")
        };
        assert!(reason.contains(expected), "{reason}");
        assert!(!client.connected().await);
        assert_eq!(
            client.execute(request("i", 1)).await.err(),
            Some(ExecuteError::Closed)
        );
    }
}

#[tokio::test]
async fn an_idle_silent_server_is_dropped_and_dialled_again() {
    let server = Server::bind().await;
    let keep_alive = KeepAlive {
        interval: Duration::from_millis(10),
        timeout: Duration::from_millis(60),
    };
    // This side never reads, so no ping is answered.
    let (client, silent) = server
        .connect(ClientConfig {
            keep_alive,
            ..patient()
        })
        .await;
    let _again = tokio::time::timeout(PATIENCE, server.greet())
        .await
        .expect("dialled again");
    until(|| client.counters().connections == 2).await;
    assert!(client.counters().pings > 0);
    drop(silent);
}

#[tokio::test]
async fn pings_of_the_server_are_answered() {
    let server = Server::bind().await;
    let (_client, mut socket) = server.connect(ClientConfig::default()).await;
    socket.send(Message::Ping("x".into())).await.expect("sent");
    let answer = tokio::time::timeout(PATIENCE, socket.next())
        .await
        .expect("an answer");
    assert!(
        matches!(answer, Some(Ok(Message::Pong(ref payload))) if payload.as_ref() == b"x"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_read_is_still_heard() {
    let server = Server::bind().await;
    let (client, mut socket) = server.connect(ClientConfig::default()).await;
    let first = client.execute(request("first", 1)).await.expect("taken");
    // Far more than the sockets hold: the client's writes are stuck from here on.
    let large = Json::from(json!({"x": ["x".repeat(4_000_000)]}));
    let mut stuck = Vec::new();
    for node_id in 0..8 {
        let request = ExecutionRequest::new(
            "i",
            NodeId::from(node_id),
            "a",
            large.clone(),
            Json::from(json!({"id": node_id})),
        );
        stuck.push(client.execute(request).await.expect("taken"));
    }
    say(
        &mut socket,
        status("first", 1, &json!({"type": "complete", "outputs": {}})),
    )
    .await;
    assert_eq!(outcome(first).await.as_deref(), Ok("{}"));
    for _ in 0..9 {
        hear(&mut socket).await;
    }
}

#[tokio::test]
async fn the_connection_ends_politely_with_the_last_handle() {
    let server = Server::bind().await;
    let (client, mut socket) = server.connect(ClientConfig::default()).await;
    let execution = client.execute(request("i", 1)).await.expect("taken");
    hear(&mut socket).await;
    drop(client);
    // The execution keeps the connection.
    say(
        &mut socket,
        status("i", 1, &json!({"type": "complete", "outputs": null})),
    )
    .await;
    assert_eq!(outcome(execution).await.as_deref(), Ok("{}"));
    let goodbye = tokio::time::timeout(PATIENCE, socket.next())
        .await
        .expect("a goodbye");
    let Some(Ok(Message::Close(Some(frame)))) = goodbye else {
        panic!("{goodbye:?}")
    };
    assert_eq!(u16::from(frame.code), 1000);
}

#[tokio::test]
async fn close_ends_everything_even_if_the_server_does_not_answer() {
    let server = Server::bind().await;
    let config = ClientConfig {
        close_timeout: Duration::from_millis(50),
        ..ClientConfig::default()
    };
    let (client, _socket) = server.connect(config).await;
    let execution = client.execute(request("i", 1)).await.expect("taken");
    tokio::time::timeout(PATIENCE, client.close())
        .await
        .expect("closed");
    assert_eq!(outcome(execution).await, Err(ExecutionError::Closed));
    assert!(matches!(client.state(), ConnectionState::Closed { .. }));

    // Also while it waits to connect again.
    let (client, socket) = server.connect(ClientConfig::default()).await;
    drop((server, socket));
    let mut state = client.watch_state();
    state
        .wait_for(|state| matches!(state, ConnectionState::Reconnecting { .. }))
        .await
        .expect("client");
    tokio::time::timeout(PATIENCE, client.close())
        .await
        .expect("closed");
}

// ---- The status page ----

async fn page(
    answer: &'static str,
    timeout: Duration,
) -> Result<nanograph::client::StatusPage, ProbeError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    let serve = async {
        let (mut stream, _) = listener.accept().await.expect("connection");
        let mut head = [0; 1024];
        assert!(stream.read(&mut head).await.expect("head") > 0);
        stream.write_all(answer.as_bytes()).await.expect("answer");
        stream
    };
    let (page, _stream) = tokio::join!(probe(&url, timeout), serve);
    page
}

#[tokio::test]
async fn pages_of_any_version_are_read() {
    let answer = concat!(
        "HTTP/1.1 200 OK\r\nContent-Length: 56\r\n\r\n",
        r#"{"serverUid": "u", "serverName": "N", "loadedNodes": 2 }"#
    );
    let old = page(answer, PATIENCE).await.expect("page");
    assert_eq!(
        (
            old.server_uid.as_str(),
            old.server_display_name.as_deref(),
            old.loaded_nodes
        ),
        ("u", Some("N"), Some(2))
    );
    for (answer, reason) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "no serverUid",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{,", "not JSON"),
    ] {
        let refused = page(answer, PATIENCE).await.expect_err("no page");
        assert!(
            matches!(refused, ProbeError::NotANodeServer { .. })
                && refused.to_string().contains(reason),
            "{refused}"
        );
    }
    let cut = page(
        "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{",
        Duration::from_millis(200),
    )
    .await;
    assert!(
        matches!(
            cut,
            Err(ProbeError::TimedOut { .. } | ProbeError::Unreachable { .. })
        ),
        "{cut:?}"
    );
    assert!(matches!(
        probe("ftp://x", PATIENCE).await,
        Err(ProbeError::InvalidUrl { .. })
    ));
}
