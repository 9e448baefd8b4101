//! The seam to ZeroMQ: the only place that knows which library carries the messages (docs/decisions/zeromq.md).
//!
//! | Side | Events | Commands |
//! |---|---|---|
//! | service, bound | [`Publisher`] | [`CommandSocket`] |
//! | remote, connected | [`EventSocket`] | [`RequestSocket`] |
//!
//! What must hold:
//! 1. A message is handed to a socket as one unit, by one owner.
//! 2. Every queue inside has a bound ([`SocketOptions`]), and a peer can neither make a socket wait nor end it.
//! 3. What is lost, refused or malformed is counted ([`ConnectionCounts`], [`Publisher::published`],
//!    [`CommandSocket::undelimited`], [`RequestSocket::undelimited`]).

mod command_socket;
mod connections;
mod error;
mod event_socket;
mod keys;
mod listener;
mod options;
mod publisher;
mod request_socket;

pub use command_socket::{CommandSocket, Envelope, Incoming, ReplyError};
pub use connections::{CloseReason, ConnectionCounts, ConnectionEvent, ConnectionEvents};
pub use error::{ZmqError, ZmqErrorKind};
pub use event_socket::EventSocket;
pub use keys::{KeyError, KeyPair, PublicKey, SecretKey};
pub use options::{AllowedClients, Heartbeats, Security, SocketOptions};
pub use publisher::Publisher;
pub use request_socket::RequestSocket;

use bytes::Bytes;
use omq_tokio::Message;

fn frames(message: &Message) -> Vec<Bytes> {
    (0..message.len())
        .map_while(|place| message.part_bytes(place))
        .collect()
}
