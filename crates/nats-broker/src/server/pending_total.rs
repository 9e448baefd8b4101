//! What waits for all clients together.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Differences below this are not told, so that clients that keep up cost nothing here.
pub(super) const TOLD_BYTES_MIN: usize = 16 << 10;

/// The sum of what queues told.
#[derive(Debug)]
pub(crate) struct PendingTotal {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl PendingTotal {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            bytes_max,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.bytes.load(Relaxed) > self.bytes_max
    }

    /// One queue's bytes, and what it told before.
    pub(super) fn tell(&self, bytes: usize, before: &mut usize) {
        if bytes != 0 && bytes.abs_diff(*before) < TOLD_BYTES_MIN || bytes == *before {
            return;
        }
        if bytes > *before {
            self.bytes.fetch_add(bytes - *before, Relaxed);
        } else {
            self.bytes.fetch_sub(*before - bytes, Relaxed);
        }
        *before = bytes;
    }
}
