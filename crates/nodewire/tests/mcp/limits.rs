//! Who may not call, and what is too much.

use ::bytes::Bytes;
use nodewire::http::Access;
use nodewire::mcp::{McpConfig, McpOptions};
use serde_json::{Value, json};

use crate::support::{Fixture, TOKEN, Talk, head, until};

async fn refused(fixture: &Fixture, head: hyper::http::request::Builder) -> (u16, Value) {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    Talk::begin(fixture.address, head, body).await.json().await
}

fn without(name: &str) -> hyper::http::request::Builder {
    let mut head = head();
    head.headers_mut().unwrap().remove(name);
    head
}

#[tokio::test]
async fn a_token_is_needed() {
    let fixture = Fixture::start().await;
    let wrong = without("authorization").header("Authorization", "Bearer wrong");
    for head in [without("authorization"), wrong] {
        let (status, body) = refused(&fixture, head).await;
        assert_eq!(
            (status, &body["error"]["kind"]),
            (401, &json!("unauthorized"))
        );
    }
    let mut talk = Talk::begin(fixture.address, without("authorization"), "").await;
    assert_eq!(talk.answer().await.headers()["www-authenticate"], "Bearer");
    let counts = fixture.server.mcp_counts().unwrap();
    assert_eq!((counts.requests, counts.http_errors), (3, 3));
    fixture.stop().await;
}

#[tokio::test]
async fn pages_may_call_only_from_origins_that_are_listed() {
    let list = |config: &mut McpConfig| {
        config.origins = vec!["https://good.example".to_owned()];
        config.access = Access::Open;
    };
    let fixture = Fixture::start_with(list, |_| {}, |builder| builder).await;
    for origin in ["https://evil.example", "null", "https://good.example:8443"] {
        let (status, body) = refused(&fixture, head().header("Origin", origin)).await;
        assert_eq!((status, &body["error"]["kind"]), (403, &json!("forbidden")));
    }
    // A page that has rebound its name to this address is of the same origin, but its `Host` tells.
    let rebound = head().header("Host", "evil.example");
    let talk = Talk::begin(fixture.address, rebound, "{}").await;
    assert_eq!(talk.text().await.0, 403);
    let good = head().header("Origin", "https://good.example");
    let (status, _) = Talk::begin(fixture.address, good, "{}").await.text().await;
    assert_eq!(status, 400);
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_no_message_is_told() {
    let fixture = Fixture::start().await;
    let long = "x".repeat(100_000);
    let long_json = format!("\"{long}\"");
    for (body, code) in [
        ("{\"jsonrpc\": ", -32700),
        ("hello", -32700),
        (&long, -32700),
        ("{}", -32600),
        ("[1]", -32600),
        ("[]", -32600),
        (&long_json, -32600),
    ] {
        let talk = Talk::begin(fixture.address, head(), body.to_owned()).await;
        let (status, answer) = talk.json().await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (400, &json!(code)),
            "{body}"
        );
    }
    let text = without("content-type").header("Content-Type", "text/plain");
    let (status, _) = Talk::begin(fixture.address, text, "{}").await.text().await;
    assert_eq!(status, 415);
    let session = fixture.session().await;
    let unknown = session.ask("tools/nothing", json!({})).await;
    assert_eq!(unknown["error"]["code"], -32601);
    fixture.stop().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused() {
    let small = |options: &mut McpOptions| options.message_bytes_max = 1_000;
    let fixture = Fixture::start_with(|_| {}, small, |builder| builder).await;
    let body = format!("{{}}{}", " ".repeat(999));
    let (status, answer) = Talk::begin(fixture.address, head(), body)
        .await
        .json()
        .await;
    assert_eq!(
        (status, &answer["error"]["kind"]),
        (413, &json!("too_large"))
    );
    let session = fixture.session().await;
    assert_eq!(session.call("about", json!({})).await["isError"], false);
    fixture.stop().await;
}

#[tokio::test]
async fn bodies_have_so_much_room_together() {
    let small = |options: &mut McpOptions| options.message_bytes_max = 4 << 10;
    let narrow = |config: &mut McpConfig| config.bodies_bytes_max = 4 << 10;
    let fixture = Fixture::start_with(narrow, small, |builder| builder).await;
    let session = fixture.session().await;
    // A member of `_meta` that nobody reads fills the message.
    let long = json!({"filler": "x".repeat(3 << 10)});
    let (_, first) = session.begin("wait_here", json!({}), long.clone()).await;
    fixture.probe.wait_until_begun(1).await;
    let (_, mut second) = session.begin("about", json!({}), long.clone()).await;
    let answer = second.answer().await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "1");
    fixture.probe.open();
    first.result().await;
    let (_, third) = session.begin("about", json!({}), long).await;
    third.result().await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_full_node_and_a_full_session_say_when_to_come_again() {
    let few = |options: &mut McpOptions| options.in_flight_max = 3;
    let fixture = Fixture::start_with(|_| {}, few, |builder| builder).await;
    let session = fixture.session().await;
    let (_, first) = session.begin("narrow", json!({}), json!({})).await;
    fixture.probe.wait_until_begun(1).await;
    let (_, second) = session.begin("narrow", json!({}), json!({})).await;
    until("one waits", || fixture.executor().counters().accepted == 2).await;
    let (_, refused) = session.begin("narrow", json!({}), json!({})).await;
    let error = refused.error().await;
    assert_eq!(error["code"], -32010);
    assert_eq!(
        error["data"],
        json!({"kind": "queue_full", "retryAfterMs": 1000})
    );

    let (_, third) = session.begin("wait_here", json!({}), json!({})).await;
    fixture.probe.wait_until_begun(2).await;
    let (_, refused) = session.begin("about", json!({}), json!({})).await;
    let error = refused.error().await;
    assert_eq!(
        error["data"],
        json!({"kind": "session_full", "retryAfterMs": 1000})
    );
    assert_eq!(fixture.server.mcp_counts().unwrap().calls_refused, 1);
    // Another session has its own places.
    let other = fixture.session().await;
    other.call("about", json!({})).await;
    fixture.probe.open();
    for talk in [first, second, third] {
        talk.result().await;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_told_so() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let short = |config: &mut McpConfig| {
        config.body_timeout = std::time::Duration::from_millis(50);
    };
    let fixture = Fixture::start_with(short, |_| {}, |builder| builder).await;
    let mut stream = tokio::net::TcpStream::connect(fixture.address)
        .await
        .unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: 10\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(crate::support::PATIENCE, read).await;
    read.expect("the server closes").unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 408 "),
        "{:?}",
        Bytes::from(answer)
    );
    fixture.stop().await;
}
