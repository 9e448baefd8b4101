//! NNRP/1 over TCP, TLS and QUIC: client and server sessions.

#![forbid(unsafe_code)]

pub mod budget;
mod driver;
mod link;
mod proof;
pub mod server;

pub use link::Link;
