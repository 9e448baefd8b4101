//! What can go wrong.

use std::error::Error;
use std::time::Duration;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address cannot be used.
    #[error("{url:?} is no address of a node server; it must start with ws:// or wss://")]
    InvalidUrl {
        /// What was given.
        url: String,
    },
    /// The address needs TLS and the process has no provider for it.
    #[error(
        "no TLS provider: install one (rustls CryptoProvider::install_default) before connecting to {url}"
    )]
    NoTlsProvider {
        /// What was given.
        url: String,
    },
    /// Nobody answers there.
    #[error("the node server at {url} cannot be reached: {source}")]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Whoever answers speaks HTTP but no WebSocket.
    #[error("{url} is no node server: it answered HTTP {status}")]
    NotWebSocket {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The connection did not open in time.
    #[error("the node server at {url} did not open a connection within {after:?}")]
    TimedOut {
        /// The address.
        url: String,
        /// The time allowed.
        after: Duration,
    },
    /// The connection opened, but no handshake came in time.
    #[error("{url} sent no handshake within {after:?}; it is no node server, or it hangs")]
    NoHandshake {
        /// The address.
        url: String,
        /// The time allowed.
        after: Duration,
    },
    /// The connection broke before the handshake.
    #[error("{url} closed the connection before the handshake: {reason}")]
    ClosedEarly {
        /// The address.
        url: String,
        /// What is known.
        reason: String,
    },
    /// Another server than the expected one answers.
    #[error("the server at {url} is {found:?}, not {expected:?}: another process has the port")]
    WrongServer {
        /// The address.
        url: String,
        /// Whom the configuration names.
        expected: String,
        /// Who answered.
        found: String,
    },
}

/// Why a request was not taken. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError {
    /// Node servers drop the connection at such a message, with everything that runs on it.
    #[error(
        "input_too_large: the request has {size} bytes, a node server takes {limit}; pass large values as assets"
    )]
    InputTooLarge {
        /// Bytes of the request.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// There is no connection at the moment.
    #[error("the node server is not connected")]
    NotConnected,
    /// An execution with the same instance and node id is outstanding; their statuses could not be told apart (N10).
    #[error("node {node_id} of instance {instance_id:?} is being executed already")]
    Duplicate {
        /// The instance.
        instance_id: String,
        /// The node.
        node_id: String,
    },
    /// As many executions are outstanding as the configuration allows.
    #[error("{limit} executions are outstanding already")]
    TooManyOutstanding {
        /// How many are allowed.
        limit: usize,
    },
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
}

/// Why an execution ended without outputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionError {
    /// The node failed.
    #[error("{message}")]
    Failed {
        /// What the server says; never empty.
        message: String,
    },
    /// The node failed after a stop was asked for.
    #[error("stopped: {message}")]
    Stopped {
        /// What the server says; never empty.
        message: String,
    },
    /// The node completed with outputs that are no object.
    #[error("invalid_outputs: the node returned {found} where an object is needed")]
    InvalidOutputs {
        /// What came instead.
        found: String,
    },
    /// The time the caller allowed is over. The server was not told.
    #[error("no end within {after:?}")]
    TimedOut {
        /// The time allowed.
        after: Duration,
    },
    /// The connection was lost. The server may go on with the execution, but its statuses are gone for good.
    #[error("server_lost: {reason}")]
    ServerLost {
        /// What happened.
        reason: String,
        /// Whether the request had been written to the connection; if not, nothing of it happened.
        sent: bool,
    },
    /// The client was closed.
    #[error("the client was closed")]
    Closed,
}

/// Why a stop was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    /// There is no connection at the moment.
    #[error("the node server is not connected")]
    NotConnected,
    /// No answer in time; it may still come, and the stop take effect.
    #[error("the node server did not acknowledge the stop within {after:?}")]
    TimedOut {
        /// The time allowed.
        after: Duration,
    },
    /// The connection was lost before the answer.
    #[error("the connection was lost before the stop was acknowledged")]
    ServerLost,
    /// Too many stops wait for their answer.
    #[error("{limit} stops wait for an answer already")]
    TooMany {
        /// How many are allowed.
        limit: usize,
    },
}
