//! Numbers about a client.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a client did so far. Executions: `accepted` = `completed` + `failed` + `stopped` + `timed_out` + `lost` +
/// `closed` + `abandoned` + `outstanding`, at all times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientCounters {
    /// Executions taken.
    pub accepted: u64,
    /// Ended with outputs.
    pub completed: u64,
    /// Ended with an error of the node, invalid outputs included.
    pub failed: u64,
    /// Ended with an error of the node after a stop was asked for.
    pub stopped: u64,
    /// Ended by the caller's time limit.
    pub timed_out: u64,
    /// Ended because the connection was lost.
    pub lost: u64,
    /// Ended because the client was closed.
    pub closed: u64,
    /// Dropped by the caller before their end.
    pub abandoned: u64,
    /// Running now, as far as known.
    pub outstanding: u64,
    /// Statuses for executions that had ended.
    pub late_statuses: u64,
    /// Statuses for executions that were never asked for here, or ended long ago.
    pub unknown_statuses: u64,
    /// Statuses dropped because the caller did not read them in time.
    pub conflated_statuses: u64,
    /// Text messages received.
    pub messages: u64,
    /// Messages that were no message of this wire, binary ones included.
    pub invalid_messages: u64,
    /// Messages sent.
    pub sent: u64,
    /// Times the socket was flushed; `sent` over this is how well writes are coalesced.
    pub flushes: u64,
    /// Pings sent.
    pub pings: u64,
    /// Connections made, the first included.
    pub connections: u64,
}

/// The part that is counted outside the table of executions.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) conflated_statuses: AtomicU64,
    pub(super) messages: AtomicU64,
    pub(super) invalid_messages: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) flushes: AtomicU64,
    pub(super) pings: AtomicU64,
    pub(super) connections: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Tally {
    pub(super) fn add_to(&self, counters: ClientCounters) -> ClientCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ClientCounters {
            conflated_statuses: get(&self.conflated_statuses),
            messages: get(&self.messages),
            invalid_messages: get(&self.invalid_messages),
            sent: get(&self.sent),
            flushes: get(&self.flushes),
            pings: get(&self.pings),
            connections: get(&self.connections),
            ..counters
        }
    }
}
