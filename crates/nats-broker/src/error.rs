//! Why a broker does not start.

use std::net::SocketAddr;

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address can be reached from other machines.
    #[error(
        "{0} is not a loopback address: this broker is for development; use nats-server, or call `allow_non_loopback(true)`"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: take another port, or 0 for any that is free")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The limits contradict each other.
    #[error("limits: {0}")]
    Limits(&'static str),
    /// Credentials that no client could send.
    #[error("user, password and token must not be empty")]
    EmptyCredentials,
}
