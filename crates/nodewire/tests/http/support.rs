//! A server with nodes to try, and a bare client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, http::request};
use hyper_util::rt::TokioIo;
use nodewire::http::{HttpConfig, HttpToken};
use nodewire::prelude::*;
use nodewire::{
    Executor, NodeDefinition, NodeServerBuilder, Outputs as CoreOutputs, RunningServer, node_fn,
};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Longer than anything takes; only a hang runs into it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const TOKEN: &str = "a-token-for-tests";

/// Prefixes each text.
#[node(output = "text")]
async fn echo(text: Vec<String>, #[param(default = "> ")] prefix: String) -> Vec<String> {
    text.iter().map(|text| format!("{prefix}{text}")).collect()
}

/// Reports three steps, with a preview.
#[node(output = "n")]
async fn progress(context: Context) -> u32 {
    for step in 1..=3 {
        context.progress(step, 3, format!("step {step}"));
    }
    let preview = CoreOutputs::new().with("n", Json::parse("2").unwrap());
    context.partial(preview).await;
    3
}

/// What the wire brought besides values.
#[node(output = "about")]
async fn about(context: Context) -> Vec<String> {
    let parent = context.trace_parent().unwrap_or("none").to_owned();
    vec![parent, context.caller_id().to_owned()]
}

/// Panics.
#[node]
async fn panic() {
    panic!("a defect");
}

/// Bytes in reverse.
#[node(output = "data")]
async fn reverse(data: Bytes, #[param(default = "")] suffix: String) -> Bytes {
    let reversed = data.iter().rev().copied();
    reversed.chain(suffix.bytes()).collect()
}

/// The bytes of each part of `flood`.
pub(crate) const FLOOD_PART_BYTES: usize = 128 << 10;

/// The parts of `flood`.
pub(crate) const FLOOD_PARTS: usize = 256;

/// What waiting nodes do.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) begun: Arc<AtomicUsize>,
    pub(crate) told_to_stop: Arc<AtomicUsize>,
    /// Partial outputs that `flood` has sent.
    pub(crate) sent: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Probe {
    pub(crate) async fn wait_until_begun(&self, executions: usize) {
        until("handlers have begun", || {
            self.begun.load(Ordering::SeqCst) >= executions
        })
        .await;
    }

    pub(crate) async fn wait_until_told_to_stop(&self) {
        until("the handler is told to stop", || {
            self.told_to_stop.load(Ordering::SeqCst) > 0
        })
        .await;
    }

    /// Lets everything through, from now on.
    pub(crate) fn open(&self) {
        self.gate.close();
    }

    /// Waits until the gate is open, or it is told to stop.
    async fn wait(self, context: Context) -> Result<CoreOutputs, NodeError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        tokio::select! {
            _ = self.gate.acquire() => Ok(CoreOutputs::new().with("done", Json::from("yes"))),
            () = context.cancelled() => {
                self.told_to_stop.fetch_add(1, Ordering::SeqCst);
                Ok(CoreOutputs::new())
            }
        }
    }

    /// Sends many partial outputs.
    async fn flood(self, context: Context) -> Result<CoreOutputs, NodeError> {
        let text = "x".repeat(FLOOD_PART_BYTES);
        for part in 0..FLOOD_PARTS {
            let outputs = CoreOutputs::new()
                .with("part", Json::parse(part.to_string()).unwrap())
                .with("text", Json::from(text.as_str()));
            context.partial(outputs).await;
            self.sent.fetch_add(1, Ordering::SeqCst);
        }
        Ok(CoreOutputs::new())
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.expect(what);
}

