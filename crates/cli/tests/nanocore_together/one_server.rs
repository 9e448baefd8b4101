//! What happens to a node server while graphs run over it.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use crate::daemon::{Place, until};
use crate::processes::{kill, processes_in};
use crate::runs::{SERVER, single};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_aborted_and_its_node_stopped() {
    let place = Place::with_javascript_server();
    let daemon = place.up().await;
    daemon.ready(SERVER).await;
    let graph = single("sleep", &json!({"seconds": 600}));
    let run_id = daemon.submit(&json!({"graph": graph})).await;
    daemon.running(&run_id, 1).await;

    let abort = format!("/runs/{run_id}/abort");
    daemon.call(Method::POST, &abort, None).await;
    assert_eq!(daemon.finished(&run_id).await["status"], "aborted");
    assert_eq!(daemon.node(&run_id, 1).await["state"], "aborted");
    daemon.server(SERVER, |server| server["running"] == 0).await;
    // Again is no mistake.
    daemon.call(Method::POST, &abort, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_server_dies_is_executed_again_when_the_server_is_back() {
    let place = Place::with_javascript_server();
    let daemon = place.up().await;
    let before = daemon.ready(SERVER).await;
    let run = daemon
        .run(single(
            "crash-once",
            &json!({"file": place.path("crashed")}),
        ))
        .await;
    assert_eq!(run["status"], "complete", "{run}\n{}", daemon.log());
    daemon
        .server(SERVER, |server| is_ready_again(server, &before))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_must_not_be_repeated_fails_with_its_server_and_the_next_run_passes() {
    let place = Place::with_javascript_server();
    let daemon = place.up().await;
    let before = daemon.ready(SERVER).await;
    let mut graph = single("sleep", &json!({"seconds": 600}));
    graph["nodes"][0]["exec"] = json!({"idempotent": false});
    let run_id = daemon.submit(&json!({"graph": graph})).await;
    daemon.running(&run_id, 1).await;
    let servers = processes_in(&place.path("javascript"));
    let server = servers
        .iter()
        .find(|process| process.command == "node main.js")
        .unwrap();
    kill(server.id);

    let run = daemon.finished(&run_id).await;
    assert_eq!(run["status"], "error", "{run}");
    let node = daemon.node(&run_id, 1).await;
    assert!(node.to_string().contains("server_lost"), "{node}");
    daemon
        .server(SERVER, |server| is_ready_again(server, &before))
        .await;
    let run = daemon.run(single("sleep", &json!({"seconds": 0}))).await;
    assert_eq!(run["status"], "complete", "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_restarted_when_its_settings_change() {
    let place = Place::with_javascript_server();
    let daemon = place.up().await;
    let before = daemon.ready(SERVER).await;
    let file = place.path("javascript/nanoserver.json");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("Counting Server", "Renamed Server")).unwrap();

    let after = daemon
        .server(SERVER, |server| is_ready_again(server, &before))
        .await;
    assert_ne!(before["pid"], after["pid"]);
    until("the old process is gone", async || {
        let groups: std::collections::BTreeSet<_> = processes_in(&place.path("javascript"))
            .into_iter()
            .map(|process| process.group)
            .collect();
        (groups.len() == 1).then_some(())
    })
    .await;
    let run = daemon.run(single("sleep", &json!({"seconds": 0}))).await;
    assert_eq!(run["status"], "complete", "{run}");
}

/// Not counted from 0: a port that somebody else takes in the same moment costs a start.
fn is_ready_again(server: &Value, before: &Value) -> bool {
    server["state"] == "ready" && server["starts"].as_u64() > before["starts"].as_u64()
}
