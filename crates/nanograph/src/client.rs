//! A client of any node server. spec: nanograph 4-6, 13, 15.1
//!
//! [`Client::connect`] opens the one connection that all executions share and keeps it: it pings, answers pings, and
//! connects again after a loss. [`Client::execute`] gives an [`Execution`], a stream of what the server says about it
//! that ends with exactly one [`ExecutionEvent::End`].
//!
//! ```no_run
//! use nanograph::client::{Client, ClientConfig};
//! use nanograph::message::{ExecutionRequest, NodeId};
//! use nodewire_json::Json;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("ws://127.0.0.1:3017", ClientConfig::default()).await?;
//! for node in &client.handshake().node_definitions {
//!     tracing::info!(uid = node.uid, "offered");
//! }
//! let inputs = Json::parse(r#"{"text": ["hi"]}"#)?;
//! let graph_node = Json::parse(r#"{"id": 1, "uid": "echo", "parameters": []}"#)?;
//! let request = ExecutionRequest::new("run-1", NodeId::from(1), "echo", inputs, graph_node);
//! let outputs = client.execute(request).await?.outcome().await?.outputs;
//! # Ok(()) }
//! ```
//!
//! Invariants: an execution ends once, with the server's first final status or with the reason why there is none;
//! accepted executions are always those that ended, were abandoned or are outstanding ([`Client::counters`]). A request
//! over the size that node servers accept is refused before it is sent, since it would cost the whole connection.
//!
//! `wss://` uses rustls with the process's default provider, which the binary installs.

mod backoff;
mod config;
mod counters;
mod dial;
mod driver;
mod error;
mod execution;
mod handle;
mod mailbox;
mod outstanding;
mod probe;
mod session;
mod shared;

pub use config::{Backoff, ClientConfig, KeepAlive, MAX_REQUEST_BYTES};
pub use counters::ClientCounters;
pub use error::{ConnectError, ExecuteError, ExecutionError, StopError};
pub use execution::{Completion, Execution, ExecutionEvent};
pub use handle::{Client, ExecuteOptions};
pub use probe::{ProbeError, StatusPage, probe};
pub use shared::ConnectionState;
