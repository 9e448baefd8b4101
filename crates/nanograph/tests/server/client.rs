//! A WebSocket client that says and expects exact texts.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Generous: nothing is asserted on time, a hanging test should only end.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Client {
    pub(crate) socket: Socket,
}

impl Client {
    pub(crate) async fn connect(address: &str) -> Self {
        let config = WebSocketConfig::default()
            .max_frame_size(None)
            .max_message_size(None);
        let url = format!("ws://{address}/");
        let connected = tokio_tungstenite::connect_async_with_config(url, Some(config), true).await;
        Self {
            socket: connected.expect("the server accepts").0,
        }
    }

    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.socket
            .send(Message::text(text.into()))
            .await
            .expect("connected");
    }

    /// The next message of any kind but pings and pongs; `None` once the connection is gone.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            match timeout(PATIENCE, self.socket.next())
                .await
                .expect("no message came")
            {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("expected a text, got {other:?}"),
        }
    }

    pub(crate) async fn expect(&mut self, text: &str) {
        assert_eq!(self.text().await, text);
    }

    /// Checks that nothing else was waiting: the answer to a stop of nothing comes next.
    pub(crate) async fn expect_silence(&mut self) {
        self.send(r#"{"type": "stop_workflow_instance", "instanceId": "(nothing)"}"#)
            .await;
        self.expect(&ack("(nothing)", 0)).await;
    }

    pub(crate) async fn expect_close(&mut self, code: CloseCode) {
        match self.next().await {
            Some(Message::Close(Some(frame))) => assert_eq!(frame.code, code, "{}", frame.reason),
            other => panic!("expected a close, got {other:?}"),
        }
    }
}

/// A request as the recordings have them.
pub(crate) fn request(instance_id: &str, node_id: &str, uid: &str, inputs: &str) -> String {
    format!(
        r#"{{"type": "request_execution", "serverUid": "trace-server", "instanceId": "{instance_id}", "payload": {{"nodeId": {node_id}, "nodeUid": "{uid}", "inputs": {inputs}, "graphNode": {{"id": {node_id}, "uid": "{uid}", "parameters": []}}}}}}"#
    )
}

pub(crate) fn stop(instance_id: &str) -> String {
    format!(
        r#"{{"type": "stop_workflow_instance", "serverUid": "trace-server", "instanceId": "{instance_id}"}}"#
    )
}

pub(crate) fn ack(instance_id: &str, count: usize) -> String {
    format!(
        r#"{{"type": "ack_stop_workflow", "serverUid": "trace-server", "instanceId": "{instance_id}", "payload": {{"success": true, "message": "Stop workflow request acknowledged. Attempted to abort {count} active node(s) on this server for instance {instance_id}."}}}}"#
    )
}

/// A status message; `status` is the JSON text.
pub(crate) fn status(instance_id: &str, node_id: &str, status: &str) -> String {
    format!(
        r#"{{"type": "node_status", "serverUid": "trace-server", "instanceId": "{instance_id}", "payload": {{"nodeId": {node_id}, "status": {status}}}}}"#
    )
}

pub(crate) fn started(instance_id: &str, node_id: &str) -> String {
    status(
        instance_id,
        node_id,
        r#"{"type": "running", "message": "Starting execution..."}"#,
    )
}

pub(crate) fn complete(instance_id: &str, node_id: &str, outputs: &str) -> String {
    let text = format!(
        r#"{{"type": "complete", "message": "Execution finished.", "outputs": {outputs}}}"#
    );
    status(instance_id, node_id, &text)
}

/// `message` is written as it stands in JSON.
pub(crate) fn error(instance_id: &str, node_id: &str, message: &str) -> String {
    status(
        instance_id,
        node_id,
        &format!(r#"{{"type": "error", "message": "{message}"}}"#),
    )
}

pub(crate) fn cancelled(instance_id: &str, node_id: &str) -> String {
    error(instance_id, node_id, "Execution cancelled")
}
