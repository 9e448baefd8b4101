//! The waits between attempts to connect.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::Backoff;

impl Backoff {
    /// How long to wait before attempt `attempt`, counted from 0. `random` spreads clients that lost the same server.
    pub(super) fn wait(&self, attempt: u32, random: u64) -> Duration {
        let base = self.min.saturating_mul(1 << attempt.min(20)).min(self.max);
        // 80 to 120 percent.
        let percent = 80 + u32::try_from(random % 41).unwrap_or_default();
        base.saturating_mul(percent) / 100
    }
}

/// Good enough to spread clients: the seed of a new hasher.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit() {
        let backoff = Backoff::default();
        let waits: Vec<_> = (0..8)
            .map(|attempt| backoff.wait(attempt, 20).as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.wait(u32::MAX, 40), Duration::from_secs(6));
        assert_eq!(backoff.wait(0, 0), Duration::from_millis(80));
    }
}
