//! The Nanograph node-server protocol: messages, server, client, assets.
//!
//! A *node server* hosts nodes; an orchestrator connects to it over WebSocket, learns what nodes there are, asks for
//! executions and receives their statuses. This crate is a complete SDK of that wire, for both ends:
//!
//! - [`message`]: the messages as types, read leniently, written as the known peers write them;
//! - [`server`]: a node server around any [`server::Backend`];
//! - [`client`]: connects to any node server;
//! - [`assets`]: calls to the asset server that node servers share;
//! - [`config`] reads `nanoserver.json`.
//!
//! ```
//! use nanograph::message::{ServerMessage, StatusKind};
//!
//! let text = r#"{"type": "node_status", "serverUid": "s", "instanceId": "run-1",
//!     "payload": {"nodeId": 1, "status": {"type": "complete", "outputs": {"x": [NaN]}}}}"#;
//! let ServerMessage::NodeStatus { status, .. } = ServerMessage::parse(text)? else { unreachable!() };
//! assert_eq!(status.kind, StatusKind::Complete);
//! assert_eq!(status.outputs.unwrap().as_str(), r#"{"x": [NaN]}"#);
//! # Ok::<(), nanograph::message::MessageError>(())
//! ```
//!
//! Invariants: values that are only passed on (inputs, outputs, parameters, node ids) keep their text to the letter;
//! every queue, size and wait has a bound; whatever is refused or dropped is counted. This crate reads no environment,
//! prints nothing and installs no TLS provider: programs do.

#![forbid(unsafe_code)]

pub mod assets;
pub mod client;
pub mod config;
mod http_client;
pub mod message;
pub mod server;
