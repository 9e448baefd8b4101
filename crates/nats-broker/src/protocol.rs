//! The wire without input and output: bytes go in, operations come out, and back. spec: nats-micro 15.4
//!
//! [`Decoder`] takes what a client sent in any cut and gives [`ClientOp`]s that share its buffer; [`server_op`] writes
//! what a server says. Nothing here waits, allocates by what a peer claims, or knows who is connected.
//!
//! ```
//! use nats_broker::protocol::{ClientOp, DecodeLimits, Decoder};
//!
//! let mut decoder = Decoder::new(DecodeLimits::default());
//! decoder.extend(b"PUB greet reply.1 2\r\nhi\r\nPING\r\n");
//! let Some(ClientOp::Publish(publish)) = decoder.next_op()? else { unreachable!() };
//! assert_eq!(publish.subject(), b"greet");
//! assert_eq!(publish.body(), b"hi");
//! assert_eq!(decoder.next_op()?, Some(ClientOp::Ping));
//! assert_eq!(decoder.next_op()?, None);
//! # Ok::<(), nats_broker::protocol::DecodeError>(())
//! ```

mod client_op;
mod connect;
mod decoder;
mod line;
pub mod server_op;
pub mod subject;

pub use client_op::{ClientOp, Publish, Subscribe};
pub use connect::ConnectOptions;
pub(crate) use decoder::LARGE_BYTES_MIN;
pub use decoder::{DecodeError, DecodeLimits, Decoder};
