//! How to serve the NATS wire.

use std::collections::BTreeMap;
use std::fmt;

use nats_micro::ConnectOptions;

/// How to serve the NATS wire. What may be reached, and by whom, is the broker's business: use one with credentials and
/// TLS beyond one machine.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NatsConfig {
    /// The service's name, of letters, digits, `_` and `-`. Servers with the same one share the load.
    pub service: String,
    /// The service's version, by Semantic Versioning.
    pub version: String,
    /// What it is for, for people.
    pub description: String,
    /// Further metadata of the service; 64 KiB at most.
    pub metadata: BTreeMap<String, String>,
    /// The connection to the broker.
    pub connection: NatsConnection,
    /// What the subjects begin with; the service's name by default.
    pub group: Option<String>,
    /// The queue group that shares the load; `q` by default.
    pub queue_group: Option<String>,
    /// Requests of one endpoint at once. Keep it above what the executor admits of a node, so that it is the executor who
    /// refuses, with 429; what goes beyond waits, 256 at most, and is then answered with 503. 1,536 by default, the
    /// executor's own bound being 256 running and 1,024 waiting; a node that says more has more.
    pub requests_max: usize,
    /// Bytes of request bodies at once, over all endpoints; beyond them requests are answered with 429. 256 MiB by
    /// default.
    pub bytes_max: usize,
    /// Bytes of progress and partial outputs that are handed to the connection before the next ones wait until it has
    /// written them, over all executions; one reply more of each stream may be handed to it. 16 MiB by default. The
    /// connection itself counts messages only, 2,048 unless its options say otherwise.
    pub unwritten_bytes_max: usize,
    /// Executions whose outputs are being stored as assets at once, as the broker does not take them; others wait. 16 by
    /// default.
    pub transfers_max: usize,
}

/// The connection to the broker.
#[derive(Clone)]
#[non_exhaustive]
pub enum NatsConnection {
    /// Connects, and disconnects at the end.
    Url {
        /// Such as `nats://127.0.0.1:4222` or `tls://user:password@broker`; several are separated by commas.
        url: String,
        /// Credentials, TLS, and how to connect; `None` for the client's defaults.
        options: Option<Box<ConnectOptions>>,
    },
    /// A connection that is somebody else's, and is left open.
    Client(async_nats::Client),
}

impl NatsConfig {
    /// Serves on this connection: an address, or a client that is connected.
    pub fn new(
        service: impl Into<String>,
        version: impl Into<String>,
        connection: impl Into<NatsConnection>,
    ) -> Self {
        Self {
            service: service.into(),
            version: version.into(),
            description: String::new(),
            metadata: BTreeMap::new(),
            connection: connection.into(),
            group: None,
            queue_group: None,
            requests_max: 1_536,
            bytes_max: 256 << 20,
            unwritten_bytes_max: 16 << 20,
            transfers_max: 16,
        }
    }

    /// What the subjects begin with.
    pub(super) fn group(&self) -> &str {
        self.group.as_deref().unwrap_or(&self.service)
    }
}

impl From<&str> for NatsConnection {
    fn from(url: &str) -> Self {
        url.to_owned().into()
    }
}

impl From<String> for NatsConnection {
    fn from(url: String) -> Self {
        Self::Url { url, options: None }
    }
}

impl From<async_nats::Client> for NatsConnection {
    fn from(client: async_nats::Client) -> Self {
        Self::Client(client)
    }
}

/// Addresses may hold passwords.
impl fmt::Debug for NatsConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { .. } => f.debug_struct("Url").finish_non_exhaustive(),
            Self::Client(_) => f.debug_struct("Client").finish_non_exhaustive(),
        }
    }
}
