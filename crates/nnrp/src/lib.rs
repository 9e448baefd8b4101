//! NNRP/1 over TCP, TLS and QUIC: client and server sessions.

#![forbid(unsafe_code)]

mod driver;
mod link;
mod proof;

pub use link::Link;