/// A server, and what its waiting nodes do.
pub(crate) struct Fixture {
    pub(crate) server: RunningServer,
    pub(crate) probe: Probe,
    pub(crate) address: SocketAddr,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}, |builder| builder).await
    }

    pub(crate) async fn start_with(
        configure: impl FnOnce(&mut HttpConfig),
        build: impl FnOnce(NodeServerBuilder) -> NodeServerBuilder,
    ) -> Self {
        let probe = Probe {
            begun: Arc::default(),
            told_to_stop: Arc::default(),
            sent: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        };
        let mut config = HttpConfig::new().token(HttpToken::new(TOKEN));
        configure(&mut config);
        let waiting = |definition: NodeDefinition| {
            let probe = probe.clone();
            node_fn(definition, move |context| probe.clone().wait(context))
        };
        let flooding = probe.clone();
        let flood = NodeDefinition::builder("flood").build().unwrap();
        let narrow = NodeDefinition::builder("narrow").concurrency(1).queue(1);
        let builder = NodeServer::builder()
            .node(echo())
            .node(progress())
            .node(about())
            .node(panic())
            .node(reverse())
            .node(node_fn(flood, move |context| {
                flooding.clone().flood(context)
            }))
            .node(waiting(
                NodeDefinition::builder("wait/here").build().unwrap(),
            ))
            .node(waiting(narrow.build().unwrap()))
            .http(config);
        let server = build(builder).build().unwrap().start().await.unwrap();
        let address = server.http_address().unwrap();
        Self {
            server,
            probe,
            address,
        }
    }

    pub(crate) fn executor(&self) -> &Executor {
        self.server.executor()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request to `execute`, with the token.
    pub(crate) fn execute(node: &str) -> request::Builder {
        let request = Request::post(format!("/nodes/{node}/execute"));
        request.header("Authorization", format!("Bearer {TOKEN}"))
    }

    pub(crate) fn get(path: &str) -> request::Builder {
        Request::get(path).header("Authorization", format!("Bearer {TOKEN}"))
    }

    /// Sends a request over a connection of its own.
    pub(crate) async fn send(&self, head: request::Builder, body: impl Into<Bytes>) -> Talk {
        Talk::begin(self.address, head, body.into()).await
    }

    /// The status and the JSON of the answer.
    pub(crate) async fn ask(&self, head: request::Builder, body: impl Into<Bytes>) -> (u16, Value) {
        self.send(head, body).await.json().await
    }

    /// Executes with a body of JSON.
    pub(crate) async fn call(&self, node: &str, body: &str) -> (u16, Value) {
        self.ask(Self::execute(node), body.to_owned()).await
    }

    /// Stops the server; everything was counted exactly once.
    pub(crate) async fn stop(self) {
        let executor = self.server.executor().clone();
        let stopped = tokio::time::timeout(PATIENCE, self.server.stop()).await;
        stopped.expect("the server stops");
        let counters = executor.counters();
        assert!(counters.is_balanced(), "{counters:?}");
        assert_eq!(counters.in_flight, 0);
    }
}

/// A request on its way, over a connection of its own. Dropping it closes the connection.
pub(crate) struct Talk {
    answer: JoinHandle<hyper::Result<Response<Incoming>>>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Talk {
    async fn begin(address: SocketAddr, head: request::Builder, body: Bytes) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let request = head.header("Host", address.to_string());
        let request = request.body(Full::new(body)).unwrap();
        Self {
            connection: tokio::spawn(connection),
            answer: tokio::spawn(async move { sender.send_request(request).await }),
        }
    }

    pub(crate) async fn answer(&mut self) -> Response<Incoming> {
        let answer = tokio::time::timeout(PATIENCE, &mut self.answer).await;
        answer.expect("an answer comes").unwrap().unwrap()
    }

    /// The answer's head and all of its body.
    pub(crate) async fn whole(mut self) -> (hyper::http::response::Parts, Bytes) {
        let (head, body) = self.answer().await.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await;
        (head, body.expect("the body ends").unwrap().to_bytes())
    }

    pub(crate) async fn json(self) -> (u16, Value) {
        let (head, body) = self.whole().await;
        assert_eq!(head.headers["content-type"], "application/json");
        (head.status.as_u16(), serde_json::from_slice(&body).unwrap())
    }

    /// The events of the answer.
    pub(crate) async fn events(mut self) -> Events {
        let answer = self.answer().await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Events {
            body: answer.into_body(),
            text: String::new(),
            _talk: self,
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.answer.abort();
        self.connection.abort();
    }
}

/// Server-sent events as they arrive. Dropping them closes the connection.
pub(crate) struct Events {
    body: Incoming,
    text: String,
    _talk: Talk,
}

impl Events {
    /// The next event and its data; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                let event = parse(frame);
                self.text = rest.to_owned();
                if event.is_some() {
                    return event;
                }
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let data = frame
                .expect("an event comes")?
                .unwrap()
                .into_data()
                .unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    pub(crate) async fn all(mut self) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

/// `None` for a comment.
pub(crate) fn parse(frame: &str) -> Option<(String, Value)> {
    let field = |name: &str| {
        let lines = frame.lines().filter_map(|line| line.strip_prefix(name));
        lines.collect::<Vec<_>>().join("\n")
    };
    let data = field("data: ");
    (!data.is_empty()).then(|| (field("event: "), serde_json::from_str(&data).unwrap()))
}
