//! The messages of the wire, as types: read leniently, written as the peers write them.
//!
//! | Direction | `type` | Here |
//! |---|---|---|
//! | server to client | `handshake`, `definitions_update`, `node_status`, `ack_stop_workflow` | [`ServerMessage`] |
//! | client to server | `request_execution`, `stop_workflow_instance` | [`ClientMessage`] |
//!
//! Reading: unknown keys are ignored (or kept in `raw`), of duplicate keys the last wins, `NaN` and integers of any
//! size pass. Writing: Python's default style (`", "` and `": "`, everything outside ASCII escaped), keys in the order
//! of the specification, so that the bytes equal a peer's. Values that are only passed on are written as they came.

mod client;
mod definition;
mod envelope;
mod error;
mod fields;
mod node_id;
mod parameter;
mod request;
mod server;
mod status;
pub(crate) mod text;
mod unreadable;

pub use client::ClientMessage;
pub use definition::{NodeDefinition, NodeKind, Port, SizeHint};
pub use error::{MessageError, Origin, RequestError};
pub use node_id::NodeId;
pub use parameter::{Parameter, SelectOption};
pub use request::ExecutionRequest;
pub use server::{DefinitionsUpdate, Handshake, ServerMessage, StopAck};
pub use status::{Progress, Status, StatusKind};
pub(crate) use unreadable::unreadable_end;
