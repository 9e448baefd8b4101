//! What is too much.

use std::time::Duration;

use ::bytes::Bytes;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Fixture, PATIENCE, TOKEN, until};

/// Sends this as it is, and reads until the server closes.
async fn raw(fixture: &Fixture, text: &str) -> String {
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(PATIENCE, read).await;
    read.expect("the server closes").unwrap();
    String::from_utf8(answer).unwrap()
}

fn head(more: &str) -> String {
    format!(
        "POST /nodes/echo/execute HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n{more}\r\n"
    )
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let small = |config: &mut nodewire::http::HttpConfig| config.body_bytes_max = 1_000;
    let fixture = Fixture::start_with(small, |builder| builder).await;
    let fits = format!("{{}}{}", " ".repeat(998));
    let (status, _) = fixture.call("about", &fits).await;
    assert_eq!(status, 200);
    let announced = raw(&fixture, &head("Content-Length: 1001\r\n")).await;
    let chunk = " ".repeat(0x400);
    let chunked = head("Transfer-Encoding: chunked\r\n") + &format!("400\r\n{chunk}\r\n0\r\n\r\n");
    for answer in [announced, raw(&fixture, &chunked).await] {
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("larger than 1000 bytes"), "{answer}");
    }
    assert_eq!(fixture.executor().counters().accepted, 1);
    fixture.stop().await;
}

#[tokio::test]
async fn bodies_have_so_much_room_together() {
    let narrow = |config: &mut nodewire::http::HttpConfig| {
        config.body_bytes_max = 4 << 10;
        config.bodies_bytes_max = 4 << 10;
    };
    let fixture = Fixture::start_with(narrow, |builder| builder).await;
    let body = Bytes::from(format!("{{}}{}", " ".repeat(3 << 10)));
    let first = fixture.send(Fixture::execute("wait%2Fhere"), body.clone());
    let first = first.await;
    fixture.probe.wait_until_begun(1).await;
    let second = fixture.send(Fixture::execute("about"), body.clone()).await;
    let (head, _) = second.whole().await;
    assert_eq!(head.status, 429);
    assert_eq!(head.headers["retry-after"], "1");
    fixture.probe.open();
    assert_eq!(first.json().await.0, 200);
    let (status, _) = fixture.ask(Fixture::execute("about"), body).await;
    assert_eq!(status, 200);
    fixture.stop().await;
}

#[tokio::test]
async fn a_full_node_says_when_to_come_again() {
    let fixture = Fixture::start().await;
    let first = fixture.send(Fixture::execute("narrow"), "").await;
    fixture.probe.wait_until_begun(1).await;
    let second = fixture.send(Fixture::execute("narrow"), "").await;
    until("one waits", || fixture.executor().counters().accepted == 2).await;
    let refused = fixture.send(Fixture::execute("narrow"), "").await;
    let (head, body) = refused.whole().await;
    assert_eq!(head.status, 429);
    assert_eq!(head.headers["retry-after"], "1");
    assert!(body.windows(10).any(|part| part == b"queue_full"));
    fixture.probe.open();
    for talk in [first, second] {
        assert_eq!(talk.json().await.0, 200);
    }
    fixture.stop().await;
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_counted() {
    let short = |config: &mut nodewire::http::HttpConfig| {
        config.head_timeout = Duration::from_millis(50);
    };
    let fixture = Fixture::start_with(short, |builder| builder).await;
    let answer = raw(&fixture, "GET /nodes HTTP/1.1\r\n").await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
        "{answer}"
    );
    let stats = format!(
        "GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    let counted = async {
        // A machine that is busy may be too slow for the limit itself.
        loop {
            let answer = raw(&fixture, &stats).await;
            let none = answer.contains("\"silentConnections\":0");
            if answer.starts_with("HTTP/1.1 200 ") && !none {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, counted).await;
    let answer = answer.expect("it is counted");
    assert!(answer.contains("\"silentConnections\":"), "{answer}");
    fixture.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_told_so() {
    let short = |config: &mut nodewire::http::HttpConfig| {
        config.body_timeout = Duration::from_millis(50);
    };
    let fixture = Fixture::start_with(short, |builder| builder).await;
    let answer = raw(&fixture, &head("Content-Length: 10\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("too_slow"), "{answer}");
    let (_, stats) = fixture.ask(Fixture::get("/stats"), "").await;
    assert_eq!(stats["http"]["errors"]["408"], 1);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_limit_wait_their_turn() {
    let narrow = |config: &mut nodewire::http::HttpConfig| config.connections_max = 2;
    let fixture = Fixture::start_with(narrow, |builder| builder).await;
    let calls = (0..16).map(|_| fixture.call("about", ""));
    for (status, _) in join_all(calls).await {
        assert_eq!(status, 200);
    }
    fixture.stop().await;
}
