//! Write a compute node once, in Rust; serve it on every wire your users already speak.
//!
//! A node is a function with `#[node]` on it. Its typed inputs, parameters and outputs make its definition. A
//! [`NodeServer`] serves nodes; progress, cancellation, deadlines, statistics and assets need no code per wire.
//!
//! ```no_run
//! use nodewire::prelude::*;
//!
//! /// Greets each name.
//! #[node(output = "greeting")]
//! async fn greet(names: Vec<String>, #[param(default = "Hello")] word: String) -> Vec<String> {
//!     names.iter().map(|name| format!("{word}, {name}!")).collect()
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), ServeError> {
//!     NodeServer::builder().node(greet()).run().await
//! }
//! ```
//!
//! Started beside a `nanoserver.json`, this program is a node server that any Nanograph orchestrator can use:
//! `nodewire run` among them. What else it serves, and how, is in a `nodewire.toml`, in its environment and in its flags:
//! see [`config`].
//!
//! # Invariants
//! - A wire is one module here that joins it to the [`Executor`]; wires know nothing of nodes, nodes nothing of wires.
//! - What is accepted gets exactly one answer, also when the handler panics, ignores a cancellation, or the server stops.
//! - Only [`NodeServer::run`] touches the process: its environment, log, signals and standard output.

#![forbid(unsafe_code)]

#[cfg(feature = "autotrainer")]
pub mod autotrainer;
pub mod capability;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "config")]
pub mod config;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "mcp")]
pub mod mcp;
pub mod metrics;
pub mod nanograph;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "nnrp")]
pub mod nnrp;
mod oversize;
mod patience;
pub mod plain;
mod program;
mod server;
pub mod telemetry;

pub use ::bytes::Bytes;
pub use bytestring::ByteString;
pub use nodewire_core::*;
pub use nodewire_json::Json;
pub use nodewire_macros::{Outputs, node};
pub use server::{NodeServer, NodeServerBuilder, RunningServer, ServeError, ShutdownError};

/// What most node servers need.
pub mod prelude {
    pub use nodewire_core::{AssetRef, Context, NewAsset, NodeError};
    pub use nodewire_json::Json;
    pub use nodewire_macros::{Outputs, node};

    pub use crate::{NodeServer, ServeError};
}

/// What the macros' code refers to. Not for use by hand; may change at any time.
#[doc(hidden)]
pub mod __private {
    pub use nodewire_core as core;
}
