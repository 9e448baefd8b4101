//! Bare echoes: what comes is sent back, by the library that the wire's crate is built on. For MCP, whose SDK reads and
//! writes all messages, it is a tool of the SDK that does nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use nnrp::server::{ServeOptions, Server, ServerOptions, Submitted};
use nnrp::{Listener, ListenerOptions};
use nnrp_wire::build::ResultWorth;
use nnrp_wire::{ResultPush, SubmitBody};
use nodewire::capability::Wire;
use nodewire_testkit::free_port;
use omq_tokio::{Options, Socket, SocketType};
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Addresses, Kind};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Serves an echo on each transport until the process is killed.
///
/// # Errors
/// One cannot start, or ends.
pub async fn serve(broker_url: &str, announce: impl FnOnce(&str)) -> anyhow::Result<()> {
    let (websocket, http) = (TcpListener::bind(ANY).await?, TcpListener::bind(ANY).await?);
    let mcp = TcpListener::bind(ANY).await?;
    let subscriber = async_nats::connect(broker_url).await?;
    let requests = subscriber.subscribe(Kind::Bare.subject()).await?;
    subscriber.flush().await?;
    let replier = Socket::new(SocketType::Rep, Options::default());
    let replier_address = format!("tcp://127.0.0.1:{}", free_port()?);
    replier.bind(replier_address.as_str()).await?;
    let mut options = ListenerOptions::plain(ANY);
    options.quic = false;
    let listener = Listener::bind(options).await?;
    let addresses = Addresses::new([
        (Wire::Nanograph, websocket.local_addr()?.to_string()),
        (Wire::Nats, broker_url.to_owned()),
        (Wire::Autotrainer, replier_address),
        (Wire::Nnrp, listener.local_addr().to_string()),
        (Wire::Http, http.local_addr()?.to_string()),
        (Wire::Mcp, mcp.local_addr()?.to_string()),
    ]);
    addresses.announce(announce)?;
    tokio::spawn(echo_frames(listener));
    // Tasks, as those of the bindings: what the main thread runs is woken from another one each time.
    let mut echoes = JoinSet::new();
    echoes.spawn(accept(websocket, echo_websocket));
    echoes.spawn(accept(http, echo_http));
    echoes.spawn(accept(mcp, call_tool));
    echoes.spawn(echo_nats(subscriber, requests));
    echoes.spawn(echo_zeromq(replier));
    while let Some(ended) = echoes.join_next().await {
        ended??;
    }
    Ok(())
}

/// A task for each connection, whose end is no error of ours.
async fn accept<F>(
    listener: TcpListener,
    echo: impl Fn(TcpStream) -> F + Send + 'static,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(echo(stream));
    }
}

async fn echo_websocket(stream: TcpStream) -> anyhow::Result<()> {
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        socket.send(message?).await?;
    }
    Ok(())
}

async fn echo_http(stream: TcpStream) -> anyhow::Result<()> {
    let echo = service_fn(|request: Request<Incoming>| async {
        let body = request.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::new(body)))
    });
    let connection = hyper::server::conn::http1::Builder::new();
    Ok(connection
        .serve_connection(TokioIo::new(stream), echo)
        .await?)
}

/// A tool without arguments, which has nothing to say.
struct Nothing;

impl ServerHandler for Nothing {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        _request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(Vec::new()).into())
    }
}

async fn call_tool(stream: TcpStream) -> anyhow::Result<()> {
    let sessions = Arc::<LocalSessionManager>::default();
    let config = StreamableHttpServerConfig::default().with_json_response(true);
    let service = StreamableHttpService::new(|| Ok(Nothing), sessions, config);
    let connection = hyper::server::conn::http1::Builder::new();
    Ok(connection
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .await?)
}

async fn echo_nats(
    client: async_nats::Client,
    mut requests: async_nats::Subscriber,
) -> anyhow::Result<()> {
    while let Some(request) = requests.next().await {
        let reply = request.reply.context("a request has a reply subject")?;
        client.publish(reply, request.payload).await?;
    }
    Ok(())
}

async fn echo_zeromq(socket: Socket) -> anyhow::Result<()> {
    loop {
        let message = socket.recv().await?;
        socket.send(message).await?;
    }
}

async fn echo_frames(listener: Listener) {
    let server = Server::new(ServerOptions::default());
    server
        .serve(&listener, echo_frame, ServeOptions::default())
        .await;
}

async fn echo_frame(frame: Submitted) {
    let SubmitBody::Composed(composed) = &frame.message.body else {
        return;
    };
    let Some(payload) = composed.body().typed.iter().next() else {
        return;
    };
    // Where it fails, the load tells.
    let result = ResultPush::builder(ResultWorth::COMPLETE).payload(payload);
    if let Ok(result) = result.build() {
        let _ = frame.answer.complete(result);
    }
}
