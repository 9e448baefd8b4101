//! What can be set.

use std::time::Duration;

/// The largest request, in bytes of JSON text, that every known node server accepts. spec: nanograph 4.2
pub const MAX_REQUEST_BYTES: usize = 4_194_303;

/// How a [`Client`](super::Client) behaves.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Refuse any server with another uid; `None` takes whoever answers.
    pub expected_server_uid: Option<String>,
    /// For the connection to open; 10 s.
    pub connect_timeout: Duration,
    /// For the handshake, once the connection is open; 10 s.
    pub handshake_timeout: Duration,
    /// For the answer to a stop; 5 s. A server whose event loop is blocked answers late (quirk N6).
    pub stop_timeout: Duration,
    /// For the server's part of a graceful close; 2 s.
    pub close_timeout: Duration,
    /// Pings.
    pub keep_alive: KeepAlive,
    /// How to come back after a loss; `None`: a loss closes the client.
    pub reconnect: Option<Backoff>,
    /// The largest message taken from the server; 256 MiB. A larger one costs the connection.
    pub max_message_bytes: usize,
    /// The largest request sent; [`MAX_REQUEST_BYTES`].
    pub max_request_bytes: usize,
    /// Executions outstanding at once; 16 384.
    pub max_outstanding: usize,
    /// Messages that wait to be written; 256. Beyond them `execute` waits.
    pub max_queued_requests: usize,
    /// Statuses that wait for the reader of one execution; 64. Beyond them the oldest are dropped, never the end.
    pub max_queued_statuses: usize,
    /// Bytes of those statuses; 8 MiB.
    pub max_queued_status_bytes: usize,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            expected_server_uid: None,
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(2),
            keep_alive: KeepAlive::default(),
            reconnect: Some(Backoff::default()),
            max_message_bytes: 256 << 20,
            max_request_bytes: MAX_REQUEST_BYTES,
            max_outstanding: 16_384,
            max_queued_requests: 256,
            max_queued_statuses: 64,
            max_queued_status_bytes: 8 << 20,
        }
    }
}

/// When pings are sent and what silence means. spec: nanograph 13.3
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// Between pings.
    pub interval: Duration,
    /// After so long without anything from the server the connection is dropped, but only with no execution
    /// outstanding: a busy Python server answers nothing while a node computes (quirk N6).
    pub timeout: Duration,
}

impl KeepAlive {
    /// For servers that watch their files: an idle Python server only notices changes when something arrives (N13).
    #[must_use]
    pub const fn watching() -> Self {
        Self {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
        }
    }
}

impl Default for KeepAlive {
    /// A ping every 15 s, 30 s of silence at most.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(30),
        }
    }
}

/// Waits between attempts to connect: each twice the last, with a fifth of jitter either way. spec: nanograph 13.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first; 0.1 s.
    pub min: Duration,
    /// The longest; 5 s.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(100),
            max: Duration::from_secs(5),
        }
    }
}
