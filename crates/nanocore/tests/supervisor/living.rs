//! Servers that do as they should.

use nanocore::supervisor::{
    Followed, LogLevel, LogSource, ServerState, SupervisorError, SupervisorOptions,
};
use nanocore::workflow::{Engine, EventKind, Graph, RunOptions};
use nanograph::client::probe;
use nanograph::message::ExecutionRequest;
use nodewire_json::Json;
use std::sync::Arc;
use std::time::Duration;

use super::support::{Bench, commanded, eventually, is_alive, javascript, quick, signal};

#[tokio::test]
async fn a_registered_server_is_started_offered_and_stopped_with_everything() {
    let mut bench =
        Bench::start(|home| vec![javascript(home, "one"), javascript(home, "two")]).await;
    let status = bench.state("one", ServerState::Ready).await;
    let pid = status.pid.unwrap();
    assert!(is_alive(pid));
    assert!(
        status.nodes.contains(&"upper-case".to_owned()),
        "{status:?}"
    );
    assert_eq!(
        (status.starts, status.failed_starts, status.last_error),
        (1, 0, None)
    );
    let url = status.url.unwrap();
    let page = probe(&url, Duration::from_secs(20)).await.unwrap();
    assert_eq!(
        page.nanocore_http_endpoint.as_deref(),
        Some("http://127.0.0.1:1")
    );
    assert_eq!(
        (page.server_uid.as_str(), page.domain.as_deref()),
        ("one", Some("d.test"))
    );
    // The port is kept for the next time.
    let entries = bench.registry.load().unwrap();
    assert_eq!(entries.get("one").unwrap().port, status.port);

    bench.state("two-package", ServerState::Ready).await;
    let mut offered: Vec<_> = bench
        .pool
        .clients()
        .iter()
        .map(|client| client.handshake().server_uid.clone())
        .collect();
    offered.sort();
    assert_eq!(offered, ["one", "two"]);
    let offers = bench.supervisor.offers();
    assert!(
        offers
            .iter()
            .all(|offer| offer.available && offer.handshake.is_some())
    );
    let event = bench
        .event("definitions_update", |event| event["serverUid"] == "one")
        .await;
    assert!(
        event["added"]
            .as_array()
            .unwrap()
            .contains(&"upper-case".into()),
        "{event}"
    );
    assert_eq!(event["removed"], serde_json::json!([]));

    let two = bench.supervisor.get("Server two").unwrap().pid.unwrap();
    bench.supervisor.shutdown().await;
    assert!(!is_alive(pid) && !is_alive(two));
    assert!(bench.pool.clients().is_empty());
    let records = std::fs::read_to_string(bench.home.join("processes.json")).unwrap();
    assert_eq!(records, "[]");
    assert!(matches!(
        bench.supervisor.start_server("one").await,
        Err(SupervisorError::Stopping | SupervisorError::Name(_))
    ));
}

