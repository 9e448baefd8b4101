//! How much waits to be sent in several sessions together. spec: nnrp-session 12.3

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A limit that several sessions have in common, in bytes of the bodies of messages that wait to be sent. All clones are
/// the same.
///
/// While it is reached, a session of which something waits takes no more packets, and no more results that are not the last
/// of their frame. One of which nothing waits goes on, so that whoever reads is never held up for long by others.
#[derive(Debug, Clone)]
pub struct OutputBudget {
    bytes_max: u64,
    held: Arc<AtomicU64>,
}

impl OutputBudget {
    /// Of so many bytes, of which none are used.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            held: Arc::default(),
        }
    }

    /// Bytes that wait now.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }
}

/// What one session has of it, until it is dropped.
#[derive(Debug)]
pub(super) struct OutputShare {
    budget: OutputBudget,
    bytes: u64,
}

impl OutputShare {
    pub(super) const fn new(budget: OutputBudget) -> Self {
        Self { budget, bytes: 0 }
    }

    /// So many bytes wait in this session now.
    pub(super) fn set(&mut self, bytes: u64) {
        let held = &self.budget.held;
        if bytes > self.bytes {
            held.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else if bytes < self.bytes {
            held.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }

    /// What waits here will be sent, so that this ends without another session's doing.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > 0 && self.budget.held_bytes() >= self.budget.bytes_max
    }
}

impl Drop for OutputShare {
    fn drop(&mut self) {
        self.set(0);
    }
}
