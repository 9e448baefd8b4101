//! Through the real `nats-micro` client for Python, on the real nats-server.

use nodewire_testkit::{NatsServer, PythonMicroClient};
use serde_json::{Value, json};

use crate::support::{serve, stop};

/// The `data` of a reply, as JSON.
fn data(reply: &Value) -> Value {
    serde_json::from_str(reply["data"].as_str().unwrap()).unwrap()
}

async fn stream(client: &mut PythonMicroClient, node: &str, answer_to: &str) -> Vec<Value> {
    let collected = client.call(json!({
        "op": "collect",
        "subject": format!("nodes.{node}"),
        "headers": {"Nodewire-Stream": "1"},
        "end": "Nodewire-Event",
        "ends": ["completed", "failed", "cancelled", "dropped"],
        "answer_to": answer_to,
    }));
    let collected = collected.await.unwrap();
    collected["ok"]
        .as_array()
        .unwrap_or_else(|| panic!("{collected}"))
        .clone()
}

fn events(replies: &[Value]) -> Vec<&str> {
    let events = replies.iter();
    events
        .map(|reply| reply["headers"]["Nodewire-Event"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_executes_follows_and_cancels_nodes() {
    let broker = NatsServer::start().await.unwrap();
    let served = serve(&broker.url(), |_| {}, |builder| builder).await;
    let mut client = PythonMicroClient::connect(&broker.url()).await.unwrap();

    let echo = client
        .request("nodes.echo", r#"{"inputs": {"text": ["a", "é"]}}"#)
        .await
        .unwrap();
    assert_eq!(
        data(&echo["ok"]),
        json!({"outputs": {"text": ["> a", "> é"]}})
    );

    let wrong = client.request("nodes.echo", "{}").await.unwrap();
    let error = &wrong["error"];
    assert_eq!(error["type"], "ServiceError");
    assert_eq!(error["code"], 400);
    assert_eq!(error["description"], "input `text` is missing");

    let replies = stream(&mut client, "progress", "").await;
    let told = [
        "accepted",
        "progress",
        "progress",
        "progress",
        "partial",
        "completed",
    ];
    assert_eq!(events(&replies), told);
    assert_eq!(data(&replies[5])["outputs"], json!({"n": [3]}));

    let replies = stream(&mut client, "wait_here", "Nodewire-Cancel").await;
    assert_eq!(events(&replies), ["accepted", "cancelled"]);

    let info = json!({"op": "info", "service": "nodes", "max_count": 1, "max_wait_s": 50});
    let info = client.call(info).await.unwrap();
    let endpoints = info["ok"][0]["endpoints"].as_array().unwrap();
    let echo = endpoints.iter().find(|it| it["name"] == "echo").unwrap();
    assert_eq!(echo["metadata"]["nodewire.node"], "echo");

    stop(served.server).await;
}
