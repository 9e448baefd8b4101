//! Garbage: an answer where somebody waits for one, nothing else, and the connection goes on.

use futures_util::SinkExt;
use tokio_tungstenite::tungstenite::Message;

use crate::backend::TestServer;
use crate::client::{complete, request, started};

fn error_text(text: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(value["payload"]["status"]["type"], "error", "{text}");
    value["payload"]["status"]["message"]
        .as_str()
        .expect("a text")
        .to_owned()
}

#[tokio::test]
async fn malformed_requests_are_told_what_is_wrong() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let whole: serde_json::Value =
        serde_json::from_str(&request("wf-1", "1", "echo", "{}")).unwrap();
    let with = |path: &[&str], value: Option<serde_json::Value>| {
        let mut message = whole.clone();
        let (last, parents) = path.split_last().unwrap();
        let parent = parents
            .iter()
            .fold(&mut message, |place, key| &mut place[*key])
            .as_object_mut()
            .unwrap();
        match value {
            Some(value) => drop(parent.insert((*last).into(), value)),
            None => drop(parent.remove(*last)),
        }
        message.to_string()
    };
    let cases = [
        (
            with(&["payload", "inputs"], None),
            "missing field: payload.inputs",
        ),
        (
            with(&["payload", "inputs"], Some("x".into())),
            "payload.inputs must be an object",
        ),
        (
            with(&["payload", "inputs"], Some(serde_json::json!([1]))),
            "payload.inputs must be an object",
        ),
        (
            with(&["payload", "nodeUid"], None),
            "missing field: payload.nodeUid",
        ),
        (
            with(&["payload", "nodeUid"], Some(7.into())),
            "payload.nodeUid must be a string",
        ),
        (
            with(&["payload", "graphNode"], None),
            "missing field: payload.graphNode",
        ),
        (
            with(&["payload", "graphNode"], Some(1.into())),
            "payload.graphNode must be an object",
        ),
        (
            with(&["payload", "graphNode", "id"], None),
            "missing field: payload.graphNode.id",
        ),
        (
            with(&["instanceId"], Some(7.into())),
            "instanceId must be a string",
        ),
    ];
    let count = cases.len();
    for (text, message) in cases {
        client.send(&text).await;
        assert_eq!(
            error_text(&client.text().await),
            format!("Malformed request: {message}"),
            "{text}"
        );
    }
    client.expect_silence().await;
    assert_eq!(server.stats.snapshot().requests_malformed, count as u64);
    assert_eq!(server.stats.snapshot().executions_started, 0);
}

#[tokio::test]
async fn ids_that_are_no_rust_strings_are_echoed_as_they_came() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.send(request(r"\ud800", "1", "echo", "{}")).await;
    let text = client.text().await;
    assert!(text.contains(r#""instanceId": "\ud800""#), "{text}");
    assert!(text.contains("instanceId must be a string"), "{text}");
}

#[tokio::test]
async fn garbage_is_ignored_and_counted() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let deep = "[".repeat(100_000);
    let garbage = [
        "",
        " ",
        "{",
        "[]",
        "null",
        "17",
        "\"x\"",
        "{}",
        "{\"type\":null}",
        "{\"type\":17}",
        "{\"type\":\"pong\"}",
        "{\"type\":\"handshake\"}",
        "{\"type\":\"request_execution\"}",
        "{\"type\":\"request_execution\",\"payload\":null}",
        "{\"type\":\"request_execution\",\"instanceId\":\"a\",\"payload\":{}}",
        "{\"type\":\"request_execution\",\"instanceId\":null,\"payload\":{\"nodeId\":1}}",
        "{\"type\":\"request_execution\",\"instanceId\":\"a\",\"payload\":{\"nodeId\":null}}",
        "{\"type\":\"stop_workflow_instance\",\"instanceId\":5}",
        "{\"type\":\"request_execution\"} trailing",
        "{\"type\":\"request_execution\",}",
        &deep,
    ];
    for text in garbage {
        client.send(text).await;
    }
    client
        .socket
        .send(Message::binary(request("a", "1", "echo", "{}")))
        .await
        .unwrap();
    client.expect_silence().await;
    let stats = server.stats.snapshot();
    assert_eq!(stats.messages_ignored, garbage.len() as u64);
    assert_eq!(stats.binary_ignored, 1);
}

#[tokio::test]
async fn unusual_but_well_formed_requests_are_executed() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    // Escaped keys and type, duplicates (the last wins), unknown keys, tokens of Python.
    client
        .send(
            r#" {"\u0074ype": "request_e\u0078ecution", "instanceId": "x", "instanceId": "wf\u002d1", "extra": [NaN],
                "payload": {"nodeId": 9, "nodeId": 1e400, "nodeUid": "nope", "nodeUid": "echo", "more": {"a": -Infinity},
                "inputs": {"text": ["\u00e9\n"]}, "graphNode": {"id": {}, "parameters": [{"name": "p", "value": NaN}]}}} "#,
        )
        .await;
    client.expect(&started("wf-1", "1e400")).await;
    client
        .expect(&complete("wf-1", "1e400", r#"{"text": ["é\n"]}"#))
        .await;
    client
        .send(request(
            "wf \\u00e9\\\"\u{fc}",
            "\"\u{e4}\"",
            "none-output",
            "null",
        ))
        .await;
    client
        .expect(&started("wf \\u00e9\\\"\\u00fc", "\"\u{e4}\""))
        .await;
    client
        .expect(&complete("wf \\u00e9\\\"\\u00fc", "\"\u{e4}\"", "null"))
        .await;
}

#[tokio::test]
async fn messages_in_fragments_are_put_together() {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let text = request("wf-1", "1", "none-output", "{}");
    let (first, last) = text.split_at(40);
    for (part, kind, end) in [(first, Data::Text, false), (last, Data::Continue, true)] {
        let frame = Frame::message(part.to_owned(), OpCode::Data(kind), end);
        client.socket.send(Message::Frame(frame)).await.unwrap();
        client
            .socket
            .send(Message::Ping("in between".into()))
            .await
            .unwrap();
    }
    client.expect(&started("wf-1", "1")).await;
    client.expect(&complete("wf-1", "1", "null")).await;
}
