//! References to assets as arguments of tools, through the client of the official SDK for Python.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nodewire_testkit::McpClient;
use serde_json::{Value, json};

use crate::memory::Memory;
use crate::support::{Fixture, TOKEN};

async fn reversed(client: &mut McpClient, data: Value) -> Value {
    let command = json!({"op": "call", "tool": "reverse", "arguments": {"data": data}});
    client.ok(command).await.unwrap()["result"].take()
}

fn bytes(result: &Value) -> Vec<u8> {
    let blob = result["content"][1]["resource"]["blob"].as_str();
    STANDARD
        .decode(blob.unwrap_or_else(|| panic!("{result}")))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_names_assets_as_arguments() {
    let store = Memory::of("abc");
    let kept = Arc::clone(&store);
    let fixture = Fixture::start_with(|_| {}, |_| {}, |builder| builder.assets(kept)).await;
    for mode in ["legacy", "auto"] {
        let mut client = McpClient::http(&fixture.url(), TOKEN, mode).await.unwrap();
        let one = reversed(&mut client, json!({"$asset": "memory:0"})).await;
        assert_eq!(bytes(&one), b"cba", "{mode}");
        let unknown = reversed(&mut client, json!({"$asset": "memory:7"})).await;
        assert_eq!(unknown["isError"], true, "{unknown}");
        let kind = &unknown["_meta"]["nodewire/error"]["kind"];
        assert_eq!(kind, "not_found", "{unknown}");
        // Bytes in the call itself go on as before.
        let inline = reversed(&mut client, json!({"$bytes": STANDARD.encode("xyz")})).await;
        assert_eq!(bytes(&inline), b"zyx", "{mode}");
    }
    fixture.stop().await;
    assert_eq!(store.kept.lock().unwrap().len(), 1, "nothing was stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_is_told_where_there_is_no_store() {
    let fixture = Fixture::start().await;
    let mut client = McpClient::http(&fixture.url(), TOKEN, "auto")
        .await
        .unwrap();
    let refused = reversed(&mut client, json!({"$asset": "memory:0"})).await;
    assert_eq!(refused["isError"], true, "{refused}");
    let kind = &refused["_meta"]["nodewire/error"]["kind"];
    assert_eq!(kind, "unavailable", "{refused}");
    fixture.stop().await;
}
