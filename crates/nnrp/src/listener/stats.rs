//! What a listener counts.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::link::Places;

/// What has happened to a listener's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ListenerStats {
    /// Connections that are there now.
    pub connections: usize,
    /// TCP connections that became links.
    pub accepted_tcp: u64,
    /// QUIC connections that became links.
    pub accepted_quic: u64,
    /// Refused, as there were too many connections.
    pub refused_connections: u64,
    /// Handshakes that failed: no TLS, nothing in common, no certificate of the client.
    pub failed_handshakes: u64,
    /// Handshakes that took too long.
    pub slow_handshakes: u64,
    /// Handshakes that gave way to newer ones.
    pub displaced_handshakes: u64,
    /// Times that the system could not give us a connection.
    pub accept_errors: u64,
}

#[derive(Debug)]
pub(super) struct Counters {
    pub(super) places: Places,
    pub(super) accepted_tcp: AtomicU64,
    pub(super) accepted_quic: AtomicU64,
    pub(super) refused_connections: AtomicU64,
    pub(super) failed_handshakes: AtomicU64,
    pub(super) slow_handshakes: AtomicU64,
    pub(super) displaced_handshakes: AtomicU64,
    pub(super) accept_errors: AtomicU64,
}

impl Counters {
    pub(super) fn new(connections_max: usize) -> Self {
        Self {
            places: Places::new(connections_max),
            accepted_tcp: AtomicU64::new(0),
            accepted_quic: AtomicU64::new(0),
            refused_connections: AtomicU64::new(0),
            failed_handshakes: AtomicU64::new(0),
            slow_handshakes: AtomicU64::new(0),
            displaced_handshakes: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
        }
    }

    pub(super) fn snapshot(&self) -> ListenerStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ListenerStats {
            connections: self.places.taken(),
            accepted_tcp: read(&self.accepted_tcp),
            accepted_quic: read(&self.accepted_quic),
            refused_connections: read(&self.refused_connections),
            failed_handshakes: read(&self.failed_handshakes),
            slow_handshakes: read(&self.slow_handshakes),
            displaced_handshakes: read(&self.displaced_handshakes),
            accept_errors: read(&self.accept_errors),
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
