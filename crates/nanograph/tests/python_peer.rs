//! Our client against node servers made with the real Python SDK, both generations. spec: nanograph 4-6, 22

#![expect(clippy::expect_used, reason = "a test may fail")]

use std::time::Duration;

use nanograph::client::{
    Client, ClientConfig, ConnectionState, ExecuteError, ExecuteOptions, Execution, ExecutionError,
    ExecutionEvent, KeepAlive, MAX_REQUEST_BYTES, probe,
};
use nanograph::message::{ExecutionRequest, NodeId};
use nodewire_json::Json;
use nodewire_testkit::{PythonNodeServer, SdkVersion};
use serde_json::{Value, json};

/// More than anything here takes; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(120);

macro_rules! with_both_sdks {
    ($($test:ident),* $(,)?) => {
        mod v0_1_22 {
            $(#[tokio::test] async fn $test() { super::$test(super::SdkVersion::V0_1_22).await; })*
        }
        mod v0_2_3 {
            $(#[tokio::test] async fn $test() { super::$test(super::SdkVersion::V0_2_3).await; })*
        }
    };
}

with_both_sdks!(
    the_handshake_and_the_page_say_who_it_is,
    every_kind_of_execution_ends_as_recorded,
    stops_end_as_recorded,
    many_at_once,
    large_messages,
    a_killed_server_is_lost_and_found_again,
    a_stopped_server_says_goodbye,
    an_idle_server_notices_new_nodes,
    a_blocked_server_is_not_given_up,
);

async fn start(version: SdkVersion) -> (PythonNodeServer, Client) {
    let server = PythonNodeServer::start(version).await.expect("server");
    let client = Client::connect(&server.url(), ClientConfig::default())
        .await
        .expect("client");
    (server, client)
}

fn request(
    instance_id: &str,
    node_id: u64,
    uid: &str,
    inputs: Json,
    parameters: &Value,
) -> ExecutionRequest {
    let graph_node = json!({"id": node_id, "uid": uid, "name": uid, "category": "Test", "version": "1.0.0",
        "inputs": [], "outputs": [], "parameters": parameters, "serverUid": "trace-server"});
    ExecutionRequest::new(
        instance_id.to_owned(),
        NodeId::from(node_id),
        uid.to_owned(),
        inputs,
        Json::from(graph_node),
    )
}

async fn execute(client: &Client, uid: &str) -> Execution {
    client
        .execute(request("wf-1", 1, uid, Json::from(json!({})), &json!([])))
        .await
        .expect("taken")
}

async fn run(
    client: &Client,
    instance_id: &str,
    uid: &str,
    inputs: &str,
) -> Result<String, ExecutionError> {
    let inputs = Json::parse(inputs.to_owned()).expect("JSON");
    let execution = client
        .execute(request(instance_id, 1, uid, inputs, &json!([])))
        .await
        .expect("taken");
    let outcome = tokio::time::timeout(PATIENCE, execution.outcome())
        .await
        .expect("an end");
    outcome.map(|completion| completion.outputs.to_string())
}

/// Everything up to the end, in short.
async fn story(mut execution: Execution) -> Vec<String> {
    let mut story = Vec::new();
    while let Some(event) = tokio::time::timeout(PATIENCE, execution.next())
        .await
        .expect("an event")
    {
        story.push(match event {
            ExecutionEvent::Status(status) => match status.progress {
                Some(progress) => format!(
                    "{} {}/{}",
                    status.kind.as_str(),
                    progress.step,
                    progress.total
                ),
                None => format!(
                    "{} {}",
                    status.kind.as_str(),
                    status.message.unwrap_or_default()
                ),
            },
            ExecutionEvent::End(Ok(completion)) => format!("complete {}", completion.outputs),
            ExecutionEvent::End(Err(error)) => format!("{error:?}"),
        });
    }
    story
}

async fn running(execution: &mut Execution) {
    let event = tokio::time::timeout(PATIENCE, execution.next())
        .await
        .expect("an event");
    assert!(
        matches!(event, Some(ExecutionEvent::Status(_))),
        "{event:?}"
    );
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            // Nothing tells when a counter changes.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen"));
}

async fn the_handshake_and_the_page_say_who_it_is(version: SdkVersion) {
    let (server, client) = start(version).await;
    let handshake = client.handshake();
    assert_eq!(handshake.server_uid, "trace-server");
    assert_eq!(handshake.domain.as_deref(), Some("local-python.nanograph"));
    assert_eq!(
        handshake.nanocore_http_endpoint.as_deref(),
        Some("http://127.0.0.1:3001")
    );
    assert_eq!(handshake.node_definitions.len(), 22);
    let echo = handshake
        .node_definitions
        .iter()
        .find(|node| node.uid == "echo")
        .expect("echo");
    assert_eq!((echo.inputs.len(), echo.parameters.len()), (2, 7));

    let page = probe(&server.url(), PATIENCE).await.expect("page");
    assert_eq!(
        (
            page.server_uid.as_str(),
            page.loaded_nodes,
            page.node_uids.len()
        ),
        ("trace-server", Some(22), 22)
    );
    let expecting = ClientConfig {
        expected_server_uid: Some("another".to_owned()),
        ..ClientConfig::default()
    };
    let refused = Client::connect(&server.url(), expecting)
        .await
        .expect_err("another server");
    assert!(
        refused.to_string().contains("another process has the port"),
        "{refused}"
    );

    client.close().await;
    assert!(matches!(client.state(), ConnectionState::Closed { .. }));
    let refused = client
        .execute(request(
            "wf-1",
            1,
            "echo",
            Json::from(json!({})),
            &json!([]),
        ))
        .await;
    assert_eq!(refused.err(), Some(ExecuteError::Closed));
}

async fn every_kind_of_execution_ends_as_recorded(version: SdkVersion) {
    let (_server, client) = start(version).await;
    let cases: [(&str, &[&str]); 14] = [
        (
            "echo",
            &["running Starting execution...", r#"complete {"text": []}"#],
        ),
        (
            "sync-echo",
            &["running Starting execution...", r#"complete {"text": []}"#],
        ),
        (
            "scalar-output",
            &[
                "running Starting execution...",
                r#"complete {"output1": "Processed by Python: "}"#,
            ],
        ),
        (
            "none-output",
            &["running Starting execution...", "complete {}"],
        ),
        (
            "nan-output",
            &[
                "running Starting execution...",
                r#"complete {"x": [NaN, Infinity, -Infinity, 1.0, 1000000000000000000000000000000]}"#,
            ],
        ),
        (
            "progress",
            &[
                "running Starting execution...",
                "running 1/3",
                "running 2/3",
                "running 3/3",
                r#"complete {"n": [3]}"#,
            ],
        ),
        (
            "progress-noawait",
            &["running Starting execution...", r#"complete {"n": [3]}"#],
        ),
        (
            "sync-progress",
            &[
                "running Starting execution...",
                r#"Failed { message: "no running event loop" }"#,
            ],
        ),
        (
            "fail",
            &[
                "running Starting execution...",
                r#"Failed { message: "boom: é \"quoted\"" }"#,
            ],
        ),
        (
            "fail-empty",
            &[
                "running Starting execution...",
                r#"Failed { message: "node failed without a message" }"#,
            ],
        ),
        (
            "send-error-then-raise",
            &[
                "running Starting execution...",
                r#"Failed { message: "first" }"#,
            ],
        ),
        (
            "send-error-then-return",
            &[
                "running Starting execution...",
                r#"Failed { message: "soft" }"#,
            ],
        ),
        (
            "manual-complete",
            &[
                "running Starting execution...",
                "idle ",
                "missing m",
                r#"complete {"x": [1]}"#,
            ],
        ),
        (
            "nope",
            &[r#"Failed { message: "Node definition not found: nope" }"#],
        ),
    ];
    for (uid, expected) in cases {
        assert_eq!(story(execute(&client, uid).await).await, expected, "{uid}");
        if matches!(
            uid,
            "progress-noawait"
                | "send-error-then-raise"
                | "send-error-then-return"
                | "manual-complete"
        ) {
            // What comes after the end; only then may the next execution use the same ids.
            let late = match uid {
                "progress-noawait" => 3,
                "send-error-then-raise" => 4,
                "send-error-then-return" => 5,
                _ => 6,
            };
            until("late statuses", || client.counters().late_statuses == late).await;
        }
    }

    let outputs = run(&client, "wf-2", "echo", r#"{"text": ["hi", "\u00e9"]}"#).await;
    assert_eq!(outputs.as_deref(), Ok(r#"{"text": ["hi", "\u00e9"]}"#));
    // Values that no Rust type holds go through a peer unchanged.
    let inputs = r#"{"a": [NaN, -Infinity, 1e400, 123456789012345678901234567890, "\ud800"]}"#;
    let seen = run(&client, "wf-2", "inspect", inputs)
        .await
        .expect("outputs");
    assert!(seen.starts_with(r#"{"inputs": {"a": [NaN, -Infinity, Infinity, 123456789012345678901234567890, "\ud800"]}"#), "{seen}");

    // Silence: only the caller's limit ends it. spec: nanograph 5.4
    let silent = request("wf-3", 1, "bad-output", Json::from(json!({})), &json!([]));
    let options = ExecuteOptions {
        timeout: Some(Duration::from_millis(300)),
    };
    let silent = client
        .execute_with(silent, options)
        .await
        .expect("taken")
        .outcome()
        .await;
    assert_eq!(
        silent.err(),
        Some(ExecutionError::TimedOut {
            after: Duration::from_millis(300)
        })
    );

    let counters = client.counters();
    assert_eq!(
        (
            counters.outstanding,
            counters.timed_out,
            counters.invalid_messages
        ),
        (0, 1, 0)
    );
    assert_eq!(counters.accepted, counters.completed + counters.failed + 1);
}

async fn stops_end_as_recorded(version: SdkVersion) {
    let (_server, client) = start(version).await;
    let cancelled = ExecutionError::Stopped {
        message: "Execution cancelled".to_owned(),
    };

    for uid in ["sleep", "sync-block"] {
        let mut execution = execute(&client, uid).await;
        running(&mut execution).await;
        let ack = execution.stop().await.expect("ack");
        assert!(
            ack.success && ack.message.contains("abort 1 active"),
            "{ack:?}"
        );
        assert_eq!(
            execution.outcome().await.err(),
            Some(cancelled.clone()),
            "{uid}"
        );
    }

    // Swallowed; the second stop ends it.
    let mut execution = execute(&client, "stubborn").await;
    running(&mut execution).await;
    execution.stop().await.expect("ack");
    running(&mut execution).await;
    execution.stop().await.expect("ack");
    assert_eq!(execution.outcome().await.err(), Some(cancelled.clone()));

    // Turned into another exception: there never is an end.
    let stuck = request(
        "wf-2",
        1,
        "stubborn-raise",
        Json::from(json!({})),
        &json!([]),
    );
    let options = ExecuteOptions {
        timeout: Some(Duration::from_secs(2)),
    };
    let mut execution = client.execute_with(stuck, options).await.expect("taken");
    running(&mut execution).await;
    execution.stop().await.expect("ack");
    assert!(matches!(
        execution.outcome().await,
        Err(ExecutionError::TimedOut { .. })
    ));

    // The event loop is blocked: it completes, then the stop is acknowledged.
    let mut execution = execute(&client, "async-block").await;
    running(&mut execution).await;
    let ack = execution.stop().await.expect("ack");
    assert!(ack.message.contains("abort 0 active"), "{ack:?}");
    assert_eq!(
        execution
            .outcome()
            .await
            .expect("completes")
            .outputs
            .as_str(),
        r#"{"done": [true]}"#
    );

    // Of two instances with a common prefix only the one that is named.
    let short = json!([{"name": "seconds", "value": 0.6}]);
    let mut both = Vec::new();
    for instance_id in ["wf", "wf-7"] {
        let request = request(instance_id, 1, "sleep", Json::from(json!({})), &short);
        let mut execution = client.execute(request).await.expect("taken");
        running(&mut execution).await;
        both.push(execution);
    }
    both[0].stop().await.expect("ack");
    let last = both.pop().expect("two");
    assert_eq!(
        last.outcome().await.expect("completes").outputs.as_str(),
        r#"{"done": [true]}"#
    );
    assert_eq!(
        both.pop().expect("two").outcome().await.err(),
        Some(cancelled)
    );

    let idle = client.stop_instance("none").await.expect("ack");
    assert_eq!(
        (idle.success, idle.instance_id.to_string().as_str()),
        (true, "none")
    );
}

async fn many_at_once(version: SdkVersion) {
    let (_server, client) = start(version).await;
    let tasks: Vec<_> = (0..200_u64)
        .map(|node_id| {
            let client = client.clone();
            tokio::spawn(async move {
                let inputs = Json::from(json!({"text": [node_id.to_string()]}));
                let execution = client
                    .execute(request("wf", node_id, "echo", inputs, &json!([])))
                    .await
                    .expect("taken");
                execution
                    .outcome()
                    .await
                    .expect("completes")
                    .outputs
                    .to_string()
            })
        })
        .collect();
    for (node_id, task) in tasks.into_iter().enumerate() {
        assert_eq!(
            task.await.expect("task"),
            format!(r#"{{"text": ["{node_id}"]}}"#)
        );
    }
    let counters = client.counters();
    assert_eq!((counters.completed, counters.sent), (200, 200));
}

async fn large_messages(version: SdkVersion) {
    let (server, client) = start(version).await;
    let empty = request(
        "wf-1",
        1,
        "sync-echo",
        Json::from(json!({"text": [""]})),
        &json!([]),
    );
    let room = MAX_REQUEST_BYTES - empty.to_text("trace-server").len();
    let filled = |bytes: usize| Json::from(json!({"text": ["a".repeat(bytes)]}));

    let refused = client
        .execute(request(
            "wf-1",
            1,
            "sync-echo",
            filled(room + 1),
            &json!([]),
        ))
        .await;
    let expected = ExecuteError::InputTooLarge {
        size: MAX_REQUEST_BYTES + 1,
        limit: MAX_REQUEST_BYTES,
    };
    assert_eq!(refused.err(), Some(expected));
    let largest = client
        .execute(request("wf-1", 1, "sync-echo", filled(room), &json!([])))
        .await
        .expect("taken");
    assert_eq!(
        largest
            .outcome()
            .await
            .expect("completes")
            .outputs
            .as_str()
            .len(),
        room + r#"{"text": [""]}"#.len()
    );
    let big = run(&client, "wf-2", "big", "{}")
        .await
        .expect("no limit in this direction");
    assert!(big.len() > 6_000_000);

    // A client that does not look loses the connection and with it everything.
    let careless = ClientConfig {
        max_request_bytes: usize::MAX,
        ..ClientConfig::default()
    };
    let careless = Client::connect(&server.url(), careless)
        .await
        .expect("client");
    let bystander = execute(&careless, "sleep").await;
    let too_large = careless
        .execute(request(
            "wf-2",
            1,
            "sync-echo",
            filled(room + 2),
            &json!([]),
        ))
        .await
        .expect("taken");
    assert!(matches!(
        too_large.outcome().await,
        Err(ExecutionError::ServerLost { .. })
    ));
    assert!(matches!(
        bystander.outcome().await,
        Err(ExecutionError::ServerLost { sent: true, .. })
    ));
    assert!(careless.connected().await, "it comes back");
}

async fn a_killed_server_is_lost_and_found_again(version: SdkVersion) {
    let (mut server, client) = start(version).await;
    let mut execution = execute(&client, "sleep").await;
    running(&mut execution).await;
    server.kill().await.expect("killed");
    let end = tokio::time::timeout(PATIENCE, execution.outcome())
        .await
        .expect("an end");
    assert!(
        matches!(end, Err(ExecutionError::ServerLost { sent: true, .. })),
        "{end:?}"
    );
    let refused = client
        .execute(request(
            "wf-1",
            1,
            "echo",
            Json::from(json!({})),
            &json!([]),
        ))
        .await;
    assert_eq!(refused.err(), Some(ExecuteError::NotConnected));

    server.restart().await.expect("restarted");
    assert!(
        tokio::time::timeout(PATIENCE, client.connected())
            .await
            .expect("connected again")
    );
    assert_eq!(
        run(&client, "wf-1", "echo", r#"{"text": ["back"]}"#)
            .await
            .as_deref(),
        Ok(r#"{"text": ["back"]}"#)
    );
    assert_eq!(
        (client.counters().connections, client.counters().lost),
        (2, 1)
    );
}

async fn a_stopped_server_says_goodbye(version: SdkVersion) {
    let mut server = PythonNodeServer::start(version).await.expect("server");
    let config = ClientConfig {
        reconnect: None,
        ..ClientConfig::default()
    };
    let client = Client::connect(&server.url(), config)
        .await
        .expect("client");
    let mut execution = execute(&client, "sleep").await;
    running(&mut execution).await;
    server.process().signal("INT").expect("signal");
    let end = execution.outcome().await;
    let Err(ExecutionError::ServerLost { reason, sent: true }) = end else {
        panic!("{end:?}")
    };
    assert!(reason.contains("code 1000"), "{reason}");
    server.process().wait(PATIENCE).await.expect("ended");
    assert!(
        server.project().join("shutdown.txt").exists(),
        "the shutdown handler ran"
    );
    assert!(!client.connected().await);
}

async fn an_idle_server_notices_new_nodes(version: SdkVersion) {
    let server = PythonNodeServer::start(version).await.expect("server");
    let config = ClientConfig {
        keep_alive: KeepAlive::watching(),
        ..ClientConfig::default()
    };
    let client = Client::connect(&server.url(), config)
        .await
        .expect("client");
    let mut handshake = client.watch_handshake();
    // From here on the server has nothing to do but to answer pings (quirk N13).
    until("a ping", || client.counters().pings > 0).await;
    let node = server.project().join("nodes/echo/node.py");
    let source = std::fs::read_to_string(&node).expect("node");
    std::fs::write(&node, source.replace("Prefixes each text", "Edited")).expect("edit");
    let edited = handshake.wait_for(|handshake| {
        handshake
            .node_definitions
            .iter()
            .any(|node| node.uid == "echo" && node.description == "Edited")
    });
    let edited = tokio::time::timeout(PATIENCE, edited)
        .await
        .expect("an update")
        .expect("client")
        .clone();
    assert_eq!(edited.server_uid, "trace-server");
    // Nodes of the entry point do not survive a reload (quirk N12).
    assert!(
        edited
            .node_definitions
            .iter()
            .all(|node| node.uid != "static-node")
    );
}

async fn a_blocked_server_is_not_given_up(version: SdkVersion) {
    let server = PythonNodeServer::start(version).await.expect("server");
    let impatient = KeepAlive {
        interval: Duration::from_millis(50),
        timeout: Duration::from_secs(1),
    };
    let config = ClientConfig {
        keep_alive: impatient,
        ..ClientConfig::default()
    };
    let client = Client::connect(&server.url(), config)
        .await
        .expect("client");
    let mut state = client.watch_state();
    let blocking = request(
        "wf-1",
        1,
        "async-block",
        Json::from(json!({})),
        &json!([{"name": "seconds", "value": 3}]),
    );
    let execution = client.execute(blocking).await.expect("taken");
    let unresponsive = state.wait_for(|state| *state == ConnectionState::Unresponsive);
    tokio::time::timeout(PATIENCE, unresponsive)
        .await
        .expect("seen as unresponsive")
        .expect("client");
    assert_eq!(
        execution
            .outcome()
            .await
            .expect("completes")
            .outputs
            .as_str(),
        r#"{"done": [true]}"#
    );
    state
        .wait_for(|state| *state == ConnectionState::Connected)
        .await
        .expect("client");
    assert_eq!(client.counters().connections, 1);
}
