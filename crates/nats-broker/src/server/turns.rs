//! How many messages one subscription gets.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Counts messages up to a maximum. Publishers take turns while the client sets the maximum.
///
/// Each of the two writes its own number and reads the other's after that. In one order of all these steps
/// (`SeqCst`), whoever comes second sees that the maximum is reached; with less, both may miss it, and the subscription
/// would stay in the table.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// All messages ever put into the client's queue for it.
    delivered: AtomicU64,
    /// Ends with this many messages; 0 is no end.
    max: AtomicU64,
}

/// Whether a subscription gets one more message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Yes,
    Last,
    No,
}

impl Turns {
    pub(super) fn take(&self) -> Turn {
        let count = self.delivered.fetch_add(1, SeqCst) + 1;
        match self.max.load(SeqCst) {
            0 => Turn::Yes,
            max if count < max => Turn::Yes,
            max if count == max => Turn::Last,
            _ => Turn::No,
        }
    }

    /// Whether the maximum is reached. The subscription may still be in the table for a moment.
    pub(super) fn have_ended(&self) -> bool {
        let max = self.max.load(SeqCst);
        max > 0 && self.delivered.load(SeqCst) >= max
    }

    /// Sets the maximum. Whether it is reached already.
    pub(super) fn end_after(&self, max: u64) -> bool {
        self.max.store(max, SeqCst);
        self.have_ended()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    const ROUNDS: usize = 20_000;

    /// Waits for the other thread, so that both go on at the same moment.
    fn meet(arrived: &AtomicUsize, round: usize) {
        arrived.fetch_add(1, Relaxed);
        let mut spins = 0u32;
        while arrived.load(Relaxed) < 2 * (round + 1) {
            spins += 1;
            if spins.is_multiple_of(1000) {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }

    #[test]
    fn one_of_both_sees_the_end() {
        let rounds: Vec<_> = (0..ROUNDS).map(|_| Turns::default()).collect();
        let arrived = AtomicUsize::new(0);
        let each = |step: &dyn Fn(&Turns) -> bool| -> Vec<bool> {
            let rounds = rounds.iter().enumerate();
            rounds
                .map(|(round, turns)| {
                    meet(&arrived, round);
                    step(turns)
                })
                .collect()
        };
        let (publisher, client) = std::thread::scope(|scope| {
            let publisher = scope.spawn(|| each(&|turns| turns.take() == Turn::Last));
            let client = each(&|turns| turns.end_after(1));
            (publisher.join().unwrap(), client)
        });
        let missed = publisher
            .iter()
            .zip(&client)
            .filter(|(one, other)| !**one && !**other);
        assert_eq!(missed.count(), 0, "of {ROUNDS}");
    }

    #[test]
    fn a_maximum_counts_from_the_beginning() {
        let turns = Turns::default();
        assert_eq!((turns.take(), turns.have_ended()), (Turn::Yes, false));
        assert!(!turns.end_after(2));
        assert_eq!((turns.take(), turns.have_ended()), (Turn::Last, true));
        assert_eq!(turns.take(), Turn::No);
        assert!(turns.end_after(3) && !turns.end_after(4));
    }
}