#[tokio::test]
async fn states_are_told_in_order() {
    let mut bench = Bench::start(|home| vec![javascript(home, "one")]).await;
    for (previous, state) in [
        ("stopped", "installing"),
        ("installing", "starting"),
        ("starting", "ready"),
    ] {
        let event = bench.event("server_state", |_| true).await;
        assert_eq!(
            (&event["previous"], &event["state"]),
            (&previous.into(), &state.into()),
            "{event}"
        );
        assert_eq!(event["serverUid"], "one");
    }
    bench.supervisor.stop_server("one").await.unwrap();
    bench
        .event("server_state", |event| event["state"] == "stopping")
        .await;
    bench
        .event("server_state", |event| event["state"] == "stopped")
        .await;
    assert_eq!(bench.supervisor.get("one").unwrap().pid, None);
    assert!(bench.pool.clients().is_empty());
    bench.supervisor.start_server("one").await.unwrap();
    let first = bench.state("one", ServerState::Ready).await;
    bench.supervisor.restart_server("one").await.unwrap();
    let second = bench.ready_again("one", first.pid).await;
    assert_eq!((second.port, second.starts), (first.port, 3));
    assert!(!is_alive(first.pid.unwrap()));
    assert!(matches!(
        bench.supervisor.stop_server("nobody").await,
        Err(SupervisorError::Name(_))
    ));
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn a_users_variables_never_replace_what_the_server_needs() {
    let bench = Bench::start(|home| {
        let mut entry = commanded(home, "one", "env > seen.txt; exec node main.js");
        for (name, value) in [
            ("PORT", "1"),
            ("SERVER_UID", "x"),
            ("NANOCORE_TOKEN", "x"),
            ("OWN", "registry"),
            ("NANOSDK_LOG_LEVEL", "debug"),
        ] {
            entry.env.insert(name.to_owned(), value.to_owned());
        }
        let dot_env =
            "OWN=file\nOTHER='from file'\nDOMAIN=x\nNANOCORE_HTTP_ENDPOINT=http://elsewhere\n";
        std::fs::write(entry.path.as_ref().unwrap().join(".env"), dot_env).unwrap();
        vec![entry]
    })
    .await;
    let status = bench.state("one", ServerState::Ready).await;
    let seen = std::fs::read_to_string(bench.home.join("one/seen.txt")).unwrap();
    let port = status.port.unwrap().to_string();
    let token = bench.tokens.for_server("one");
    let expected = [
        ("PORT", port.as_str()),
        ("SERVER_UID", "one"),
        ("SERVER_PACKAGE_ID", "one-package"),
        ("SERVER_DISPLAY_NAME", "Server one"),
        ("SERVER_NAME", "Server one"),
        ("DOMAIN", "d.test"),
        ("NANOCORE_TOKEN", token.reveal()),
        ("NANOCORE_HTTP_ENDPOINT", "http://127.0.0.1:1"),
        ("NANOCORE_ENDPOINT", "http://127.0.0.1:1"),
        ("PYTHONUNBUFFERED", "1"),
        ("OWN", "registry"),
        ("OTHER", "from file"),
        ("NANOSDK_LOG_LEVEL", "debug"),
    ];
    for (name, value) in expected {
        assert!(
            seen.lines().any(|line| line == format!("{name}={value}")),
            "{name} in {seen}"
        );
    }
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn a_restart_lets_executions_end_first() {
    let bench = Bench::start(|home| vec![javascript(home, "one")]).await;
    let first = bench.state("one", ServerState::Ready).await;
    let client = bench.pool.clients().remove(0);
    let file = bench.home.join("began.txt");
    let node = serde_json::json!({"id": 1, "uid": "count", "parameters": [
        {"name": "file", "value": file}, {"name": "label", "value": "x"}, {"name": "milliseconds", "value": 700},
    ]});
    let request = ExecutionRequest::new(
        "wf",
        1_u64.into(),
        "count",
        Json::parse("{}").unwrap(),
        node.into(),
    );
    let execution = client.execute(request).await.unwrap();
    eventually("the node runs", || file.exists()).await;
    bench.supervisor.restart_server("one").await.unwrap();
    assert_eq!(
        bench.supervisor.get("one").unwrap().state,
        ServerState::Stopping
    );
    execution.outcome().await.unwrap();
    bench.ready_again("one", first.pid).await;
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn a_node_that_is_lost_with_its_server_tells_how_the_process_ended() {
    let bench = Bench::start(|home| vec![javascript(home, "one")]).await;
    let status = bench.state("one", ServerState::Ready).await;
    let graph = r#"{"nodes": [{"id": 1, "uid": "sleep", "serverUid": "one", "params": {"seconds": 600},
        "exec": {"idempotent": false}}], "links": []}"#;
    let graph = Graph::parse(graph).unwrap();
    let engine = Engine::new(Arc::new(bench.pool.clone()));
    let mut run = engine.start(&graph, RunOptions::default()).unwrap();
    let told = async {
        while let Some(event) = run.next_event().await {
            if matches!(event.kind, EventKind::NodeStatus { .. }) {
                signal(status.pid.unwrap(), "-KILL");
            }
            if let EventKind::NodeError { error, .. } = event.kind {
                return error.to_string();
            }
        }
        "no error".to_owned()
    };
    let told = tokio::time::timeout(Duration::from_secs(60), told).await;
    let told = told.expect("its loss is told");
    assert!(
        told.starts_with("server_lost: ") && told.contains("SIGKILL"),
        "{told}"
    );
    bench.supervisor.shutdown().await;
}

// spec: nanograph 13.3
#[tokio::test]
async fn a_server_that_does_not_answer_while_it_is_busy_is_told_as_unresponsive() {
    let options = SupervisorOptions {
        keep_alive_timeout: Duration::from_secs(2),
        ..quick()
    };
    let mut bench = Bench::start_with(options, |home| vec![javascript(home, "one")]).await;
    let status = bench.state("one", ServerState::Ready).await;
    assert!(!status.unresponsive);
    let client = bench.pool.clients().remove(0);
    let node = serde_json::json!({"id": 1, "uid": "sleep", "parameters": [
        {"name": "seconds", "value": 600},
    ]});
    let inputs = Json::parse("{}").unwrap();
    let request = ExecutionRequest::new("wf", 1_u64.into(), "sleep", inputs, node.into());
    let _execution = client.execute(request).await.unwrap();
    let pid = status.pid.unwrap();
    signal(pid, "-STOP");
    let told = bench
        .event("server_state", |event| event["unresponsive"] == true)
        .await;
    assert_eq!(told["state"], "ready", "the connection is kept: {told}");
    let status = bench.supervisor.get("one").unwrap();
    assert!(status.unresponsive && status.running == 1, "{status:?}");
    signal(pid, "-CONT");
    bench
        .event("server_state", |event| event["unresponsive"] == false)
        .await;
    bench
        .until("one", "responsive", |status| !status.unresponsive)
        .await;
    bench.supervisor.shutdown().await;
}

