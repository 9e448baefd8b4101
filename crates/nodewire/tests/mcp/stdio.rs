//! Over a pair of streams.

use std::sync::atomic::Ordering;
use std::time::Duration;

use nodewire::mcp::McpOptions;
use nodewire::{Executor, ServeError};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::task::JoinHandle;

use crate::support::{PATIENCE, Probe, WITH_SESSIONS, builder, until};

/// Bytes that wait in each direction.
const PIPE_BYTES: usize = 4 << 10;

/// A server over streams, and its client.
struct Piped {
    serving: JoinHandle<Result<(), ServeError>>,
    executor: Executor,
    probe: Probe,
    to: DuplexStream,
    from: BufReader<DuplexStream>,
}

impl Piped {
    async fn start(set: impl FnOnce(&mut McpOptions)) -> Self {
        let (builder, probe) = builder();
        let mut options = McpOptions::default();
        set(&mut options);
        let server = builder.mcp_options(options).build().unwrap();
        let executor = server.executor().clone();
        let (to, input) = tokio::io::duplex(PIPE_BYTES);
        let (output, from) = tokio::io::duplex(PIPE_BYTES);
        let mut piped = Self {
            serving: tokio::spawn(server.serve_mcp_stdio(input, output)),
            executor,
            probe,
            to,
            from: BufReader::new(from),
        };
        let params = json!({
            "protocolVersion": WITH_SESSIONS,
            "capabilities": {},
            "clientInfo": {"name": "bare", "version": "1"},
        });
        let request = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        piped.send(&request).await;
        let answer = piped.next().await;
        assert_eq!(answer["result"]["serverInfo"]["name"], "nodewire");
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        piped.send(&initialized).await;
        piped
    }

    async fn send(&mut self, message: &Value) {
        self.line(&message.to_string()).await;
    }

    async fn line(&mut self, line: &str) {
        let line = format!("{line}\n");
        let sent = tokio::time::timeout(PATIENCE, self.to.write_all(line.as_bytes())).await;
        sent.expect("the server reads").unwrap();
    }

    async fn call(&mut self, id: i64, tool: &str, arguments: Value, meta: Value) {
        let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
        let method = "tools/call";
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(&request).await;
    }

    async fn next(&mut self) -> Value {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.from.read_line(&mut line)).await;
        read.expect("a message comes").unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"))
    }

    /// Closes the server's input; it ends, and everything was counted exactly once.
    async fn end(self) {
        drop(self.to);
        let served = tokio::time::timeout(PATIENCE, self.serving).await;
        served.expect("the server ends").unwrap().unwrap();
        let counters = self.executor.counters();
        assert!(counters.is_balanced(), "{counters:?}");
        assert_eq!(counters.in_flight, 0);
    }
}

#[tokio::test]
async fn calls_progress_and_cancellations() {
    let mut piped = Piped::start(|_| {}).await;
    piped.call(1, "echo", json!({"text": "a"}), json!({})).await;
    let answer = piped.next().await;
    assert_eq!(answer["id"], 1);
    assert_eq!(
        answer["result"]["structuredContent"],
        json!({"text": ["> a"]})
    );

    let meta = json!({"progressToken": 7});
    piped.call(2, "progress", json!({}), meta).await;
    for step in 1..=3 {
        let told = piped.next().await;
        assert_eq!(told["params"]["progress"], f64::from(step));
        assert_eq!(told["params"]["progressToken"], 7);
    }
    assert_eq!(piped.next().await["id"], 2);

    piped.call(3, "wait_here", json!({}), json!({})).await;
    piped.probe.wait_until_begun(1).await;
    let params = json!({"requestId": 3});
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
    piped.send(&cancel).await;
    let executor = piped.executor.clone();
    until("it is counted", || executor.counters().cancelled == 1).await;
    // What is cancelled has no answer.
    piped.call(4, "about", json!({}), json!({})).await;
    assert_eq!(piped.next().await["id"], 4);
    piped.end().await;
}

#[tokio::test]
async fn what_is_nested_too_deep_is_refused() {
    let mut piped = Piped::start(|_| {}).await;
    // The SDK still reads this.
    let deep = (0..121).fold(json!([]), |inner, _| json!([inner]));
    piped
        .call(1, "echo", json!({"text": deep}), json!({}))
        .await;
    let result = &piped.next().await["result"];
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(result["isError"], true);
    assert!(text.contains("deeper than 120 levels"), "{text}");
    piped.end().await;
}

