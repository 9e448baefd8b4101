//! Events over server-sent events and over a WebSocket.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use nanocore::events::EventHubOptions;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::{LIMIT, Setup, start, start_with, texts};

/// Server-sent events, read one by one.
pub(crate) struct Sse(BufReader<TcpStream>);

impl Sse {
    pub(crate) async fn open(setup: &Setup, path: &str) -> Self {
        Self::open_with(setup, path, "").await
    }

    async fn open_with(setup: &Setup, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(setup.client.address).await.unwrap();
        let token = &setup.client.token;
        let head = format!(
            "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Self(BufReader::new(stream))
    }

    /// The data of the next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(LIMIT, self.0.read_line(&mut line)).await;
            if read.unwrap().unwrap_or_default() == 0 {
                return None;
            }
            if let Some(data) = line.strip_prefix("data:") {
                return Some(serde_json::from_str(data.trim()).unwrap());
            }
        }
    }

    async fn types(mut self) -> Vec<String> {
        let mut types = Vec::new();
        while let Some(event) = self.next().await {
            types.push(event["type"].as_str().unwrap().to_owned());
        }
        types
    }
}

struct Ws(WebSocketStream<TcpStream>);

impl Ws {
    /// Connects; the message of the hello.
    async fn open(setup: &Setup, query: &str) -> (Self, Value) {
        let stream = TcpStream::connect(setup.client.address).await.unwrap();
        let token = &setup.client.token;
        let url = format!(
            "ws://{}/api/v1/ws?clientId=test&token={token}{query}",
            setup.client.address
        );
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        let mut this = Self(socket);
        let hello = this.next().await;
        assert_eq!(hello["type"], "hello");
        assert_eq!(hello["epoch"], setup.daemon.events().epoch());
        (this, hello)
    }

    async fn message(&mut self) -> Message {
        let next = tokio::time::timeout(LIMIT, self.0.next()).await;
        next.unwrap().unwrap().unwrap()
    }

    async fn next(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other @ (Message::Binary(_) | Message::Close(_) | Message::Frame(_)) => {
                    panic!("{other:?}")
                }
            }
        }
    }

    async fn say(&mut self, message: &Value) {
        self.0
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }
}

fn publish(setup: &Setup, run: Option<&str>, number: u64) -> u64 {
    let run = run.map(Arc::<str>::from);
    let events = setup.daemon.events();
    events.publish("test", run.as_ref(), json!({ "number": number }))
}

