//! A server with nodes to try, and a bare client of JSON-RPC over HTTP.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};

use ::bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, http::request};
use hyper_util::rt::TokioIo;
use nodewire::http::HttpToken;
use nodewire::mcp::{McpConfig, McpOptions};
use nodewire::prelude::*;
use nodewire::{Executor, NodeServerBuilder, RunningServer};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

pub(crate) use crate::nodes::{PATIENCE, Probe, stop, until};

pub(crate) const TOKEN: &str = "a-token-for-tests";

/// The last version with sessions, and the first without.
pub(crate) const WITH_SESSIONS: &str = "2025-11-25";
pub(crate) const WITHOUT_SESSIONS: &str = "2026-07-28";

/// Bytes in reverse.
#[node(output = "data")]
async fn reverse(data: Bytes) -> Bytes {
    data.iter().rev().copied().collect()
}

/// The nodes to try, with what is here.
pub(crate) fn builder() -> (NodeServerBuilder, Probe) {
    let (builder, probe) = Probe::builder();
    (builder.node(reverse()), probe)
}

/// A server, and what its waiting nodes do.
pub(crate) struct Fixture {
    pub(crate) server: RunningServer,
    pub(crate) probe: Probe,
    pub(crate) address: SocketAddr,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}, |_| {}, |builder| builder).await
    }

    pub(crate) async fn start_with(
        configure: impl FnOnce(&mut McpConfig),
        set: impl FnOnce(&mut McpOptions),
        build: impl FnOnce(NodeServerBuilder) -> NodeServerBuilder,
    ) -> Self {
        let (builder, probe) = builder();
        let mut config = McpConfig::new().access(HttpToken::new(TOKEN));
        configure(&mut config);
        let mut options = McpOptions::default();
        set(&mut options);
        let builder = build(builder.mcp(config).mcp_options(options));
        let server = builder.build().unwrap().start().await.unwrap();
        let address = server.mcp_address().unwrap();
        Self {
            server,
            probe,
            address,
        }
    }

    pub(crate) fn executor(&self) -> &Executor {
        self.server.executor()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// A session of the last version that has them.
    pub(crate) async fn session(&self) -> Session {
        let answer = self.initialize().await;
        let id = answer.headers()["mcp-session-id"].to_str().unwrap();
        let session = Session {
            address: self.address,
            id: Some(id.to_owned()),
        };
        let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(
            session.post(&initialized).await.answer().await.status(),
            202
        );
        session
    }

    pub(crate) async fn initialize(&self) -> Response<Incoming> {
        let params = json!({
            "protocolVersion": WITH_SESSIONS,
            "capabilities": {},
            "clientInfo": {"name": "bare", "version": "1"},
        });
        let request = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let mut talk = Talk::begin(self.address, head(), request.to_string()).await;
        talk.answer().await
    }

    /// A client of the first version without sessions.
    pub(crate) fn sessionless(&self) -> Session {
        Session {
            address: self.address,
            id: None,
        }
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

/// A request with the token and what MCP wants besides.
pub(crate) fn head() -> request::Builder {
    Request::post("/mcp")
        .header("Authorization", format!("Bearer {TOKEN}"))
        .header("Content-Type", "application/json")
        .header("Accept", "application/json, text/event-stream")
}

/// A client, with a session or of a version without.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) address: SocketAddr,
    pub(crate) id: Option<String>,
}

static NEXT_ID: AtomicI64 = AtomicI64::new(1);

impl Session {
    /// A request of this client, without its body.
    pub(crate) fn head(&self, message: &Value) -> request::Builder {
        match &self.id {
            Some(id) => head()
                .header("Mcp-Session-Id", id)
                .header("Mcp-Protocol-Version", WITH_SESSIONS),
            None => {
                let method = message["method"].as_str().unwrap();
                let head = head()
                    .header("Mcp-Protocol-Version", WITHOUT_SESSIONS)
                    .header("Mcp-Method", method);
                match message["params"]["name"].as_str() {
                    Some(name) => head.header("Mcp-Name", name),
                    None => head,
                }
            }
        }
    }

    /// Sends a message over a connection of its own.
    pub(crate) async fn post(&self, message: &Value) -> Talk {
        let head = self.head(message);
        Talk::begin(self.address, head, message.to_string()).await
    }

    /// Sends a request, and gives its id.
    pub(crate) async fn request(&self, method: &str, mut params: Value) -> (i64, Talk) {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        if self.id.is_none() {
            let meta = &mut params["_meta"];
            meta["io.modelcontextprotocol/protocolVersion"] = json!(WITHOUT_SESSIONS);
            meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "bare", "version": "1"});
            meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
        }
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        (id, self.post(&message).await)
    }

    /// The last message about a request.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        let (_, talk) = self.request(method, params).await;
        talk.messages().await.pop().unwrap()
    }

    /// Begins a call of a tool.
    pub(crate) async fn begin(&self, tool: &str, arguments: Value, meta: Value) -> (i64, Talk) {
        let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
        self.request("tools/call", params).await
    }

    /// The result of a tool.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        let (_, talk) = self.begin(tool, arguments, json!({})).await;
        talk.result().await
    }

    pub(crate) async fn cancel(&self, id: i64) {
        let params = json!({"requestId": id, "reason": "changed my mind"});
        let message = json!({
            "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params,
        });
        let answer = self.post(&message).await.answer().await.status();
        assert_eq!(answer, 202);
    }
}

