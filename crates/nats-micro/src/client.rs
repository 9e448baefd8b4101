//! Calling services and finding them. spec: nats-micro 5, 10.2
//!
//! [`Client`] works on a connection that it shares with whatever else uses it:
//! - [`Client::request`] sends one request and gives the reply; an error reply is a [`RequestError::Service`];
//! - [`Client::request_many`] collects the replies of everyone who answers;
//! - [`Client::ping`], [`Client::info`] and [`Client::stats`] ask all services, [`Client::service`] those of one name,
//!   [`Client::instance`] one instance;
//! - [`ServiceClient::request`] calls an endpoint by its name.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use nats_micro::client::{Client, RequestError};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(async_nats::connect("nats://127.0.0.1:4222").await?);
//!
//! match client.request("calculator.sum", "[1, 2]").await {
//!     Ok(reply) => assert_eq!(&reply.payload[..], b"3"),
//!     Err(RequestError::Service(error)) => tracing::warn!(code = error.code(), "refused"),
//!     Err(error) => return Err(error.into()),
//! }
//! let sum: i64 = client.request_json("calculator.sum", &[1, 2]).await?;
//!
//! let found = client.ping().max_interval(Duration::from_millis(100)).await?;
//! for instance in &found.documents {
//!     tracing::info!(instance.name, instance.id, "found");
//! }
//! # Ok(()) }
//! ```
//!
//! Collecting replies always has a total limit of time, of replies and of bytes ([`Limits`]), and says why it ended
//! ([`End`]). A reply that cannot be used is reported and costs none of the others.

mod collector;
mod control;
mod discovery;
mod error;
mod handle;
mod limits;
mod lookup;
mod many;
mod reply;
mod request;
mod subject;

pub use control::{InstanceClient, ServiceClient};
pub use discovery::{Discovery, DocumentStream, Found, MAX_UNUSABLE_KEPT, Unusable};
pub use error::{CallError, ControlError, LookupError, RequestError, RequestJsonError};
pub use handle::{Client, ClientBuilder, DEFAULT_REQUEST_TIMEOUT};
pub use limits::{End, Limits};
pub use many::{Replies, ReplyStream, RequestMany};
pub use request::OutgoingRequest;
