//! The load: one request after the other, by the same client for both.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use nnrp::client::{ConnectOptions, Session, Submit};
use nnrp::{DialOptions, DialPolicy, Dialer, Endpoint};
use nnrp_wire::FrameSubmit;
use nnrp_wire::body::TypedPayload;
use nnrp_wire::session::FrameKey;
use nodewire::capability::Wire;
use omq_tokio::{Message as ZmqMessage, Options, Socket, SocketType};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::Kind;

/// What is measured only after this.
const WARM_UP: Duration = Duration::from_millis(150);

const NANOGRAPH_REQUEST: &str = r#"{"type": "request_execution", "serverUid": "bench", "instanceId": "bench.1", "payload": {"nodeId": 1, "nodeUid": "nothing", "inputs": {}, "graphNode": {"id": 1, "uid": "nothing", "parameters": []}}}"#;
const AUTOTRAINER_REQUEST: &str =
    r#"{"command": 99999, "custom_command": -1, "nonce": 7, "data": {"node": "nothing"}}"#;
const MCP_REQUEST: &str = r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "nothing", "arguments": {}, "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"}, "io.modelcontextprotocol/clientCapabilities": {}}}}"#;
const NNRP_REQUEST: &str = r#"{"node": "nothing"}"#;

/// What to ask, where, and for how long.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Load {
    /// The wire's name.
    pub wire: String,
    /// What answers.
    pub kind: Kind,
    /// Where.
    pub address: String,
    /// How long to measure.
    pub time: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Requests answered while measuring.
    pub requests: usize,
    /// Median of the times from request to answer, in µs.
    pub p50_us: f64,
    /// The time that one in a hundred exceeds, in µs.
    pub p99_us: f64,
}

impl Load {
    /// Asks for as long as it says.
    ///
    /// # Errors
    /// There is no connection, or an answer is wrong.
    pub async fn run(&self) -> anyhow::Result<Outcome> {
        let mut client = Client::connect(self).await?;
        let begin = Instant::now();
        while begin.elapsed() < WARM_UP {
            client.ask().await?;
        }
        let (begin, mut times) = (Instant::now(), Vec::new());
        while begin.elapsed() < self.time {
            let asked = Instant::now();
            client.ask().await?;
            times.push(asked.elapsed());
        }
        times.sort_unstable();
        let at = |hundredths: usize| {
            let time = times.get(times.len().saturating_sub(1) * hundredths / 100);
            time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
        };
        Ok(Outcome {
            requests: times.len(),
            p50_us: at(50),
            p99_us: at(99),
        })
    }
}

enum Client {
    Nanograph {
        socket: Box<WebSocketStream<MaybeTlsStream<TcpStream>>>,
        kind: Kind,
    },
    Nats {
        client: async_nats::Client,
        kind: Kind,
    },
    Autotrainer(Socket, Kind),
    Nnrp(Session),
    Http {
        sender: SendRequest<Full<Bytes>>,
        request: Request<Full<Bytes>>,
    },
}

impl Client {
    async fn connect(load: &Load) -> anyhow::Result<Self> {
        let (kind, address) = (load.kind, &load.address);
        let wire = Wire::ALL.into_iter().find(|wire| wire.name() == load.wire);
        Ok(match wire.context("there is no such wire")? {
            Wire::Nanograph => websocket(address, kind).await?,
            Wire::Nats => Self::Nats {
                client: async_nats::connect(address).await?,
                kind,
            },
            Wire::Autotrainer => {
                let socket = Socket::new(SocketType::Req, Options::default());
                socket.connect(address.as_str()).await?;
                Self::Autotrainer(socket, kind)
            }
            Wire::Nnrp => {
                let address: SocketAddr = address.parse()?;
                let endpoint = Endpoint::plain(&address.ip().to_string(), address.port())?;
                let options = ConnectOptions::default().with_policy(DialPolicy::ForceTcp);
                let dialer = Dialer::new(DialOptions::default());
                Self::Nnrp(Session::connect(&dialer, &endpoint, options).await?)
            }
            wire @ (Wire::Http | Wire::Mcp) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                let request = if wire == Wire::Mcp {
                    mcp_request(address)?
                } else {
                    http_request(address)?
                };
                Self::Http { sender, request }
            }
        })
    }

    /// Until the answer is there.
    async fn ask(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Nanograph { socket, kind } => {
                socket.send(Message::text(NANOGRAPH_REQUEST)).await?;
                // That it runs, and that it has ended.
                let answers = if *kind == Kind::Node { 2 } else { 1 };
                let mut last = socket.next().await.context("the end")??;
                if answers == 2 {
                    last = socket.next().await.context("the end")??;
                    ensure!(last.to_text()?.contains("\"complete\""), "{last}");
                }
                ensure!(last.is_text(), "{last}");
                Ok(())
            }
            Self::Nats { client, kind } => {
                let answer = client.request(kind.subject(), "{}".into()).await?;
                ensure!(*kind == Kind::Bare || answer.payload.starts_with(b"{\"outputs\""));
                Ok(())
            }
            Self::Autotrainer(socket, kind) => {
                socket.send(ZmqMessage::single(AUTOTRAINER_REQUEST)).await?;
                let answer = socket.recv().await?;
                let answer = answer.iter().next().context("a frame")?;
                let text = String::from_utf8_lossy(answer.as_ref());
                ensure!(
                    *kind == Kind::Bare || text.contains("\"outputs\""),
                    "{text}"
                );
                Ok(())
            }
            Self::Nnrp(session) => {
                let event = TypedPayload::structured_event(NNRP_REQUEST);
                let message = FrameSubmit::builder().payload(event).build()?;
                let key = FrameKey::new(session.next_frame_id());
                session.call(Submit::new(key, message)).await?;
                Ok(())
            }
            Self::Http { sender, request } => http(sender, request.clone()).await,
        }
    }
}

async fn websocket(address: &str, kind: Kind) -> anyhow::Result<Client> {
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/")).await?;
    match socket.get_mut() {
        MaybeTlsStream::Plain(stream) => stream.set_nodelay(true)?,
        MaybeTlsStream::Rustls(_) | _ => bail!("a connection in plain text"),
    }
    if kind == Kind::Node {
        socket.next().await.context("a handshake")??;
    }
    let socket = Box::new(socket);
    Ok(Client::Nanograph { socket, kind })
}

fn http_request(host: &str) -> hyper::http::Result<Request<Full<Bytes>>> {
    Request::post("/nodes/nothing/execute")
        .header("Host", host)
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from_static(b"{}")))
}

/// Without a session.
fn mcp_request(host: &str) -> hyper::http::Result<Request<Full<Bytes>>> {
    Request::post("/mcp")
        .header("Host", host)
        .header("Content-Type", "application/json")
        .header("Accept", "application/json, text/event-stream")
        .header("Mcp-Protocol-Version", "2026-07-28")
        .header("Mcp-Method", "tools/call")
        .header("Mcp-Name", "nothing")
        .body(Full::new(Bytes::from_static(MCP_REQUEST.as_bytes())))
}

async fn http(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<()> {
    sender.ready().await?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&body);
    let has_failed = text.contains("\"error\"") || text.contains("\"isError\":true");
    let is_well = head.status == StatusCode::OK && !has_failed;
    ensure!(is_well, "{}: {text}", head.status);
    Ok(())
}