#[tokio::test]
async fn the_events_of_a_run_are_streamed_to_its_end_and_again() {
    let setup = start().await;
    let run_id = setup.submit(&json!({ "graph": texts("a") })).await;
    let path = format!("/api/v1/runs/{run_id}/events");
    let types = Sse::open(&setup, &path).await.types().await;
    let expected = ["hello", "run_queued", "run_started"];
    assert_eq!(types[..3], expected, "{types:?}");
    assert_eq!(
        types.iter().filter(|kind| *kind == "node_complete").count(),
        2
    );
    assert_eq!(types.last().unwrap(), "run_finished");

    setup.finished(&run_id).await;
    assert_eq!(Sse::open(&setup, &path).await.types().await, types);
    let mut stream = Sse::open(&setup, &path).await;
    let mut last = Value::Null;
    while let Some(event) = stream.next().await {
        last = event;
    }
    let seen = last["seq"].as_u64().unwrap() - 1;
    let rest = Sse::open(&setup, &format!("{path}?since={seen}")).await;
    assert_eq!(rest.types().await, ["hello", "run_finished"]);
    let other = Sse::open(&setup, &format!("{path}?since={seen}&epoch=other")).await;
    assert_eq!(other.types().await, ["hello", "reset", "run_finished"]);
    let own = setup.daemon.events().epoch();
    let after = async |id: &str| {
        let header = format!("Last-Event-ID: {id}\r\n");
        let rest = Sse::open_with(&setup, &path, &header).await;
        rest.types().await
    };
    let end = ["hello", "run_finished"];
    assert_eq!(after(&format!("{own}.{seen}")).await, end);
    // Numbers of another process, and what is no id of ours.
    for foreign in [format!("other.{seen}"), seen.to_string(), "odd".to_owned()] {
        let types = after(&foreign).await;
        assert_eq!(types, ["hello", "reset", "run_finished"], "{foreign}");
    }
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn the_end_of_a_run_is_told_though_its_event_was_seen_or_is_of_an_earlier_process() {
    let setup = start().await;
    let run_id = setup.submit(&json!({ "graph": texts("a") })).await;
    let path = format!("/api/v1/runs/{run_id}/events");
    let mut first = Sse::open(&setup, &path).await;
    let mut end = Value::Null;
    while let Some(event) = first.next().await {
        end = event;
    }
    let seen = format!("{path}?since={}", end["seq"]);
    let again = Sse::open(&setup, &seen).await.types().await;
    assert_eq!(again, ["hello", "run_finished"]);
    let Setup {
        daemon,
        root,
        client,
    } = setup;
    let epoch = daemon.events().epoch().to_owned();
    daemon.shutdown().await;
    let daemon = nanocore::daemon::Daemon::start(crate::support::options(&root)).await;
    let daemon = daemon.unwrap();
    let client = crate::http::Client {
        address: daemon.address(),
        ..client
    };
    let setup = Setup {
        daemon,
        client,
        root,
    };
    let header = format!("Last-Event-ID: {epoch}.2\r\n");
    let mut later = Sse::open_with(&setup, &path, &header).await;
    assert_eq!(later.next().await.unwrap()["type"], "hello");
    assert_eq!(later.next().await.unwrap()["type"], "reset");
    let told = later.next().await.unwrap();
    for field in ["type", "runId", "status", "durationMs", "counts"] {
        assert_eq!(told[field], end[field], "{field}");
    }
    assert_eq!(later.next().await, None);
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_stream_whose_beginning_is_not_kept_says_so() {
    let setup = start_with(|options| {
        options.events = EventHubOptions {
            events_max: 3,
            ..EventHubOptions::default()
        };
    })
    .await;
    let run_id = setup.submit(&json!({ "graph": texts("a") })).await;
    setup.finished(&run_id).await;
    // Its end is told once it is on disk.
    let path = format!("/api/v1/runs/{run_id}/events");
    let types = Sse::open(&setup, &path).await.types().await;
    assert_eq!(types[..2], ["hello", "reset"]);
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_websocket_tells_everything_and_what_is_subscribed() {
    let setup = start().await;
    let (mut ws, _) = Ws::open(&setup, "").await;
    publish(&setup, Some("a"), 1);
    publish(&setup, None, 2);
    assert_eq!(
        (
            ws.next().await["runId"].clone(),
            ws.next().await["number"].clone()
        ),
        (json!("a"), json!(2))
    );

    ws.say(&json!({ "type": "subscribe", "runs": ["b"], "servers": false }))
        .await;
    ws.say(&json!({ "type": "nonsense" })).await;
    // Answered in order, so that the subscription holds now.
    let error = ws.next().await;
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("error"), &json!("bad_message"))
    );
    publish(&setup, Some("a"), 3);
    publish(&setup, None, 4);
    publish(&setup, Some("b"), 5);
    assert_eq!(ws.next().await["number"], 5);
    ws.say(&json!({ "type": "subscribe", "runs": "*", "servers": true }))
        .await;
    ws.say(&json!({ "type": "abort", "runId": "nobody" })).await;
    assert_eq!(ws.next().await["code"], "abort_failed");
    publish(&setup, None, 6);
    assert_eq!(ws.next().await["number"], 6);
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_websocket_resumes_where_it_was_or_is_told_to_read_anew() {
    let setup = start_with(|options| {
        options.events = EventHubOptions {
            events_max: 5,
            ..EventHubOptions::default()
        };
    })
    .await;
    let first = publish(&setup, None, 1);
    for number in 2..=5 {
        publish(&setup, None, number);
    }
    let (mut ws, hello) = Ws::open(&setup, &format!("&since={first}")).await;
    assert_eq!(hello["seq"], first + 4);
    for number in 2..=5 {
        assert_eq!(ws.next().await["number"], number);
    }
    publish(&setup, None, 6);
    assert_eq!(ws.next().await["number"], 6);
    for number in 7..=9 {
        publish(&setup, None, number);
    }
    for query in [
        format!("&since={first}"),
        format!("&since={}&epoch=other", first + 8),
    ] {
        let (mut ws, _) = Ws::open(&setup, &query).await;
        assert_eq!(ws.next().await["type"], "reset");
        let number = publish(&setup, None, 10);
        assert_eq!(ws.next().await["seq"], number);
    }
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_told_and_closed_while_runs_go_on() {
    let setup = start_with(|options| {
        options.events = EventHubOptions {
            events_max: 100,
            ..EventHubOptions::default()
        };
    })
    .await;
    let (mut slow, _) = Ws::open(&setup, "").await;
    // More than sockets hold: the daemon's writes to it wait.
    let large = json!({ "text": "x".repeat(500_000) });
    for _ in 0..100 {
        setup.daemon.events().publish("large", None, &large);
        tokio::task::yield_now().await;
    }
    let run_id = setup.submit(&json!({ "graph": texts("a") })).await;
    assert_eq!(setup.finished(&run_id).await["status"], "complete");
    for _ in 0..200 {
        setup.daemon.events().publish("large", None, &large);
    }
    let mut read = 0;
    let told = loop {
        let message = slow.next().await;
        match message["type"].as_str().unwrap() {
            "too_slow" => break message,
            _ => read += 1,
        }
    };
    let missed = told["missed"].as_u64().unwrap();
    assert!(missed > 100 && read < 300, "{read} read, {missed} missed");
    let Message::Close(Some(close)) = slow.message().await else {
        panic!("it is still open")
    };
    assert_eq!(close.code, CloseCode::Again);
    let (mut again, _) = Ws::open(&setup, &format!("&since={}", told["seq"])).await;
    assert_eq!(again.next().await["seq"], told["seq"].as_u64().unwrap() + 1);
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn streams_end_with_the_daemon_and_are_limited() {
    let setup = start_with(|options| options.api.streams_max = 1).await;
    let (mut ws, _) = Ws::open(&setup, "").await;
    let run_id = setup.submit(&json!({ "graph": texts("a") })).await;
    let path = format!("/api/v1/runs/{run_id}/events");
    let refused = setup.client.get(&path).await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (503, "busy")
    );
    let ending = tokio::spawn(setup.daemon.shutdown());
    let close = loop {
        if let Message::Close(close) = ws.message().await {
            break close.unwrap();
        }
    };
    assert_eq!(close.code, CloseCode::Away);
    drop(ws);
    tokio::time::timeout(Duration::from_secs(60), ending)
        .await
        .unwrap()
        .unwrap();
}
