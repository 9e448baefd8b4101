//! How to serve MCP.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::http::Access;

/// What MCP is served with, over whatever transport.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct McpOptions {
    /// The server's name, for clients; `nodewire` by default.
    pub name: String,
    /// The server's version, for clients; that of this package by default.
    pub version: String,
    /// What a model should know about the tools together, if anything.
    pub instructions: Option<String>,
    /// Calls in flight at once, per session; 64 by default.
    pub in_flight_max: usize,
    /// Bytes of one message; 32 MiB by default.
    pub message_bytes_max: usize,
    /// The longest that a call may take, also if it asks for more; 1 h by default, `None` for no limit.
    pub timeout_max: Option<Duration>,
    /// Tools in one page of the list; 256 by default.
    pub tools_per_page: usize,
}

impl Default for McpOptions {
    fn default() -> Self {
        Self {
            name: "nodewire".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instructions: None,
            in_flight_max: 64,
            message_bytes_max: 32 << 20,
            timeout_max: Some(Duration::from_secs(60 * 60)),
            tools_per_page: 256,
        }
    }
}

/// How to serve MCP over streamable HTTP.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct McpConfig {
    /// Where to listen; `127.0.0.1` and any free port by default. `None`: where plain HTTP is served, whose bounds on
    /// connections count then. There is no TLS: what listens elsewhere belongs behind a proxy.
    pub address: Option<SocketAddr>,
    /// Who may call; those who know a new random token by default.
    pub access: Access,
    /// Origins whose pages may call, such as `https://example.com`; none by default. Requests without an `Origin` come from
    /// no page.
    pub origins: Vec<String>,
    /// Names in `Host` by which the server may be called, against pages that rebind a name of their own; those of
    /// loopback by default. An empty list allows any.
    pub hosts: Vec<String>,
    /// Sessions at once; 256 by default.
    pub sessions_max: usize,
    /// How long a session may be unused; 10 min by default.
    pub idle_timeout: Duration,
    /// Connections at once; 1,024 by default.
    pub connections_max: usize,
    /// Bytes of messages at once, over all requests; 256 MiB by default, and at least one message.
    pub bodies_bytes_max: usize,
    /// How long a message may take to arrive; 60 s by default.
    pub body_timeout: Duration,
    /// How long a request's head may take to arrive, which is also how long a connection may be idle; 60 s by default.
    pub head_timeout: Duration,
    /// How long a client may take nothing of what is sent to it; 60 s by default.
    pub write_timeout: Duration,
}

impl McpConfig {
    /// On loopback, for those who know a new random token ([`Access::random`]).
    #[must_use]
    pub fn new() -> Self {
        Self {
            address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            access: Access::random(),
            origins: Vec::new(),
            hosts: ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into(),
            sessions_max: 256,
            idle_timeout: Duration::from_secs(10 * 60),
            connections_max: 1_024,
            bodies_bytes_max: 256 << 20,
            body_timeout: Duration::from_secs(60),
            head_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
        }
    }

    /// Listens here.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// Is served where plain HTTP is, which must be configured, too.
    #[must_use]
    pub fn beside_http(mut self) -> Self {
        self.address = None;
        self
    }

    /// Takes requests from those who know this token, or from everybody ([`Access::Open`]).
    #[must_use]
    pub fn access(mut self, access: impl Into<Access>) -> Self {
        self.access = access.into();
        self
    }
}

impl Default for McpConfig {
    fn default() -> Self {
        Self::new()
    }
}
