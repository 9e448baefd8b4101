//! A call over each wire, in a trace: with nothing but the wire's own client.

use std::net::SocketAddr;

use autotrainer_api::{Command, Remote, RemoteOptions, ResultCode};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::http::request;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use nanograph::client::{Client, ClientConfig};
use nanograph::message::{ExecutionRequest, NodeId};
use nnrp::client::{ConnectOptions, FrameItem, Session, Submit};
use nnrp::{DialOptions, DialPolicy, Dialer, Endpoint};
use nnrp_wire::FrameSubmit;
use nnrp_wire::body::TypedPayload;
use nnrp_wire::session::{FrameKey, FrameOutcome};
use nodewire::capability::Wire;
use nodewire::telemetry::TraceParent;
use nodewire::{Json, RunningServer};
use serde_json::json;
use tokio::net::TcpStream;

use crate::PATIENCE;

/// Calls the node `trace` in this trace, and waits for its end, which must be good.
pub(crate) async fn ask(
    wire: Wire,
    server: &RunningServer,
    broker_url: &str,
    parent: &TraceParent,
) {
    let asked = async {
        match wire {
            Wire::Nanograph => over_nanograph(server, parent).await,
            Wire::Nats => over_nats(broker_url, parent).await,
            Wire::Autotrainer => over_autotrainer(server, parent).await,
            Wire::Nnrp => over_nnrp(server, parent).await,
            Wire::Http => {
                over_http(server.http_address().unwrap(), "trace", Some(parent)).await;
            }
            Wire::Mcp => panic!("MCP has tests of its own"),
        }
    };
    let asked = tokio::time::timeout(PATIENCE, Box::pin(asked)).await;
    asked.unwrap_or_else(|_| panic!("a call over {wire} has no end"));
}

/// Calls a node, in this trace if there is one.
pub(crate) async fn over_http(address: SocketAddr, node: &str, parent: Option<&TraceParent>) {
    let mut head = Request::post(format!("/nodes/{node}/execute"));
    if let Some(parent) = parent {
        head = head.header("traceparent", parent.to_string());
    }
    let (status, body) = within(send(address, head, "{}")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
}

/// One request over a connection of its own.
pub(crate) async fn send(
    address: SocketAddr,
    head: request::Builder,
    body: impl Into<Bytes>,
) -> (StatusCode, String) {
    let head = head.header("Host", address.to_string());
    let head = head.header("Content-Type", "application/json");
    let request = head.body(Full::new(body.into())).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    connection.abort();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.expect("an end")
}

async fn over_nanograph(server: &RunningServer, parent: &TraceParent) {
    let url = format!("ws://{}/", server.nanograph_address().unwrap());
    let client = Client::connect(&url, ClientConfig::default())
        .await
        .unwrap();
    let graph_node = Json::from(json!({"id": 1, "uid": "trace", "parameters": []}));
    let inputs = Json::from(json!({}));
    let mut request = ExecutionRequest::new("traced", NodeId::from(1), "trace", inputs, graph_node);
    request.trace_parent = Some(parent.to_string().into());
    client
        .execute(request)
        .await
        .unwrap()
        .outcome()
        .await
        .unwrap();
}

async fn over_nats(broker_url: &str, parent: &TraceParent) {
    let client = async_nats::connect(broker_url).await.unwrap();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("traceparent", parent.to_string());
    let request = async_nats::Request::new()
        .headers(headers)
        .payload(r#"{"node": "trace"}"#.into())
        .timeout(Some(PATIENCE));
    let answer = client
        .send_request("traced.$execute", request)
        .await
        .unwrap();
    let headers = answer.headers.unwrap_or_default();
    assert!(headers.get("Nats-Service-Error").is_none(), "{headers:?}");
}

async fn over_autotrainer(server: &RunningServer, parent: &TraceParent) {
    let address = server.autotrainer_address().unwrap();
    let (events, commands) = (address.events.first(), address.commands.first());
    let [events, commands] = [events, commands].map(|it| format!("tcp://{}", it.unwrap()));
    let mut options = RemoteOptions {
        timeout: PATIENCE,
        event_channel_wait: PATIENCE,
        ..RemoteOptions::endpoints(events, commands)
    };
    // Client and server share the processors, which may be busy for longer than a heartbeat allows.
    options.socket_options.heartbeats = None;
    let remote = Remote::connect(options).await.unwrap();
    // A result may be published before ZeroMQ has told the service that it is wanted, and is then missed. Who hears
    // heartbeats hears results.
    remote.wait_for_heartbeat(PATIENCE).await.unwrap();
    let data = json!({"node": "trace", "traceparent": parent.to_string()});
    let command = remote
        .command(Command::UserDefined)
        .verbatim_data(Json::from(data));
    let mut answered = command.send().await.unwrap();
    let pending = answered.pending.as_mut().expect("it runs");
    let result = pending.result(PATIENCE).await.unwrap();
    assert_eq!(result.result, ResultCode::Success);
}

async fn over_nnrp(server: &RunningServer, parent: &TraceParent) {
    let port = server.nnrp_address().unwrap().port();
    let endpoint = Endpoint::plain("127.0.0.1", port).unwrap();
    let options = ConnectOptions::default().with_policy(DialPolicy::ForceTcp);
    let dialer = Dialer::new(DialOptions::default());
    let session = Session::connect(&dialer, &endpoint, options).await.unwrap();
    let request = json!({"node": "trace", "traceparent": parent.to_string()}).to_string();
    let event = TypedPayload::structured_event(request);
    let message = FrameSubmit::builder().payload(event).build().unwrap();
    let mut submit = Submit::new(FrameKey::new(session.next_frame_id()), message);
    submit.timeout = Some(PATIENCE);
    let mut stream = session.submit_stream(submit).await.unwrap();
    while let Some(item) = stream.next().await {
        if let FrameItem::End(end) = item {
            assert_eq!(end.outcome, FrameOutcome::Complete);
            return;
        }
    }
    panic!("the frame has no end");
}
