//! Who the server says it is, and its bounds.

use std::fmt;
use std::time::Duration;

use crate::message::{DefinitionsUpdate, Handshake, NodeDefinition};

/// Settings of a [`Server`](super::Server). Everything but the identity has a default.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Who the server says it is.
    pub identity: Identity,
    /// How long definitions must have been unchanged before clients are told; 500 ms by default (`watchDebounceTime`).
    pub debounce: Duration,
    /// When to ask a silent client whether it is still there.
    pub keep_alive: Option<KeepAlive>,
    /// If set, every HTTP request must carry it as `Authorization: Bearer`. Known clients send none, so there is none by
    /// default. spec: nanograph 23 N23
    pub token: Option<Token>,
    /// Bounds.
    pub limits: Limits,
}

impl ServerOptions {
    /// Defaults for this identity.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            debounce: Duration::from_millis(500),
            keep_alive: Some(KeepAlive::default()),
            token: None,
            limits: Limits::default(),
        }
    }
}

/// Who a server says it is, in its handshake and on its status page. spec: nanograph 3, 5.1
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// Names the server; on every message.
    pub server_uid: String,
    /// Which package it runs.
    pub server_package_id: String,
    /// For people; `NanoServer` by default.
    pub server_display_name: String,
    /// The group of servers that share assets; `nanocore.local` by default.
    pub domain: String,
    /// Where assets are; empty by default.
    pub nanocore_http_endpoint: String,
    /// Which software speaks, in the handshake only. spec: nanograph 23 N24
    pub sdk: Option<String>,
    /// The status page's `message`.
    pub greeting: String,
}

impl Identity {
    /// Defaults for these names.
    pub fn new(server_uid: impl Into<String>, server_package_id: impl Into<String>) -> Self {
        Self {
            server_uid: server_uid.into(),
            server_package_id: server_package_id.into(),
            server_display_name: String::from("NanoServer"),
            domain: String::from("nanocore.local"),
            nanocore_http_endpoint: String::new(),
            sdk: Some(String::from(concat!(
                "nodewire/",
                env!("CARGO_PKG_VERSION")
            ))),
            greeting: String::from("Nodewire node server is running"),
        }
    }

    pub(super) fn handshake(&self, node_definitions: Vec<NodeDefinition>) -> String {
        let handshake = Handshake {
            server_uid: self.server_uid.clone(),
            server_package_id: Some(self.server_package_id.clone()),
            server_display_name: Some(self.server_display_name.clone()),
            domain: Some(self.domain.clone()),
            nanocore_http_endpoint: Some(self.nanocore_http_endpoint.clone()),
            sdk: self.sdk.clone(),
            node_definitions,
        };
        handshake.to_text()
    }

    pub(super) fn definitions_update(&self, node_definitions: Vec<NodeDefinition>) -> String {
        let update = DefinitionsUpdate {
            server_uid: self.server_uid.clone(),
            server_package_id: Some(self.server_package_id.clone()),
            node_definitions,
        };
        update.to_text()
    }
}

/// When to ask a silent client whether it is still there. spec: nanograph 4.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// Silence after which a ping is sent; 25 s by default. Whatever is received restarts it.
    pub idle: Duration,
    /// Further silence after which the connection is dropped; 12.5 s by default.
    pub timeout: Duration,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(25),
            timeout: Duration::from_millis(12_500),
        }
    }
}

/// Bounds of a [`Server`](super::Server). What is refused or dropped because of them is counted in
/// [`Stats`](super::Stats).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections open at once; further ones get HTTP status 503. 1024 by default.
    pub connections: usize,
    /// Executions running at once for one connection; further requests are answered with `error`. 65,536 by default.
    pub executions_per_connection: usize,
    /// Bytes of a frame or message; larger ones close the connection with code 1009. 64 MiB by default.
    pub message_bytes: usize,
    /// Bytes waiting for one client. While there are more, nothing is read from it and `running` statuses are dropped.
    /// 16 MiB by default.
    pub outbound_bytes: usize,
    /// Bytes of an HTTP request's head; 16 KiB by default and no less than 8 KiB.
    pub header_bytes: usize,
    /// How long a client may take for an HTTP request's head; 10 s by default.
    pub header_timeout: Duration,
    /// How long a client may take nothing of what waits for it before it is dropped; 120 s by default.
    pub stall_timeout: Duration,
    /// How long to wait for a client's part in closing; 1 s by default.
    pub close_timeout: Duration,
    /// How long one shutdown handler may take; 30 s by default.
    pub shutdown_handler_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            executions_per_connection: 65_536,
            message_bytes: 64 << 20,
            outbound_bytes: 16 << 20,
            header_bytes: 16 << 10,
            header_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(120),
            close_timeout: Duration::from_secs(1),
            shutdown_handler_timeout: Duration::from_secs(30),
        }
    }
}

/// A bearer token. Never shown, compared in constant time.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Takes the token's text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether the value of an `Authorization` header carries this token.
    pub(super) fn admits(&self, authorization: &[u8]) -> bool {
        let Some(given) = authorization.strip_prefix(b"Bearer ") else {
            return false;
        };
        let expected = self.0.as_bytes();
        let differences = expected
            .iter()
            .zip(given)
            .fold(0, |sum, (a, b)| sum | (a ^ b));
        expected.len() == given.len() && std::hint::black_box(differences) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
