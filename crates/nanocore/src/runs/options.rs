//! The limits of a [`RunManager`](super::RunManager), and what it counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::CacheOptions;
use crate::workflow::Limits;

/// The limits of a [`RunManager`](super::RunManager).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunManagerOptions {
    /// Runs that are executed at a time. Default 4.
    pub active_max: usize,
    /// Runs that may wait; further ones are refused. Default 1,000.
    pub waiting_max: usize,
    /// The largest request, in bytes of its graph and parameters together. Default 16 MiB.
    pub request_bytes_max: usize,
    /// Nodes in flight, over all runs. Default 64, and 4 per server.
    pub limits: Limits,
    /// How long nodes may take to stop. Default 5 s.
    pub abort_grace: Duration,
    /// How long a run waits for node servers to offer all of its nodes, from its turn on; others run meanwhile. After a
    /// start of the process they are not ready yet. Later its nodes wait as long for a server that is restarted. A
    /// durable run waits as long as it takes, both times. Default 5 minutes, as long as a server may take to start.
    pub offers_wait: Duration,
    /// Treat every run as if it were durable: after the process was killed, all go on.
    pub resume: bool,
    /// How often one run may be resumed. Default 1,000.
    pub resumes_max: u32,
    /// Finished runs that are kept; the oldest go first. Default 10,000.
    pub history_max: usize,
    /// Bytes of graphs, requests, inputs, outputs and nodes that finished runs may have together; what several have in
    /// common counts for each. Where the database has reached its own limit before
    /// ([`file_bytes_max`](crate::db::DatabaseOptions::file_bytes_max)), the oldest go, too, if that makes the room that is
    /// needed. On a full disk none goes: that would make no room on it. Default 4 GiB.
    pub history_bytes_max: u64,
    /// The result cache; `None` for none.
    pub cache: Option<CacheOptions>,
}

impl Default for RunManagerOptions {
    fn default() -> Self {
        Self {
            active_max: 4,
            waiting_max: 1_000,
            request_bytes_max: 16 << 20,
            limits: Limits::default(),
            abort_grace: Duration::from_secs(5),
            offers_wait: Duration::from_secs(300),
            resume: false,
            resumes_max: 1_000,
            history_max: 10_000,
            history_bytes_max: 4 << 30,
            cache: Some(CacheOptions::default()),
        }
    }
}

/// What became of runs since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunManagerCounters {
    /// Accepted.
    pub submitted: u64,
    /// Refused, as too many wait.
    pub refused: u64,
    /// Ended with each node complete.
    pub complete: u64,
    /// Ended since a node failed.
    pub error: u64,
    /// Stopped on request.
    pub aborted: u64,
    /// Broken off with the process, or with an earlier one.
    pub interrupted: u64,
    /// Put into the queue again after a start.
    pub resumed: u64,
    /// Ended by a fault of the program; each is told as failed.
    pub panicked: u64,
    /// Ended, but the database never kept what came of them; each is told with its end.
    pub not_kept: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) submitted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) complete: AtomicU64,
    pub(super) error: AtomicU64,
    pub(super) aborted: AtomicU64,
    pub(super) interrupted: AtomicU64,
    pub(super) resumed: AtomicU64,
    pub(super) panicked: AtomicU64,
    pub(super) not_kept: AtomicU64,
}

impl Counts {
    pub(super) fn read(&self) -> RunManagerCounters {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        RunManagerCounters {
            submitted: read(&self.submitted),
            refused: read(&self.refused),
            complete: read(&self.complete),
            error: read(&self.error),
            aborted: read(&self.aborted),
            interrupted: read(&self.interrupted),
            resumed: read(&self.resumed),
            panicked: read(&self.panicked),
            not_kept: read(&self.not_kept),
        }
    }
}

pub(super) fn count(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
