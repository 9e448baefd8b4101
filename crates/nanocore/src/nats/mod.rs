//! Node servers over NATS: services whose endpoints are nodes. spec: nats-micro 3, 10.2
//!
//! A server of the registry is one *service*; any number of *instances* share its load by a queue group. [`NatsServer`]
//! finds the instances, reads the nodes' definitions from the metadata of their endpoints, and executes nodes through the
//! streamed form of the binding that `nodewire::nats` describes.
//!
//! | Here | On the wire |
//! |---|---|
//! | a node | an endpoint with the metadata `nodewire.node` and `nodewire.definition` |
//! | inputs, parameters | JSON, as `nodewire::plain` has it |
//! | an asset's reference | `{"$asset": "<reference>"}`, at ports of type `asset` and `asset:…` |
//! | bytes | `{"$bytes": "<base64>"}`, within the message |
//! | the step's time limit, the run's priority and trace | `Nodewire-Timeout-Ms`, `Nodewire-Priority`, `traceparent`, `tracestate` |
//! | stop | a message to the subject in `Nodewire-Cancel`; before that is known, to `<group>.$cancel.<id>` |
//!
//! Assets themselves do not travel here: a node that reads one needs the orchestrator's asset server, as on any wire.
//!
//! # What is lost, and how that is noticed
//! - Nobody serves the node: the broker says so at once.
//! - An instance that is full or leaving refuses: the request is sent again a few times, to whichever instance takes it.
//! - An instance dies: the broker knows nobody under its id any more. It is asked every [`NatsOptions::look_period`], and
//!   gone when it was missing twice, or silent for [`NatsOptions::silence_max`]. Its executions are lost then, as are
//!   requests that were sent before and that no instance has accepted.
//! - Our connection breaks: all executions are lost, as replies may be.
//!
//! What is lost is [`ServerLost`](crate::workflow::NodeErrorCode::ServerLost); the engine's policy sends it again. What it
//! may have left running is cancelled: at once, or when an instance accepts it late.
//!
//! Invariants: executions, replies kept for each, instances and their descriptions are bounded ([`NatsOptions`]); of an
//! execution's replies only progress and previews are ever dropped, and counted; passwords are in no message.

mod address;
mod calls;
mod cancelling;
mod discovery;
mod execution;
mod offer;
mod options;
mod reply;
mod request;
mod server;

pub use address::{NatsAddress, NatsAuth, NatsConnectError};
pub use options::NatsOptions;
pub use server::{NatsCounts, NatsServer, NatsServerError};
