//! What the wire counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::http::ConnectionCounts;

/// What MCP over HTTP has done so far. Executions are counted by the executor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct McpCounts {
    /// Connections that were accepted; 0 where plain HTTP accepts them.
    pub connections: u64,
    /// Connections closed because no request came.
    pub silent_connections: u64,
    /// Connections closed because their client took nothing of what was sent.
    pub stalled_connections: u64,
    /// Requests that were answered, or whose stream has begun.
    pub requests: u64,
    /// Those that were answered with an error of HTTP.
    pub http_errors: u64,
    /// Sessions that were opened.
    pub sessions: u64,
    /// Sessions closed because nobody used them for too long.
    pub sessions_expired: u64,
    /// Sessions closed to make room for another.
    pub sessions_evicted: u64,
    /// Sessions for which there was no room.
    pub sessions_refused: u64,
    /// Calls refused because their session had too many in flight.
    pub calls_refused: u64,
}

/// [`McpCounts`], being counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) connections: Arc<ConnectionCounts>,
    pub(super) requests: AtomicU64,
    pub(super) http_errors: AtomicU64,
    pub(super) sessions: AtomicU64,
    pub(super) sessions_expired: AtomicU64,
    pub(super) sessions_evicted: AtomicU64,
    pub(super) sessions_refused: AtomicU64,
    pub(super) calls_refused: AtomicU64,
}

/// One more.
pub(super) fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Counts {
    pub(super) fn snapshot(&self) -> McpCounts {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        McpCounts {
            connections: count(&self.connections.accepted),
            silent_connections: count(&self.connections.silent),
            stalled_connections: count(&self.connections.stalled),
            requests: count(&self.requests),
            http_errors: count(&self.http_errors),
            sessions: count(&self.sessions),
            sessions_expired: count(&self.sessions_expired),
            sessions_evicted: count(&self.sessions_evicted),
            sessions_refused: count(&self.sessions_refused),
            calls_refused: count(&self.calls_refused),
        }
    }
}
