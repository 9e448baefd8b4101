//! How to serve plain HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::access::Access;

/// How to serve plain HTTP.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Where to listen; `127.0.0.1` and any free port by default. There is no TLS: what listens elsewhere belongs behind a
    /// proxy.
    pub address: SocketAddr,
    /// Who may call; those who know a new random token by default.
    pub access: Access,
    /// Bytes of one body; 32 MiB by default.
    pub body_bytes_max: usize,
    /// Bytes of bodies at once, over all requests; 256 MiB by default, and at least one body. Bodies are counted from their
    /// arrival until their execution ends, those of unknown length as `body_bytes_max` while they arrive. What has no room
    /// is answered with 429.
    pub bodies_bytes_max: usize,
    /// How long a body may take to arrive; 60 s by default.
    pub body_timeout: Duration,
    /// How long a request's head may take to arrive, which is also how long a connection may be idle; 60 s by default.
    pub head_timeout: Duration,
    /// How long a client may take nothing of what is sent to it; 60 s by default. Then its connection is closed, and its
    /// execution cancelled.
    pub write_timeout: Duration,
    /// Connections at once, each of which has one execution at a time; 1,024 by default. Further ones wait in the system's
    /// queue.
    pub connections_max: usize,
    /// Parts of one `multipart/form-data`; 1,024 by default.
    pub parts_max: usize,
}

impl HttpConfig {
    /// On loopback, for those who know a new random token ([`Access::random`]).
    #[must_use]
    pub fn new() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access: Access::random(),
            body_bytes_max: 32 << 20,
            bodies_bytes_max: 256 << 20,
            body_timeout: Duration::from_secs(60),
            head_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            connections_max: 1_024,
            parts_max: 1_024,
        }
    }

    /// Listens here.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Takes requests from those who know this token, or from everybody ([`Access::Open`]).
    #[must_use]
    pub fn access(mut self, access: impl Into<Access>) -> Self {
        self.access = access.into();
        self
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self::new()
    }
}
