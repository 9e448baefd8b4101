//! NNRP/1 over TCP, TLS and QUIC: client and server sessions.

#![forbid(unsafe_code)]

pub mod budget;
pub mod client;
mod driver;
mod link;
mod proof;
pub mod server;

pub use link::Link;
