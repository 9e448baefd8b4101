//! What becomes of connections that say nothing.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{LIMIT, Setup, start_with, texts};

async fn start() -> Setup {
    start_with(|options| options.api.head_timeout = Duration::from_millis(200)).await
}

/// All that a connection is answered until the daemon closes it.
async fn until_closed(setup: &Setup, sent: &str) -> String {
    let mut stream = TcpStream::connect(setup.daemon.address()).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    let read = tokio::time::timeout(LIMIT, reading).await;
    read.expect("it is closed").unwrap();
    answer
}

#[tokio::test]
async fn whoever_sends_no_request_in_time_is_closed_and_counted() {
    let setup = start().await;
    let head = "GET /health HTTP/1.1\r\nHost: localhost\r\n";
    assert_eq!(until_closed(&setup, "").await, "");
    assert_eq!(until_closed(&setup, head).await, "");
    // Answered, kept for the next request, and closed as there is none.
    let idle = until_closed(&setup, &format!("{head}\r\n")).await;
    assert!(idle.starts_with("HTTP/1.1 200"), "{idle}");
    let metrics = setup.client.get("/metrics").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    let counted = "nanocore_connections_timed_out_total 3\n";
    assert!(metrics.contains(counted), "{metrics}");
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_web_socket_may_be_silent_for_longer() {
    let setup = start().await;
    let (address, token) = (setup.daemon.address(), &setup.client.token);
    let url = format!("ws://{address}/api/v1/ws?token={token}");
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    // This connection began later, and its time is over.
    until_closed(&setup, "").await;
    let run_id = setup
        .submit(&serde_json::json!({ "graph": texts("a") }))
        .await;
    let told = async {
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message.unwrap() else {
                continue;
            };
            let event: Value = serde_json::from_str(&text).unwrap();
            if event["runId"] == run_id.as_str() {
                return;
            }
        }
        panic!("the socket was closed");
    };
    tokio::time::timeout(LIMIT, told).await.expect("its events");
    setup.daemon.shutdown().await;
}
