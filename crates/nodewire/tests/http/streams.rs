//! Server-sent events.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::http::request;
use nodewire::http::HttpConfig;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{FLOOD_PARTS, Fixture, TOKEN, until};

fn stream(node: &str) -> request::Builder {
    Fixture::execute(node).header("Accept", "text/event-stream")
}

#[tokio::test]
async fn events_come_in_order_and_end() {
    let fixture = Fixture::start().await;
    let events = fixture.send(stream("progress"), "").await.events().await;
    let step = |step: u32| {
        let message = format!("step {step}");
        let data = json!({"event": "progress", "step": step, "total": 3, "message": message});
        ("progress".to_owned(), data)
    };
    let outputs = |event: &str, n: u32| {
        let data = json!({"event": event, "outputs": {"n": [n]}});
        (event.to_owned(), data)
    };
    let expected = [
        step(1),
        step(2),
        step(3),
        outputs("partial", 2),
        outputs("completed", 3),
    ];
    assert_eq!(events.all().await, expected);
    assert!(fixture.server.lost().is_empty());
    fixture.stop().await;
}

#[tokio::test]
async fn the_last_event_says_how_it_ended() {
    let fixture = Fixture::start().await;
    let failed = fixture.send(stream("panic"), "").await.events().await;
    let failed = failed.all().await;
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0, "failed");
    assert_eq!(failed[0].1["error"]["kind"], "internal");
    let late = stream("wait%2Fhere").header("Request-Timeout-Ms", "300");
    let late = fixture.send(late, "").await.events().await.all().await;
    assert_eq!(late[0].1["error"]["kind"], "deadline");
    // What is not accepted has a status.
    let (status, _) = fixture.ask(stream("nobody"), "").await;
    assert_eq!(status, 404);
    fixture.stop().await;
}

#[tokio::test]
async fn a_reader_that_disconnects_cancels() {
    let fixture = Fixture::start().await;
    let events = fixture.send(stream("wait%2Fhere"), "").await.events().await;
    fixture.probe.wait_until_begun(1).await;
    drop(events);
    fixture.wait_until_told_to_stop().await;
    let executor = fixture.executor();
    until("it is counted", || executor.counters().cancelled == 1).await;
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_makes_the_node_wait_and_loses_nothing() {
    /// What the execution and the sockets of the system hold, with room to spare; less than there is.
    const AHEAD_MAX: usize = 200;
    let fixture = Fixture::start().await;
    let mut events = fixture.send(stream("flood"), "").await.events().await;
    let sent = || fixture.flood.sent.load(Ordering::SeqCst);
    until("the node is ahead", || sent() >= 60).await;
    for part in 0..FLOOD_PARTS {
        assert!(sent() <= part + AHEAD_MAX, "{} are sent at {part}", sent());
        let (event, data) = events.next().await.unwrap();
        assert_eq!(event, "partial");
        assert_eq!(data["outputs"]["part"], json!([part]));
    }
    assert_eq!(events.next().await.unwrap().0, "completed");
    assert!(events.next().await.is_none());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_nothing_is_disconnected_and_its_execution_cancelled() {
    let short = |config: &mut HttpConfig| config.write_timeout = Duration::from_millis(200);
    let fixture = Fixture::start_with(short, |builder| builder).await;
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    let head = format!(
        "POST /nodes/flood/execute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
         Accept: text/event-stream\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let executor = fixture.executor();
    until("it is cancelled", || executor.counters().cancelled == 1).await;
    let (_, stats) = fixture.ask(Fixture::get("/stats"), "").await;
    assert_eq!(stats["http"]["stalledConnections"], 1);
    drop(stream);
    fixture.stop().await;
}
