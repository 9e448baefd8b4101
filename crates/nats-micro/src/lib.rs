//! NATS services (ADR-32, "micro"): a Rust SDK for both ends.
//!
//! A *service* has a name, a version and any number of *instances*; an instance owns *endpoints*, each a subject with a
//! queue group and a handler, and answers control requests: who is there (`PING`), what can it do (`INFO`), how has it
//! been (`STATS`).
//!
//! - [`Service`] serves endpoints over an `async_nats` connection;
//! - [`run`] is a program around them: it connects, serves until a signal comes, and leaves in the right order, with a
//!   [`Context`];
//! - [`client`] calls services, and finds them;
//! - [`#[service]`](macro@service) makes a service from an `impl` block, [`schema`] says what its endpoints take and give;
//! - [`middleware`] is code around handlers, and has some ready-made;
//! - [`testing`] runs handlers and whole services without a broker.
//!
//! ```no_run
//! use nats_micro::{Endpoint, Service, ServiceError};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = async_nats::connect("nats://127.0.0.1:4222").await?;
//! let sum = Endpoint::json("sum", |numbers: Vec<i64>| async move {
//!     Ok::<_, ServiceError>(numbers.iter().sum::<i64>())
//! });
//! let service = Service::builder("calculator", "1.0.0").endpoint(sum).start(&client).await?;
//! // ... until it is time to go. Requests that were taken are answered.
//! service.stop().await;
//! # Ok(()) }
//! ```
//!
//! Features: `trace` (default) is middleware for traces, `metrics` that for Prometheus, `compression` that for gzip and
//! snappy, and `tower` takes layers of the `tower` package.
//!
//! Invariants: a request that was taken ends exactly once, with a reply, an error, silence that its handler chose, or a
//! counted cancellation; a panic ends one request; every queue has a bound, and what goes beyond is answered with 503 and
//! counted. Starting is all or nothing; stopping answers what was taken ([`Service::stop`] says how the rest is kept from
//! getting lost). This crate reads no environment, prints nothing and installs no TLS provider: programs do.

#![forbid(unsafe_code)]

pub mod client;
mod context;
pub mod document;
mod endpoint;
mod handler;
pub mod header;
mod metadata;
pub mod middleware;
mod name;
mod request;
mod response;
pub mod schema;
mod service;
mod service_error;
pub mod testing;
mod transport;

pub use async_nats::HeaderMap;
pub use bytes::Bytes;
pub use context::{
    AddServiceError, ConnectOptions, ConnectionCounts, ConnectionEvent, ConnectionEvents, Context,
    ContextClosed, RunError, Signals, run,
};
pub use endpoint::{
    DEFAULT_CONCURRENCY, Endpoint, EndpointSnapshot, Group, MAX_CONCURRENCY, Overflow,
    PendingLimits,
};
pub use handler::Handler;
pub use metadata::{MAX_METADATA_BYTES, Metadata};
pub use name::ConfigError;
pub use nats_micro_macros::service;
pub use request::{Request, RespondError};
pub use response::{IntoResponse, Json, Reply, Response};
pub use schemars;
pub use service::{AddError, EndpointHandle, Service, ServiceBuilder, StartError, StopReason};
pub use service_error::ServiceError;
pub use transport::ConnectionClosed;

/// What control subjects begin with unless a service says otherwise.
pub const DEFAULT_CONTROL_PREFIX: &str = "$SRV";

/// The queue group of endpoints that do not say otherwise.
pub const DEFAULT_QUEUE_GROUP: &str = "q";
