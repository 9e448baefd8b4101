//! What is bounded, and what happens at the bounds.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use nanograph::server::KeepAlive;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::backend::TestServer;
use crate::client::{Client, ack, cancelled, complete, error, request, started, stop};

/// A request whose message has exactly this many bytes.
fn request_of(bytes: usize) -> (String, String) {
    let empty = request("wf-1", "1", "sync-echo", r#"{"text": [""]}"#);
    let filler = "a".repeat(bytes - empty.len());
    (
        request(
            "wf-1",
            "1",
            "sync-echo",
            &format!(r#"{{"text": ["{filler}"]}}"#),
        ),
        filler,
    )
}

/// N19: where the Python SDK refuses, ours does not. spec: nanograph 4.2
#[tokio::test]
async fn inputs_beyond_the_python_limit_pass() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for bytes in [4_194_303, 4_194_304, 4_194_305, 8_000_000] {
        let (text, filler) = request_of(bytes);
        client.send(text).await;
        client.expect(&started("wf-1", "1")).await;
        let answer = client.text().await;
        assert!(
            answer == complete("wf-1", "1", &format!(r#"{{"text": ["{filler}"]}}"#)),
            "{bytes}"
        );
    }
}

#[tokio::test]
async fn a_message_over_the_limit_closes_its_connection_only() {
    let server = TestServer::start_with(|options| options.limits.message_bytes = 4_194_304).await;
    let (mut client, mut other) = (server.client().await, server.client().await);
    other.send(request("other", "1", "sleep", "{}")).await;
    other.expect(&started("other", "1")).await;
    client.send(request_of(4_194_304).0).await;
    client.expect(&started("wf-1", "1")).await;
    client.text().await;
    client.send(request_of(4_194_305).0).await;
    client.expect_close(CloseCode::Size).await;
    server.release();
    other
        .expect(&complete("other", "1", r#"{"done": [true]}"#))
        .await;
    assert_eq!(server.stats.snapshot().closed_too_large, 1);
}

#[tokio::test]
async fn a_fragmented_message_counts_as_a_whole() {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    let server = TestServer::start_with(|options| options.limits.message_bytes = 1000).await;
    let mut client = server.client().await;
    for kind in [Data::Text, Data::Continue] {
        let frame = Frame::message("x".repeat(600), OpCode::Data(kind), false);
        client.socket.send(Message::Frame(frame)).await.unwrap();
    }
    client.expect_close(CloseCode::Size).await;
}

#[tokio::test]
async fn protocol_errors_are_named() {
    let server = TestServer::start().await;
    for (frame, code) in [
        // Not masked.
        (&[0x81, 0x02, b'h', b'i'][..], 1002_u16),
        // A text that is not UTF-8.
        (&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xff], 1007),
        // An unknown opcode.
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
    ] {
        let mut stream = raw_client(&server.address).await;
        stream.write_all(frame).await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest[0], 0x88, "a close frame");
        assert_eq!(u16::from_be_bytes([rest[2], rest[3]]), code);
    }
    assert_eq!(server.stats.snapshot().closed_protocol_error, 3);
}

/// A TCP connection that was upgraded and has received the handshake.
async fn raw_client(address: &str) -> TcpStream {
    let client = Client::connect(address).await;
    let mut socket = client.socket;
    socket
        .next()
        .await
        .expect("the handshake")
        .expect("a frame");
    let tokio_tungstenite::MaybeTlsStream::Plain(stream) = socket.into_inner() else {
        panic!("no TLS here")
    };
    stream
}

#[tokio::test]
async fn too_many_connections_are_refused() {
    let server = TestServer::start_with(|options| options.limits.connections = 2).await;
    let first = server.client().await;
    let _second = server.client().await;
    let mut refused = TcpStream::connect(&server.address).await.unwrap();
    let mut answer = String::new();
    refused.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    drop(first);
    server.wait_for(|stats| stats.connections_ended == 1).await;
    server.client().await.expect_silence().await;
    assert_eq!(server.stats.snapshot().connections_refused, 1);
}

#[tokio::test]
async fn too_many_executions_are_refused_and_the_others_go_on() {
    let server =
        TestServer::start_with(|options| options.limits.executions_per_connection = 2).await;
    let mut client = server.client().await;
    for node_id in ["1", "2"] {
        client.send(request("wf", node_id, "sleep", "{}")).await;
        client.expect(&started("wf", node_id)).await;
    }
    client.send(request("wf", "3", "sleep", "{}")).await;
    let text =
        "Too many executions at once on this connection: the limit is 2; wait for some to end";
    client.expect(&error("wf", "3", text)).await;
    client.send(stop("wf")).await;
    client.expect(&ack("wf", 2)).await;
    let mut ends = [client.text().await, client.text().await];
    ends.sort();
    assert_eq!(ends, [cancelled("wf", "1"), cancelled("wf", "2")]);
    client.send(request("wf", "4", "none-output", "{}")).await;
    client.expect(&started("wf", "4")).await;
}

#[tokio::test]
async fn thousands_of_requests_at_once() {
    const COUNT: usize = 20_000;
    let server = TestServer::start().await;
    let (mut sink, mut stream) = server.client().await.socket.split();
    let sending = tokio::spawn(async move {
        for index in 0..COUNT {
            let text = request(
                &format!("wf-{}", index % 7),
                &index.to_string(),
                "none-output",
                "{}",
            );
            sink.feed(Message::text(text)).await.unwrap();
        }
        sink.flush().await.unwrap();
        sink
    });
    let mut statuses = vec![0_u8; COUNT];
    for _ in 0..2 * COUNT {
        let message = stream.next().await.expect("connected").expect("a message");
        let value: serde_json::Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        let index = usize::try_from(value["payload"]["nodeId"].as_u64().unwrap()).unwrap();
        let (before, kind) = if statuses[index] == 0 {
            (0, "running")
        } else {
            (1, "complete")
        };
        assert_eq!(
            (statuses[index], value["payload"]["status"]["type"].as_str()),
            (before, Some(kind))
        );
        statuses[index] += 1;
    }
    drop(sending.await.unwrap());
    let stats = server.stats.snapshot();
    assert_eq!(
        (stats.executions_started, stats.executions_completed),
        (COUNT as u64, COUNT as u64)
    );
}

/// A client that asks much and takes nothing is not read from any more; it loses no terminal status, and nobody else
/// notices.
#[tokio::test]
async fn a_client_that_does_not_read_is_held_back() {
    const COUNT: usize = 20;
    let server = TestServer::start_with(|options| options.limits.outbound_bytes = 1 << 20).await;
    let (mut sink, mut stream) = server.client().await.socket.split();
    let sending = tokio::spawn(async move {
        for index in 0..COUNT {
            let text = request("slow", &index.to_string(), "big", "{}");
            sink.send(Message::text(text)).await.unwrap();
        }
        sink
    });
    server
        .wait_for(|stats| stats.executions_completed > 0)
        .await;
    let mut other = server.client().await;
    other.send(request("other", "1", "none-output", "{}")).await;
    other.expect(&started("other", "1")).await;
    other.expect(&complete("other", "1", "null")).await;
    // Some were read at once before the first had its outputs; far from all.
    let held_back = server.stats.snapshot().executions_started;
    let mut completed = 0;
    while completed < COUNT {
        let message = stream.next().await.expect("connected").expect("a message");
        completed += usize::from(message.to_text().unwrap().contains("complete"));
    }
    drop(sending.await.unwrap());
    assert!(held_back <= COUNT as u64 + 1);
    assert_eq!(
        server.stats.snapshot().executions_completed,
        COUNT as u64 + 1
    );
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_dropped() {
    let server = TestServer::start_with(|options| {
        options.limits.stall_timeout = Duration::from_millis(100);
        options.limits.outbound_bytes = 1 << 20;
    })
    .await;
    let mut client = server.client().await;
    for index in 0..4 {
        client
            .send(request("slow", &index.to_string(), "big", "{}"))
            .await;
    }
    server.wait_for(|stats| stats.closed_stalled == 1).await;
    server.client().await.expect_silence().await;
}

#[tokio::test]
async fn silent_clients_are_pinged_and_then_dropped_without_a_close() {
    let keep_alive = KeepAlive {
        // So long that on a busy machine, too, the ping does not come together with the handshake.
        idle: Duration::from_secs(2),
        timeout: Duration::from_millis(50),
    };
    let server = TestServer::start_with(|options| options.keep_alive = Some(keep_alive)).await;
    let mut stream = raw_client(&server.address).await;
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, [0x89, 0x00], "an empty ping and nothing else");
    server.wait_for(|stats| stats.closed_silent == 1).await;
}

#[tokio::test]
async fn clients_that_answer_pings_stay() {
    let keep_alive = KeepAlive {
        idle: Duration::from_millis(5),
        timeout: Duration::from_secs(20),
    };
    let server = TestServer::start_with(|options| options.keep_alive = Some(keep_alive)).await;
    let mut client = server.client().await;
    for _ in 0..10 {
        // Reading the ping answers it.
        assert!(matches!(
            client.socket.next().await,
            Some(Ok(Message::Ping(_)))
        ));
    }
    client.expect_silence().await;
}

#[tokio::test]
async fn abrupt_disconnects_hurt_nobody() {
    let server = TestServer::start().await;
    let mut other = server.client().await;
    other.send(request("other", "1", "sleep", "{}")).await;
    other.expect(&started("other", "1")).await;
    for partial in [
        &[0x81][..],
        &[0x81, 0xfe, 0x10],
        &[0x81, 0x85, 1, 2, 3, 4, 5],
    ] {
        let mut stream = raw_client(&server.address).await;
        stream.write_all(partial).await.unwrap();
        drop(stream);
    }
    server.wait_for(|stats| stats.closed_abruptly == 3).await;
    server.release();
    other
        .expect(&complete("other", "1", r#"{"done": [true]}"#))
        .await;
}
