//! The executor's way down, as every execution sees it.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// Phases only go forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Taking requests.
    Open = 0,
    /// No new requests; what waits is dropped, what runs may finish.
    Draining = 1,
    /// What still runs is asked to stop.
    Stopping = 2,
}

#[derive(Debug, Default)]
pub(crate) struct Shutdown {
    phase: AtomicU8,
    changed: Notify,
}

impl Shutdown {
    pub(crate) fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
        self.changed.notify_waiters();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == Phase::Open as u8
    }

    /// Completes once `phase` is reached.
    pub(crate) async fn reached(&self, phase: Phase) {
        loop {
            // Registered before the look at the phase, so that a change in between is not missed.
            let changed = self.changed.notified();
            if self.phase.load(Ordering::SeqCst) >= phase as u8 {
                return;
            }
            changed.await;
        }
    }
}