#[tokio::test]
async fn logs_are_kept_followed_and_written() {
    let bench = Bench::start(|home| {
        let script =
            "echo '[NanoSDK@one/Server] | [WARNING] careful' >&2; echo plain; exec node main.js";
        vec![commanded(home, "one", script)]
    })
    .await;
    bench.state("one", ServerState::Ready).await;
    let lines = bench.supervisor.logs("one", 100).unwrap();
    let warned = lines
        .iter()
        .find(|line| line.level == Some(LogLevel::Warning))
        .unwrap();
    assert_eq!(
        (warned.source, warned.text.as_str()),
        (
            LogSource::Stderr,
            "[NanoSDK@one/Server] | [WARNING] careful"
        )
    );
    assert!(
        lines
            .iter()
            .any(|line| line.text == "plain" && line.source == LogSource::Stdout)
    );
    let (tail, mut follower) = bench.supervisor.follow("one", 1).unwrap();
    assert_eq!(tail.len(), 1);
    bench.supervisor.restart_server("one").await.unwrap();
    loop {
        match follower
            .next()
            .await
            .expect("the server is still supervised")
        {
            Followed::Line(line) if line.text == "plain" => break,
            Followed::Line(line) => assert!(line.seq > tail[0].seq),
            Followed::Missed(missed) => panic!("{missed} lines were missed"),
        }
    }
    bench.supervisor.shutdown().await;
    let written = std::fs::read_to_string(bench.home.join("logs/one/server.log")).unwrap();
    assert_eq!(written.matches("out plain").count(), 2, "{written}");
}

#[tokio::test]
async fn a_server_that_somebody_else_starts_is_connected_to_whenever_it_is_there() {
    let bench = Bench::start(|home| {
        let mut own = javascript(home, "own");
        own.enabled = false;
        vec![own]
    })
    .await;
    bench.supervisor.start_server("own").await.unwrap();
    let own = bench.state("own", ServerState::Ready).await;
    let second = Bench::start(|_| {
        let mut entry = nanocore::registry::Entry::new("own");
        entry.url = own.url.clone();
        vec![entry]
    })
    .await;
    let status = second.state("own", ServerState::Ready).await;
    assert_eq!((status.pid, status.path), (None, None));
    bench.supervisor.stop_server("own").await.unwrap();
    second.state("own", ServerState::Disconnected).await;
    bench.supervisor.start_server("own").await.unwrap();
    second.state("own", ServerState::Ready).await;
    second.supervisor.shutdown().await;
    assert!(is_alive(
        bench.state("own", ServerState::Ready).await.pid.unwrap()
    ));
    bench.supervisor.shutdown().await;
}

// spec: nanograph N16
#[tokio::test]
async fn a_node_whose_end_its_server_cannot_send_fails() {
    let bench = Bench::start(|home| {
        let entry = javascript(home, "one");
        let file = home.join("one/main.js");
        let text = std::fs::read_to_string(&file).unwrap();
        // What the Python SDK writes when it cannot send a status.
        let line = "console.error(`[NanoSDK@one/MessageHandler] | [ERROR] Instance ${instanceId}: Error sending status update for Node ID ${nodeId}: not serializable`); return;";
        let sends = "const send = (status) =>";
        assert!(text.contains(sends));
        std::fs::write(&file, text.replace(sends, &format!("{line}\n  {sends}"))).unwrap();
        vec![entry]
    })
    .await;
    bench.state("one", ServerState::Ready).await;
    let graph = r#"{"nodes": [{"id": 1, "uid": "sleep", "serverUid": "one"}], "links": []}"#;
    let graph = Graph::parse(graph).unwrap();
    let engine = Engine::new(Arc::new(bench.pool.clone()));
    let mut run = engine.start(&graph, RunOptions::default()).unwrap();
    let told = async {
        while let Some(event) = run.next_event().await {
            if let EventKind::NodeError { error, .. } = event.kind {
                return error.to_string();
            }
        }
        "no error".to_owned()
    };
    let told = tokio::time::timeout(Duration::from_secs(60), told).await;
    assert!(
        told.as_ref()
            .is_ok_and(|told| told.contains("not serializable")),
        "{told:?}"
    );
    bench.supervisor.shutdown().await;
}
