//! MCP, over streamable HTTP without sessions: each call has a connection of its own, and its end cancels.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};

use super::http::Call;
use super::{End, text};

/// The version of the protocol that has no sessions.
const VERSION: &str = "2026-07-28";

#[derive(Debug)]
pub(super) struct Caller {
    address: SocketAddr,
    token: String,
}

impl Caller {
    pub(super) fn new(address: &Value) -> anyhow::Result<Self> {
        Ok(Self {
            address: text(address, "address").parse()?,
            token: text(address, "token").to_owned(),
        })
    }

    pub(super) fn begin(&self, node: &str, inputs: &Value) -> Call {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientInfo": {"name": "conformance", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let params = json!({"name": node, "arguments": inputs, "_meta": meta});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let request = Request::post("/mcp")
            .header("Host", self.address.to_string())
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream")
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Mcp-Protocol-Version", VERSION)
            .header("Mcp-Method", "tools/call")
            .header("Mcp-Name", node)
            .body(Full::new(Bytes::from(message.to_string())));
        Call::begin(self.address, request, ended)
    }
}

/// The last message, JSON or an event, is the answer.
fn ended(status: StatusCode, body: &Bytes) -> End {
    let text = String::from_utf8_lossy(body);
    let mut events = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let last = events.next_back().unwrap_or(&text);
    let message: Value = serde_json::from_str(last.trim()).unwrap_or_default();
    match (&message["result"], &message["error"]) {
        (Value::Object(result), _) if result.get("isError") != Some(&Value::Bool(true)) => {
            End::Completed
        }
        _ => End::Told(format!("{status}: {last}")),
    }
}
