//! A node server: HTTP and WebSocket on one port, around whatever executes nodes.
//!
//! The server speaks the wire: handshakes, requests, statuses, stops, keep-alive, definitions updates. Executing is left
//! to a [`Backend`], which is asked to [start](Backend::execute) an execution and answers through [`Replies`] whenever
//! and from wherever it likes.
//!
//! ```
//! use nanograph::message::{ExecutionRequest, NodeDefinition};
//! use nanograph::server::{Backend, Identity, Replies, Server, ServerOptions};
//! use tokio::sync::watch;
//!
//! struct Echo(watch::Sender<u64>);
//!
//! impl Backend for Echo {
//!     type Handle = ();
//!     fn definitions(&self) -> Vec<NodeDefinition> {
//!         vec![NodeDefinition::new("echo")]
//!     }
//!     fn changes(&self) -> watch::Receiver<u64> {
//!         self.0.subscribe()
//!     }
//!     fn execute(&self, request: ExecutionRequest, replies: Replies) {
//!         replies.started();
//!         replies.complete(&request.inputs);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ServerOptions::new(Identity::new("echo-server", "echo-package"));
//! let server = Server::bind("127.0.0.1:0", options, Echo(watch::Sender::new(0))).await?;
//! println!("listening on {}", server.local_addr());
//! server.serve(std::future::ready(())).await; // until this future completes
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour
//! - Statuses go to the connection that asked, in the order they were given; once it is gone they are counted and
//!   dropped while the execution goes on. spec: nanograph 6
//! - Each execution gets exactly one terminal status (`complete` or `error`) and nothing after it.
//! - A stop reaches every execution of exactly that instance, whichever connection asked for it and whatever its node
//!   id is; its acknowledgement is sent before any of them can answer. spec: nanograph 5.5, 23 N8-N10
//! - Requests that name instance and node but lack something are answered with `error`; other garbage is counted and
//!   ignored. spec: nanograph 5.6, 9
//! - While more than [`Limits::outbound_bytes`] wait for a client, no more is read from it, and its `running` statuses
//!   are dropped; terminal statuses never are.
//! - A frame over [`Limits::message_bytes`] closes its connection with code 1009.
//!
//! Nothing here waits for a client while holding up another one: each connection is one task, replies are put in its
//! buffer, and whatever has gathered is written at once.

mod announce;
mod backend;
mod clock;
mod connection;
mod dispatch;
mod error;
mod http;
mod listener;
mod metered;
mod options;
mod outbox;
mod registry;
mod replies;
mod stats;
mod websocket;

pub use backend::{Backend, StopHandle};
pub use error::ServerError;
pub use listener::Server;
pub use options::{Identity, KeepAlive, Limits, ServerOptions, Token};
pub use replies::{Delivery, Replies};
pub use stats::{Stats, StatsSnapshot};
