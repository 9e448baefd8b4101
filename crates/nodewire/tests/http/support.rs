//! A server with nodes to try, and a bare client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, http::request};
use hyper_util::rt::TokioIo;
use nodewire::http::{HttpConfig, HttpToken};
use nodewire::prelude::*;
use nodewire::{
    Executor, Node, NodeDefinition, NodeServerBuilder, Outputs as CoreOutputs, RunningServer,
    node_fn,
};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

pub(crate) use crate::nodes::{PATIENCE, Probe, stop, until};

pub(crate) const TOKEN: &str = "a-token-for-tests";

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

/// Sends many partial outputs, and counts them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flood {
    pub(crate) sent: Arc<AtomicUsize>,
}

impl Flood {
    fn node(&self) -> impl Node + use<> {
        let flood = self.clone();
        let definition = NodeDefinition::builder("flood").build().unwrap();
        node_fn(definition, move |context| flood.clone().run(context))
    }

    async fn run(self, context: Context) -> Result<CoreOutputs, NodeError> {
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

/// A server, and what its waiting nodes do.
pub(crate) struct Fixture {
    pub(crate) server: RunningServer,
    pub(crate) probe: Probe,
    pub(crate) flood: Flood,
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
        let (builder, probe) = Probe::builder();
        let flood = Flood::default();
        let mut config = HttpConfig::new().access(HttpToken::new(TOKEN));
        configure(&mut config);
        let builder = builder.node(reverse()).node(flood.node()).http(config);
        let server = build(builder).build().unwrap().start().await.unwrap();
        let address = server.http_address().unwrap();
        Self {
            server,
            probe,
            flood,
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

    pub(crate) async fn wait_until_told_to_stop(&self) {
        until("the handler is told to stop", || {
            self.probe.told_to_stop.load(Ordering::SeqCst) > 0
        })
        .await;
    }

    /// Stops the server; everything was counted exactly once.
    pub(crate) async fn stop(self) {
        stop(self.server).await;
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
