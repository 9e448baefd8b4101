//! What discovery tells.

use std::time::Duration;

use nats_micro::client::Client;
use nats_micro::document::Document;
use nodewire::{NodeDefinition, Outputs, node_fn};
use serde_json::{Value, json};

use crate::support::{Fixture, PATIENCE, serve, stop};

fn client(fixture: &Fixture) -> Client {
    let builder = Client::builder(fixture.client.clone());
    builder.max_wait(PATIENCE).build().unwrap()
}

async fn only<D: Document>(found: nats_micro::client::Discovery<D>) -> D {
    let found = found.max_count(1).max_wait(PATIENCE).await.unwrap();
    found.documents.into_iter().next().unwrap()
}

#[tokio::test]
async fn nodes_are_described() {
    let fixture = Fixture::start_with(|config| {
        config.description = "For tests.".to_owned();
        config.metadata.insert("team".to_owned(), "a".to_owned());
    })
    .await;
    let info = only(client(&fixture).info()).await;
    assert_eq!(info.name, "nodes");
    assert_eq!(info.version, "1.2.3");
    assert_eq!(info.description, "For tests.");
    assert_eq!(info.metadata["team"], "a");
    assert_eq!(info.metadata["nodewire.capability.deadline"], "full");
    assert_eq!(info.id, fixture.served.server.nats_address().unwrap().id);
    let wait = info
        .endpoints
        .iter()
        .find(|it| it.name == "wait_here")
        .unwrap();
    assert_eq!(wait.subject, "nodes.wait_here");
    assert_eq!(wait.queue_group, "q");
    assert_eq!(wait.metadata["nodewire.node"], "wait/here");
    let echo = info.endpoints.iter().find(|it| it.name == "echo").unwrap();
    assert_eq!(echo.metadata["nodewire.description"], "Prefixes each text.");
    let parse = |key: &str| serde_json::from_str::<Value>(&echo.metadata[key]).unwrap();
    let schema = parse("nodewire.schema.request");
    assert_eq!(schema["properties"]["inputs"]["required"], json!(["text"]));
    let definition = parse("nodewire.definition");
    assert_eq!(definition["parameters"][0]["default"], "> ");
    fixture.stop().await;
}

#[tokio::test]
async fn statistics_are_those_of_the_executor() {
    let fixture = Fixture::start().await;
    fixture
        .call("echo", r#"{"inputs": {"text": "a"}}"#)
        .await
        .unwrap();
    fixture.call("echo", "{}").await.unwrap_err();
    fixture.call("progress", "{}").await.unwrap();
    // A control request that a node's statistics are not younger than.
    tokio::time::sleep(Duration::from_millis(25)).await;
    let stats = only(client(&fixture).stats()).await;
    let data = |name: &str| {
        let mut endpoints = stats.endpoints.iter();
        &endpoints.find(|it| it.name == name).unwrap().data
    };
    let echo = data("echo");
    assert_eq!(echo["node"], "echo");
    assert_eq!(
        (&echo["accepted"], &echo["completed"], &echo["failed"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(echo["runTimeUs"]["count"], 2);
    let all = data("execute");
    assert_eq!(all["accepted"], 3);
    assert_eq!(all["lost"], json!({"progress": 1, "partial_outputs": 1}));
    assert_eq!(data("cancel"), &json!({}));
    fixture.stop().await;
}

#[tokio::test]
async fn many_nodes_still_fit_into_one_document() {
    let fixture = Fixture::start().await;
    let many = |builder: nodewire::NodeServerBuilder| {
        (0..300).fold(builder, |builder, i| {
            let definition = NodeDefinition::builder(format!("node-{i}"));
            let definition = definition.description("\"".repeat(10_000)).build().unwrap();
            builder.node(node_fn(definition, async |_| Ok(Outputs::new())))
        })
    };
    let many = serve(
        &fixture.broker.url(),
        |config| {
            config.service = "many".to_owned();
            config.queue_group = Some("mine".to_owned());
        },
        many,
    )
    .await;
    let info = only(client(&fixture).service("many").info()).await;
    let last = info
        .endpoints
        .iter()
        .find(|it| it.name == "node-299")
        .unwrap();
    assert_eq!(last.queue_group, "mine");
    assert_eq!(
        last.metadata["nodewire.left-out"],
        "nodewire.description, nodewire.schema.request, nodewire.definition"
    );
    stop(many.server).await;
    fixture.stop().await;
}
