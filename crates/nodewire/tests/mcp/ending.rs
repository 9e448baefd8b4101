//! Calls that end otherwise than by themselves, and the server's end.

use std::time::Duration;

use nodewire::http::{HttpConfig, HttpError, HttpToken};
use nodewire::mcp::{McpConfig, McpError};
use nodewire::prelude::*;
use nodewire::{NodeServer, NodeServerBuilder, ServeError};
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::{Events, Fixture, PATIENCE, TOKEN, head, until};

#[tokio::test]
async fn a_cancellation_reaches_the_handler() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let (id, talk) = session.begin("wait_here", json!({}), json!({})).await;
    fixture.probe.wait_until_begun(1).await;
    session.cancel(id).await;
    fixture.wait_until_told_to_stop().await;
    let executor = fixture.executor();
    until("it is counted", || executor.counters().cancelled == 1).await;
    // What was cancelled has no answer; its stream ends.
    assert!(talk.messages().await.is_empty());
    fixture.stop().await;
}

#[tokio::test]
async fn a_connection_that_ends_cancels() {
    let fixture = Fixture::start().await;
    let clients = [fixture.session().await, fixture.sessionless()];
    for (i, session) in (1..).zip(clients) {
        let (_, talk) = session.begin("wait_here", json!({}), json!({})).await;
        fixture.probe.wait_until_begun(i).await;
        drop(talk);
        let executor = fixture.executor();
        let cancelled = u64::try_from(i).unwrap();
        until("it is counted", || {
            executor.counters().cancelled == cancelled
        })
        .await;
    }
    fixture.stop().await;
}

/// Reports a step, and waits until it is told to stop.
#[node]
async fn linger(context: Context) {
    context.progress(1, 2, "one");
    context.cancelled().await;
}

#[tokio::test]
async fn a_connection_that_ends_cancels_what_has_told_its_progress() {
    let build = |it: NodeServerBuilder| it.node(linger());
    let fixture = Fixture::start_with(|_| {}, |_| {}, build).await;
    let clients = [fixture.session().await, fixture.sessionless()];
    for (cancelled, session) in (1..).zip(clients) {
        let meta = json!({"progressToken": "mine"});
        let (_, mut talk) = session.begin("linger", json!({}), meta).await;
        let mut events = Events::new(talk.answer().await.into_body());
        let step = events.next().await.unwrap();
        assert_eq!(step["method"], "notifications/progress", "{step}");
        drop((talk, events));
        let executor = fixture.executor();
        until("it is counted", || {
            executor.counters().cancelled == cancelled
        })
        .await;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_deadline_of_the_caller_and_one_of_the_server_pass() {
    let short = Duration::from_millis(100);
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let meta = json!({"nodewire/timeoutMs": 100});
    let (_, talk) = session.begin("wait_here", json!({}), meta).await;
    let result = talk.result().await;
    assert_eq!(result["_meta"]["nodewire/error"]["kind"], "deadline");
    fixture.stop().await;

    let fixture = Fixture::start_with(|_| {}, |it| it.timeout_max = Some(short), |it| it).await;
    let session = fixture.session().await;
    let meta = json!({"nodewire/timeoutMs": 600_000});
    let (_, talk) = session.begin("wait_here", json!({}), meta).await;
    let result = talk.result().await;
    assert_eq!(result["_meta"]["nodewire/error"]["kind"], "deadline");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_answers_arrive() {
    let fixture = Fixture::start().await;
    let (probe, address) = (fixture.probe.clone(), fixture.address);
    let session = fixture.session().await;
    let (_, in_session) = session.begin("wait_here", json!({}), json!({})).await;
    let sessionless = fixture.sessionless();
    let (_, alone) = sessionless.begin("wait_here", json!({}), json!({})).await;
    // A stream that a client keeps open holds up no stop.
    let get = head()
        .method("GET")
        .header("Mcp-Session-Id", session.id.as_deref().unwrap());
    let mut stream = crate::support::Talk::begin(address, get, "").await;
    assert_eq!(stream.answer().await.status(), 200);
    probe.wait_until_begun(2).await;
    let executor = fixture.executor().clone();
    let opening = tokio::spawn(async move {
        // What comes once the stop has begun is refused, and said so.
        loop {
            let (_, late) = sessionless.begin("about", json!({}), json!({})).await;
            let message = late.messages().await.pop().unwrap();
            if let Some(error) = message.get("error") {
                assert_eq!(error["data"]["kind"], "shutting_down");
                break;
            }
        }
        probe.open();
    });
    fixture.stop().await;
    opening.await.unwrap();
    for talk in [in_session, alone] {
        let outputs = talk.result().await["structuredContent"].clone();
        assert_eq!(outputs, json!({"done": ["yes"]}));
    }
    assert_eq!(executor.counters().cancelled, 0);
    assert!(
        TcpStream::connect(address).await.is_err(),
        "it still listens"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_is_cancelled_and_told_so() {
    let drain = Duration::from_millis(50);
    let fixture = Fixture::start_with(|_| {}, |_| {}, |builder| builder.drain(drain)).await;
    let session = fixture.session().await;
    let (_, talk) = session.begin("wait_here", json!({}), json!({})).await;
    fixture.probe.wait_until_begun(1).await;
    fixture.stop().await;
    let result = talk.result().await;
    assert_eq!(result["_meta"]["nodewire/error"]["kind"], "cancelled");
}

#[tokio::test]
async fn it_is_served_beside_plain_http_too() {
    let http = HttpConfig::new().access(HttpToken::new("another"));
    let beside = |config: &mut McpConfig| config.address = None;
    let fixture = Fixture::start_with(beside, |_| {}, |builder| builder.http(http)).await;
    assert_eq!(fixture.server.http_address(), Some(fixture.address));
    let session = fixture.session().await;
    let result = session.call("echo", json!({"text": "a"})).await;
    assert_eq!(result["structuredContent"], json!({"text": ["> a"]}));
    // Each has its own token.
    let nodes = || hyper::Request::get("/nodes");
    for (token, status) in [("another", 200), (TOKEN, 401)] {
        let head = nodes().header("Authorization", format!("Bearer {token}"));
        let talk = crate::support::Talk::begin(fixture.address, head, "").await;
        assert_eq!(talk.text().await.0, status);
    }
    fixture.stop().await;
}

#[tokio::test]
async fn what_cannot_start_is_told() {
    let start = |builder: NodeServerBuilder| async {
        let started = builder.build().unwrap().start();
        tokio::time::timeout(PATIENCE, started).await.unwrap()
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = McpConfig::new().address(taken.local_addr().unwrap());
    let error = start(NodeServer::builder().mcp(config)).await.unwrap_err();
    let listen = |error: &ServeError| {
        matches!(
            error,
            ServeError::Mcp(McpError::Http(HttpError::Listen { .. }))
        )
    };
    assert!(listen(&error), "{error:?}");
    let config = McpConfig::new().access(HttpToken::new(""));
    let error = start(NodeServer::builder().mcp(config)).await.unwrap_err();
    assert!(
        matches!(
            error,
            ServeError::Mcp(McpError::Http(HttpError::EmptyToken))
        ),
        "{error:?}"
    );
    let config = McpConfig::new().beside_http();
    let error = start(NodeServer::builder().mcp(config)).await.unwrap_err();
    assert!(
        matches!(error, ServeError::Mcp(McpError::NoHttp)),
        "{error:?}"
    );
}
