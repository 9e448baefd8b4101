//! NNRP/1 over TCP, TLS and QUIC: client and server sessions.

#![forbid(unsafe_code)]

pub mod budget;
pub mod client;
mod dial;
mod driver;
mod endpoint;
mod link;
mod listener;
mod proof;
pub mod server;
mod tls;

pub use dial::{DialError, DialOptions, DialPolicy, Dialer, HandshakeFault};
pub use endpoint::{Endpoint, EndpointError};
pub use link::{Link, QuicOptions};
pub use listener::{Listener, ListenerError, ListenerOptions, ListenerStats, TcpSecurity};
pub use tls::{ClientTls, SelfSigned, ServerTls, TlsError};
#[doc(no_inline)]
pub use nnrp_wire::{Packet, SplitLimits, TransportId};
