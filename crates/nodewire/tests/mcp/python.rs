//! Through the client of the official SDK for Python.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nodewire_testkit::McpClient;
use serde_json::{Value, json};

use crate::support::{Fixture, TOKEN, WITH_SESSIONS, WITHOUT_SESSIONS, until};

async fn call(client: &mut McpClient, tool: &str, arguments: Value) -> Value {
    let command = json!({"op": "call", "tool": tool, "arguments": arguments});
    client.ok(command).await.unwrap()["result"].take()
}

/// What must be so in any version. The client checks results against the schemas by itself.
async fn everything(mode: &str, version: &str) {
    let fixture = Fixture::start().await;
    let mut client = McpClient::http(&fixture.url(), TOKEN, mode).await.unwrap();
    assert_eq!(client.connected()["version"], version);

    let list = client.ok(json!({"op": "list"})).await.unwrap();
    assert_eq!(list["tools"].as_array().unwrap().len(), 7);

    let echo = call(&mut client, "echo", json!({"text": ["a", "é"]})).await;
    assert_eq!(echo["structuredContent"], json!({"text": ["> a", "> é"]}));
    let wrong = call(&mut client, "echo", json!({})).await;
    assert_eq!(wrong["isError"], true);
    assert_eq!(wrong["_meta"]["nodewire/error"]["kind"], "invalid_input");
    let unknown = json!({"op": "call", "tool": "nobody"});
    let unknown = client.call(unknown).await.unwrap();
    assert_eq!(unknown["error"]["type"], "MCPError", "{unknown}");
    assert_eq!(unknown["error"]["code"], -32602);

    let progress = json!({"op": "call", "tool": "progress"});
    let progress = client.ok(progress).await.unwrap();
    let steps = json!([
        [1.0, 3.0, "step 1"],
        [2.0, 3.0, "step 2"],
        [3.0, 3.0, "step 3"]
    ]);
    assert_eq!(progress["progress"], steps);
    assert_eq!(progress["result"]["structuredContent"], json!({"n": [3]}));

    let bytes: Vec<u8> = (0..1_u32 << 20).map(|i| (i % 251) as u8).collect();
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let data = json!({"data": {"$bytes": STANDARD.encode(&bytes)}});
    let result = call(&mut client, "reverse", data).await;
    let blob = result["content"][1]["resource"]["blob"].as_str().unwrap();
    assert!(STANDARD.decode(blob).unwrap() == reversed, "other bytes");

    let begin = json!({"op": "begin", "name": "one", "tool": "wait_here"});
    client.ok(begin).await.unwrap();
    fixture.probe.wait_until_begun(1).await;
    client
        .ok(json!({"op": "cancel", "name": "one"}))
        .await
        .unwrap();
    fixture.wait_until_told_to_stop().await;
    let executor = fixture.executor();
    until("it is counted", || executor.counters().cancelled == 1).await;

    // One that is killed cancels, too.
    let begin = json!({"op": "begin", "name": "two", "tool": "wait_here"});
    client.ok(begin).await.unwrap();
    fixture.probe.wait_until_begun(2).await;
    drop(client);
    until("it is counted", || executor.counters().cancelled == 2).await;
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_does_everything_in_a_session() {
    everything("legacy", WITH_SESSIONS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_does_everything_without_sessions() {
    everything("auto", WITHOUT_SESSIONS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_without_the_token_is_told() {
    let fixture = Fixture::start().await;
    let error = McpClient::http(&fixture.url(), "wrong", "legacy").await;
    // The SDK does not say which error it was.
    let error = format!("{:#}", error.unwrap_err());
    assert!(error.contains("\"type\":\"MCPError\""), "{error}");
    let counts = fixture.server.mcp_counts().unwrap();
    assert!(counts.http_errors > 0 && counts.sessions == 0, "{counts:?}");
    fixture.stop().await;
}

/// The example. Cargo builds a package's examples together with its tests.
fn example() -> String {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/mcp");
    let program = program.display().to_string();
    assert!(
        std::path::Path::new(&program).exists(),
        "{program} is missing; run `cargo build -p nodewire --examples`"
    );
    program
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_starts_a_program_as_its_server() {
    for (mode, version) in [("legacy", WITH_SESSIONS), ("auto", WITHOUT_SESSIONS)] {
        let mut client = McpClient::stdio(&example(), &["--mcp-stdio"], mode)
            .await
            .unwrap();
        assert_eq!(client.connected()["version"], version);
        let names = json!({"names": ["Ada", "Grace"], "word": "Hi"});
        let greet = json!({"op": "call", "tool": "greet", "arguments": names});
        let told = client.ok(greet).await.unwrap();
        let greeting = json!({"greeting": ["Hi, Ada!", "Hi, Grace!"]});
        assert_eq!(told["result"]["structuredContent"], greeting);
        assert_eq!(told["progress"], json!([[0.0, null, "greeting 2"]]));
        let wrong = call(&mut client, "greet", json!({"names": "Ada", "word": 7})).await;
        assert_eq!(wrong["isError"], true);
        // It closes the server's input, and waits for its end.
        client.ok(json!({"op": "close"})).await.unwrap();
    }
}
