//! NNRP/1 over TCP, TLS and QUIC: client and server sessions.

#![forbid(unsafe_code)]

pub mod budget;
pub mod client;
mod dial;
mod driver;
mod endpoint;
mod link;
mod listener;
mod ordered;
mod probe;
mod proof;
pub mod server;
mod tls;
pub mod tools;

pub use dial::{DialError, DialOptions, DialPolicy, Dialer, HandshakeFault};
pub use endpoint::{Endpoint, EndpointError};
pub use link::{Link, LinkStats, QuicOptions};
pub use listener::{Listener, ListenerError, ListenerOptions, ListenerStats, TcpSecurity};
#[doc(no_inline)]
pub use nnrp_wire::{Packet, SplitLimits, TransportId};
pub use ordered::OrderedResults;
pub use probe::{ProbeError, ProbeFault, ProbeOptions, ProbeReport, TransportReport, probe};
pub use tls::{ClientTls, SelfSigned, ServerTls, TlsError};
