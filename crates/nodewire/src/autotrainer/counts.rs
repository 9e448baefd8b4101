//! What the wire counts beside the executor.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the wire did not do as it was asked, and how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AutotrainerCounts {
    /// Executions refused because one with the same nonce was in flight.
    pub nonces_in_use: u64,
    /// Executions refused because their nonce was 0, left out, too long, or neither number nor string.
    pub nonces_unusable: u64,
    /// Executions refused because of an emergency stop.
    pub emergency_stopped: u64,
    /// Executions refused because too many of this wire were in flight.
    pub too_many_in_flight: u64,
    /// `USER_DEFINED` commands whose number nothing has.
    pub unknown_numbers: u64,
    /// Requests whose `data` could not be read.
    pub unreadable_data: u64,
    /// Results that were longer than a message, and kept as an asset.
    pub results_kept_as_assets: u64,
    /// Results that were longer than a message, and not sent.
    pub results_too_long: u64,
    /// Results that nobody waited for any more: the service had stopped.
    pub results_unowed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) nonces_in_use: Counter,
    pub(super) nonces_unusable: Counter,
    pub(super) emergency_stopped: Counter,
    pub(super) too_many_in_flight: Counter,
    pub(super) unknown_numbers: Counter,
    pub(super) unreadable_data: Counter,
    pub(super) results_kept_as_assets: Counter,
    pub(super) results_too_long: Counter,
    pub(super) results_unowed: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn snapshot(&self) -> AutotrainerCounts {
        AutotrainerCounts {
            nonces_in_use: self.nonces_in_use.get(),
            nonces_unusable: self.nonces_unusable.get(),
            emergency_stopped: self.emergency_stopped.get(),
            too_many_in_flight: self.too_many_in_flight.get(),
            unknown_numbers: self.unknown_numbers.get(),
            unreadable_data: self.unreadable_data.get(),
            results_kept_as_assets: self.results_kept_as_assets.get(),
            results_too_long: self.results_too_long.get(),
            results_unowed: self.results_unowed.get(),
        }
    }
}
