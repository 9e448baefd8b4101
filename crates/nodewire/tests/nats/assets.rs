//! References to assets, and outputs that are larger than the broker takes.

use std::sync::Arc;

use serde_json::json;

use crate::memory::Memory;
use crate::support::{Fixture, header, json, outcome};

const OCTETS: &str = "application/octet-stream";

#[tokio::test]
async fn references_at_inputs_of_bytes_are_fetched() {
    let fixture = Fixture::start_with_assets(Memory::of("abc")).await;
    let outputs = json!({"data": [{"$bytes": "Y2Jh"}], "length": [3]});
    let known = r#"{"inputs": {"data": {"$asset": "memory:0"}}}"#;
    assert_eq!(fixture.call("reverse", known).await, Ok(outputs.clone()));
    let in_header = [("Nodewire-Input-data", r#"{"$asset": "memory:0"}"#)];
    let reply = fixture.request("nodes.reverse", &in_header, "").await;
    assert_eq!(outcome(&reply), Ok(outputs));
    let unknown = r#"{"inputs": {"data": {"$asset": "memory:7"}}}"#;
    let (code, text) = fixture.call("reverse", unknown).await.unwrap_err();
    assert_eq!((code, &*text), (404, "no asset memory:7"));
    let counters = fixture.executor().counters();
    assert_eq!((counters.completed, counters.failed), (2, 1));
    fixture.stop().await;
}

#[tokio::test]
async fn without_a_store_references_are_an_error_that_says_so() {
    let fixture = Fixture::start().await;
    let request = r#"{"inputs": {"data": {"$asset": "memory:0"}}}"#;
    let (code, text) = fixture.call("reverse", request).await.unwrap_err();
    assert_eq!(code, 503);
    assert!(text.contains("no asset store"), "{text}");
    fixture.stop().await;
}

#[tokio::test]
async fn bytes_that_the_broker_does_not_take_become_assets() {
    let store = Memory::of("");
    let fixture = Fixture::start_with_assets(Arc::<Memory>::clone(&store)).await;
    let grow = r#"{"parameters": {"length": 2000000}}"#;
    let reference = json!({"data": [{"$asset": "memory:1"}]});
    assert_eq!(fixture.call("grow", grow).await, Ok(reference.clone()));
    assert_eq!(store.kept.lock().unwrap()[1].len(), 2_000_000);
    // Whoever wants bytes is told that it is JSON.
    let accept = [("Accept", OCTETS)];
    let reply = fixture.request("nodes.grow", &accept, grow).await;
    assert_eq!(header(&reply, "Content-Type"), Some("application/json"));
    assert_eq!(json(&reply)["outputs"]["data"][0]["$asset"], "memory:2");
    let all = fixture.stream("grow", &[], grow).await.all().await;
    let (event, reply) = all.last().unwrap();
    assert_eq!(event, "completed");
    let told = json!({"event": "completed", "outputs": {"data": [{"$asset": "memory:3"}]}});
    assert_eq!(json(reply), told);
    // What fits goes as it is.
    let small = r#"{"parameters": {"length": 2}}"#;
    let bytes = json!({"data": [{"$bytes": "AAA="}]});
    assert_eq!(fixture.call("grow", small).await, Ok(bytes));
    assert_eq!(store.kept.lock().unwrap().len(), 4);
    // The reference is good for the next node.
    let next = fixture.call("reverse", r#"{"inputs": {"data": {"$asset": "memory:1"}}}"#);
    assert_eq!(next.await.unwrap()["length"], json!([2_000_000]));
    fixture.stop().await;
}

#[tokio::test]
async fn json_that_the_broker_does_not_take_becomes_one_asset() {
    let store = Memory::of("");
    let fixture = Fixture::start_with_assets(Arc::<Memory>::clone(&store)).await;
    let texts = vec!["x".repeat(100); 9_000];
    let request = json!({"inputs": {"text": texts}, "parameters": {"prefix": "y".repeat(100)}});
    let request = request.to_string();
    let reference = json!({"$asset": "memory:1"});
    assert_eq!(fixture.call("echo", &request).await, Ok(reference));
    let document: serde_json::Value =
        serde_json::from_slice(&store.kept.lock().unwrap()[1]).unwrap();
    assert_eq!(document["text"].as_array().unwrap().len(), 9_000);
    let all = fixture.stream("echo", &[], request).await.all().await;
    let told = json!({"event": "completed", "outputs": {"$asset": "memory:2"}});
    assert_eq!(json(&all.last().unwrap().1), told);
    fixture.stop().await;
}