/// A request on its way, over a connection of its own. Dropping it closes the connection.
pub(crate) struct Talk {
    answer: JoinHandle<hyper::Result<Response<Incoming>>>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Talk {
    pub(crate) async fn begin(
        address: SocketAddr,
        head: request::Builder,
        body: impl Into<Bytes>,
    ) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let has_host = head
            .headers_ref()
            .is_some_and(|headers| headers.contains_key("host"));
        let head = if has_host {
            head
        } else {
            head.header("Host", address.to_string())
        };
        let request = head.body(Full::new(body.into())).unwrap();
        Self {
            connection: tokio::spawn(connection),
            answer: tokio::spawn(async move { sender.send_request(request).await }),
        }
    }

    pub(crate) async fn answer(&mut self) -> Response<Incoming> {
        let answer = tokio::time::timeout(PATIENCE, &mut self.answer).await;
        answer.expect("an answer comes").unwrap().unwrap()
    }

    /// The status, and the whole body as text.
    pub(crate) async fn text(mut self) -> (u16, String) {
        let (head, body) = self.answer().await.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await;
        let body = body.expect("the body ends").unwrap().to_bytes();
        (
            head.status.as_u16(),
            String::from_utf8(body.into()).unwrap(),
        )
    }

    /// The status, and the body as JSON.
    pub(crate) async fn json(self) -> (u16, Value) {
        let (status, text) = self.text().await;
        let json = serde_json::from_str(&text);
        (status, json.unwrap_or_else(|_| panic!("{status}: {text}")))
    }

    /// All messages of the answer, which is JSON or a stream.
    pub(crate) async fn messages(mut self) -> Vec<Value> {
        let answer = self.answer().await;
        assert_eq!(answer.status(), 200);
        if answer.headers()["content-type"] == "application/json" {
            let body = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await;
            let body = body.expect("the body ends").unwrap().to_bytes();
            return vec![serde_json::from_slice(&body).unwrap()];
        }
        let mut events = Events::new(answer.into_body());
        let mut all = Vec::new();
        while let Some(message) = events.next().await {
            all.push(message);
        }
        all
    }

    /// The result of a call that is answered.
    pub(crate) async fn result(self) -> Value {
        let message = self.messages().await.pop().expect("an answer");
        assert!(message.get("result").is_some(), "{message}");
        message["result"].clone()
    }

    /// The error of a request that is answered with one.
    pub(crate) async fn error(self) -> Value {
        let message = self.messages().await.pop().expect("an answer");
        assert!(message.get("error").is_some(), "{message}");
        message["error"].clone()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.answer.abort();
        self.connection.abort();
    }
}

/// Messages of a stream, as they arrive.
pub(crate) struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    pub(crate) fn new(body: Incoming) -> Self {
        Self {
            body,
            text: String::new(),
        }
    }

    /// The next message; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                let lines = frame.lines().filter_map(|line| line.strip_prefix("data:"));
                let data = lines.collect::<Vec<_>>().join("\n");
                self.text = rest.to_owned();
                if !data.trim().is_empty() {
                    return Some(serde_json::from_str(&data).unwrap());
                }
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let data = frame.expect("an event comes")?.unwrap().into_data();
            self.text
                .push_str(std::str::from_utf8(&data.unwrap()).unwrap());
        }
    }
}
