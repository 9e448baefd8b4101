//! A small core-NATS broker to embed: development, tests, single-host use.
//!
//! It speaks what NATS services need: subjects, wildcards, queue groups, headers, "no responders", user and password
//! or token. It has no JetStream, no clusters, no accounts and no TLS; in production use nats-server.
//!
//! ```
//! use nats_broker::Broker;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = Broker::builder().start().await?;
//! let client = async_nats::connect(broker.url()).await?;
//! let mut greetings = client.subscribe("greet.*").await?;
//! client.publish("greet.joe", "hello".into()).await?;
//! # use futures_util::StreamExt as _;
//! let greeting = greetings.next().await.expect("it is subscribed");
//! assert_eq!(&greeting.payload[..], b"hello");
//! broker.shutdown().await;
//! # Ok(()) }
//! # tokio::runtime::Runtime::new()?.block_on(example())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What it does at the edges is what nats-server 2.9.10 was seen to do (spec: nats-micro 15.4), with these exceptions:
//! `INFO` announces version `2.9.10-nodewire` and leaves out what does not exist here; a request to the JetStream API
//! that nobody gets is answered with a 503 that says so, and logged; publishers are slowed down before a slow consumer
//! is closed ([`Limits::publisher_stall_max`]); "Invalid Publish Subject" is said once for a message, also where its body
//! comes later than its line.
//!
//! Invariants: everything that is kept for a client has a bound ([`Limits`]); every refusal and every end of a
//! connection is counted by reason ([`Stats`]); one publisher's messages reach one subscriber in their order; only
//! loopback addresses are listened on unless [`Builder::allow_non_loopback`] says otherwise. This crate reads no
//! environment and prints nothing.

#![forbid(unsafe_code)]

mod broker;
mod error;
mod limits;
pub mod protocol;
mod routing;
mod server;
mod stats;

pub use broker::{Broker, Builder};
pub use error::StartError;
pub use limits::Limits;
pub use stats::{CloseReason, Stats};
