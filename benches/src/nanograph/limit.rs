//! The bare limit: a WebSocket server that parses and answers the same JSON, and does nothing else.

use std::borrow::Cow;

use futures_util::{FutureExt, SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, rename = "instanceId")]
    instance_id: Cow<'a, str>,
    #[serde(borrow)]
    payload: RequestPayload<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestPayload<'a> {
    node_id: u64,
    inputs: Ports<'a>,
    #[serde(borrow)]
    graph_node: GraphNode<'a>,
}

#[derive(Serialize, Deserialize)]
struct Ports<'a> {
    #[serde(borrow)]
    text: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct GraphNode<'a> {
    #[serde(borrow)]
    parameters: Vec<Parameter<'a>>,
}

#[derive(Deserialize)]
struct Parameter<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

#[derive(Serialize)]
struct Reply<'a> {
    r#type: &'static str,
    #[serde(rename = "serverUid")]
    server_uid: &'static str,
    #[serde(rename = "instanceId")]
    instance_id: &'a str,
    payload: ReplyPayload<'a>,
}

#[derive(Serialize)]
struct ReplyPayload<'a> {
    #[serde(rename = "nodeId")]
    node_id: u64,
    status: Status<'a>,
}

#[derive(Serialize)]
struct Status<'a> {
    r#type: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Ports<'a>>,
}

/// Serves one connection after the other until the process is killed.
///
/// # Errors
/// It cannot listen.
pub async fn serve(announce: impl FnOnce(&str)) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&listener.local_addr()?.to_string());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut socket = tokio_tungstenite::accept_async(stream).await?;
        // A client that goes away is not an error here.
        let _ = answer(&mut socket).await;
    }
}

async fn answer(socket: &mut WebSocketStream<TcpStream>) -> anyhow::Result<()> {
    while let Some(message) = socket.next().await {
        answer_one(socket, message?).await?;
        // Whatever has arrived meanwhile is answered in the same batch.
        while let Some(Some(message)) = socket.next().now_or_never() {
            answer_one(socket, message?).await?;
        }
        socket.flush().await?;
    }
    Ok(())
}

async fn answer_one(
    socket: &mut WebSocketStream<TcpStream>,
    message: Message,
) -> anyhow::Result<()> {
    let Message::Text(text) = message else {
        return Ok(());
    };
    let request: Request<'_> = serde_json::from_str(&text)?;
    let prefix = request
        .payload
        .graph_node
        .parameters
        .iter()
        .find(|parameter| parameter.name == "prefix");
    let prefix = prefix.map_or("", |parameter| &parameter.value);
    let echoed = request
        .payload
        .inputs
        .text
        .iter()
        .map(|text| Cow::Owned(format!("{prefix}{text}")))
        .collect();
    let running = Status {
        r#type: "running",
        message: "Starting execution...",
        outputs: None,
    };
    let outputs = Some(Ports { text: echoed });
    let complete = Status {
        r#type: "complete",
        message: "Execution finished.",
        outputs,
    };
    for status in [running, complete] {
        let reply = Reply {
            r#type: "node_status",
            server_uid: "bench",
            instance_id: &request.instance_id,
            payload: ReplyPayload {
                node_id: request.payload.node_id,
                status,
            },
        };
        socket
            .feed(Message::text(serde_json::to_string(&reply)?))
            .await?;
    }
    Ok(())
}
