//! Supervised servers and their nodes.

use serde_json::json;

use crate::support::{Setup, register_javascript, start, start_with};

const SERVER: &str = "/api/v1/servers/counting-server";

async fn with_server() -> Setup {
    start_with(register_javascript).await
}

async fn told(setup: &Setup, verb: &str) -> u16 {
    let path = format!("{SERVER}/{verb}");
    setup.client.send("POST", &path, &[], b"").await.status
}

#[tokio::test]
async fn a_server_is_started_used_restarted_and_stopped() {
    let setup = with_server().await;
    let servers = setup.client.get("/api/v1/servers").await.json();
    assert_eq!(servers["servers"][0]["serverUid"], "counting-server");
    assert_eq!(servers["servers"][0]["state"], "stopped");
    assert_eq!(told(&setup, "start").await, 202);
    let ready = setup
        .until(SERVER, |server| server["state"] == "ready")
        .await;
    assert!(ready["pid"].as_u64().is_some());

    let graph = json!({"nodes": [
        { "id": 1, "uid": "text-input", "serverUid": "builtin",
          "params": [{ "name": "text", "type": "text", "value": "a" }] },
        { "id": 2, "uid": "upper-case", "serverUid": "counting-server",
          "params": [{ "name": "suffix", "type": "text", "value": "!" }] },
    ], "links": [{ "id": 1, "link": [1, "text", 2, "in"] }]});
    let run = setup.submit(&json!({ "graph": graph })).await;
    assert_eq!(setup.finished(&run).await["status"], "complete");
    let node = setup
        .client
        .get(&format!("/api/v1/runs/{run}/nodes/2"))
        .await;
    assert_eq!(node.json()["outputs"], json!({"text": ["A!"]}));

    assert_eq!(told(&setup, "restart").await, 202);
    setup
        .until(SERVER, |server| {
            server["state"] == "ready" && server["pid"] != ready["pid"]
        })
        .await;
    assert_eq!(told(&setup, "stop").await, 202);
    setup
        .until(SERVER, |server| server["state"] == "stopped")
        .await;
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn nodes_are_listed_with_their_servers_also_while_these_are_away() {
    let setup = with_server().await;
    let builtin = setup.client.get("/api/v1/nodes/viewer").await.json();
    assert_eq!(builtin["nodes"][0]["serverUid"], "builtin");
    assert_eq!(builtin["nodes"][0]["available"], true);
    assert_eq!(
        setup.client.get("/api/v1/nodes/upper-case").await.status,
        404
    );
    told(&setup, "start").await;
    setup
        .until(SERVER, |server| server["state"] == "ready")
        .await;
    let node = setup.client.get("/api/v1/nodes/upper-case").await.json();
    assert_eq!(node["nodes"][0]["definition"]["uid"], "upper-case");
    assert_eq!(
        node["nodes"][0]["serverPackageId"],
        "counting-server-package"
    );
    told(&setup, "stop").await;
    let path = "/api/v1/nodes/upper-case";
    setup
        .until(path, |node| node["nodes"][0]["available"] == false)
        .await;
    let all = setup.client.get("/api/v1/nodes").await.json();
    assert!(all["nodes"].as_array().unwrap().len() > 6);
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_node_that_nobody_offers_is_told_with_the_server_that_could() {
    let setup = with_server().await;
    let graph = |uid: &str, server: &str| json!({ "graph": { "links": [], "nodes": [{ "id": 1, "uid": uid, "serverUid": server }] } });
    let told_of = async |uid: &str, server: &str| {
        let refused = setup.post("/api/v1/runs", &graph(uid, server)).await.json();
        refused["problems"][0]["message"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let name = "server \"JavaScript\" (counting-server)";
    let advice = "is disabled: `nodewire enable counting-server`";
    // Nobody knows yet what it has.
    let named = told_of("upper-case", "counting-server").await;
    assert!(named.ends_with(&format!("; {name} {advice}")), "{named}");
    let unnamed = told_of("upper-case", "another").await;
    let maybe = format!("; it may be on a server that was not connected yet: {name} {advice}");
    assert!(unnamed.ends_with(&maybe), "{unnamed}");
    told(&setup, "start").await;
    setup
        .until(SERVER, |server| server["state"] == "ready")
        .await;
    let nobody = told_of("no-such-node", "another").await;
    assert!(
        nobody.contains("none of the 1 registered servers has it"),
        "{nobody}"
    );
    let lost = told_of("no-such-node", "counting-server").await;
    assert!(lost.contains("is ready without such a node"), "{lost}");
    told(&setup, "stop").await;
    setup
        .until(SERVER, |server| server["state"] == "stopped")
        .await;
    let known = told_of("upper-case", "another").await;
    let has = format!("; {name} has it, but {advice}");
    assert!(known.ends_with(&has), "{known}");
    setup.daemon.shutdown().await;

    let empty = start().await;
    let unknown = empty.client.get("/api/v1/nodes/upper-case").await.json();
    let message = unknown["error"]["message"].as_str().unwrap();
    assert!(message.contains("no server is registered"), "{message}");
    empty.daemon.shutdown().await;
}

#[tokio::test]
async fn a_log_is_read_and_followed() {
    let setup = with_server().await;
    told(&setup, "start").await;
    setup
        .until(SERVER, |server| server["state"] == "ready")
        .await;
    let path = format!("{SERVER}/logs");
    let lines = setup
        .until(&format!("{path}?tail=100"), |log| {
            log["lines"].to_string().contains("[NANOSERVER_READY]")
        })
        .await;
    let last = setup.client.get(&format!("{path}?tail=1")).await.json();
    assert_eq!(last["lines"].as_array().unwrap().len(), 1);
    assert!(lines["lines"].as_array().unwrap().len() > 1);
    let refused = setup.client.get(&format!("{path}?tail=x")).await;
    assert_eq!(refused.error_code(), "bad_request");

    let mut stream = crate::events::Sse::open(&setup, &format!("{path}?tail=1&follow=true")).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first["text"], last["lines"][0]["text"]);
    told(&setup, "restart").await;
    while !stream
        .next()
        .await
        .unwrap()
        .to_string()
        .contains("[NANOSERVER_READY]")
    {}
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_not_found() {
    let setup = with_server().await;
    for path in ["", "/logs", "/logs?follow=true"] {
        let path = format!("/api/v1/servers/nobody{path}");
        assert_eq!(
            setup.client.get(&path).await.error_code(),
            "not_found",
            "{path}"
        );
    }
    for verb in ["start", "stop", "restart"] {
        let path = format!("/api/v1/servers/nobody/{verb}");
        let answer = setup.client.send("POST", &path, &[], b"").await;
        assert_eq!(answer.error_code(), "not_found", "{verb}");
    }
    setup.daemon.shutdown().await;
}