#[tokio::test]
async fn answers_under_way_arrive_after_the_end_of_the_input() {
    let mut piped = Piped::start(|_| {}).await;
    piped.call(1, "wait_here", json!({}), json!({})).await;
    piped.probe.wait_until_begun(1).await;
    let Piped {
        serving,
        probe,
        to,
        mut from,
        ..
    } = piped;
    drop(to);
    probe.open();
    let mut line = String::new();
    let read = tokio::time::timeout(PATIENCE, from.read_line(&mut line)).await;
    read.expect("the answer comes").unwrap();
    assert!(line.contains("\"done\""), "{line}");
    let served = tokio::time::timeout(PATIENCE, serving).await;
    served.expect("the server ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_goes_away_cancels() {
    let mut piped = Piped::start(|_| {}).await;
    piped.call(1, "wait_here", json!({}), json!({})).await;
    piped.probe.wait_until_begun(1).await;
    let (probe, executor) = (piped.probe.clone(), piped.executor.clone());
    piped.end().await;
    assert_eq!(probe.told_to_stop.load(Ordering::SeqCst), 1);
    assert_eq!(executor.counters().cancelled, 1);
}

#[tokio::test]
async fn what_is_no_message_is_told_and_the_session_goes_on() {
    let mut piped = Piped::start(|options| options.message_bytes_max = 1_000).await;
    let too_long = json!({"jsonrpc": "2.0", "id": 1, "text": "x".repeat(100_000)}).to_string();
    for (line, code, id) in [
        ("hello", -32700, Value::Null),
        ("{\"jsonrpc\": ", -32700, Value::Null),
        ("{}", -32600, Value::Null),
        ("[1]", -32600, Value::Null),
        (
            r#"{"jsonrpc": "2.0", "id": "a", "method": 5}"#,
            -32600,
            json!("a"),
        ),
        (&too_long, -32600, Value::Null),
    ] {
        piped.line(line).await;
        let answer = piped.next().await;
        assert_eq!(
            (&answer["error"]["code"], &answer["id"]),
            (&json!(code), &id),
            "{answer}"
        );
        assert!(!answer.to_string().contains("xxx"), "{answer}");
    }
    // Notifications have no answer, whatever is in them.
    piped
        .line(r#"{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": 5}"#)
        .await;
    piped.call(2, "about", json!({}), json!({})).await;
    assert_eq!(piped.next().await["id"], 2);
    piped.end().await;
}

/// Two that answer each other's nonsense with nonsense would never end.
#[tokio::test]
async fn a_client_that_echoes_what_it_is_told_comes_to_rest() {
    let mut piped = Piped::start(|_| {}).await;
    piped.line("hello").await;
    let told = piped.next().await;
    assert_eq!(told["error"]["code"], -32700);
    piped.send(&told).await;
    piped.call(1, "about", json!({}), json!({})).await;
    assert_eq!(piped.next().await["id"], 1);
    piped.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_what_it_is_told_is_not_read() {
    let mut piped = Piped::start(|_| {}).await;
    let mut is_read = true;
    for _ in 0..20_000 {
        let sent = piped.to.write_all(b"hello\n");
        is_read = tokio::time::timeout(Duration::from_secs(2), sent)
            .await
            .is_ok();
        if !is_read {
            break;
        }
    }
    assert!(!is_read, "it keeps what it would tell about 20,000 lines");
    piped.serving.abort();
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_not_read_for_ever() {
    let mut piped = Piped::start(|options| options.in_flight_max = 4).await;
    let request = |id: i64| json!({"jsonrpc": "2.0", "id": id, "method": "tools/list"});
    // An answer is longer than what the pipe holds, so that they wait in the server, which reads no more then.
    let mut is_read = true;
    for id in 1..=2_000 {
        let line = format!("{}\n", request(id));
        let sent = piped.to.write_all(line.as_bytes());
        is_read = tokio::time::timeout(Duration::from_secs(2), sent)
            .await
            .is_ok();
        if !is_read {
            break;
        }
    }
    assert!(!is_read, "it keeps the answers to 2,000 requests");
    piped.serving.abort();
}
