//! What is to happen when nothing else does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::Ticket;

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKind {
    /// The first status must have come.
    Start,
    /// A further status must have come.
    Idle,
    /// The attempt must be over.
    Timeout,
    /// The next attempt is due.
    Retry,
    /// A kept status is due.
    Status,
    /// Outputs after a `complete` without any must have come.
    Outputs,
    /// Of the run: what did not stop is asked again.
    StopAgain,
    /// Of the run: what did not stop is given up.
    GiveUp,
    /// Of the run: a server that is away is given up.
    Away,
}

/// Timers, earliest first. They are not cancelled: a timer whose attempt is over is passed over when it is due.
///
/// At most five per attempt of a node are there at a time, and three of the run.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, usize, u32, TimerKind)>>,
}

/// The ticket of the timers that belong to the run.
pub(super) const RUN: Ticket = Ticket {
    node: usize::MAX,
    attempt: 0,
};

impl Timers {
    pub(super) fn set(&mut self, at: Instant, ticket: Ticket, kind: TimerKind) {
        self.heap
            .push(Reverse((at, ticket.node, ticket.attempt, kind)));
    }

    /// When the first timer is due whose attempt `is_alive`.
    pub(super) fn next(&mut self, is_alive: impl Fn(Ticket) -> bool) -> Option<Instant> {
        loop {
            let Reverse((at, node, attempt, _)) = *self.heap.peek()?;
            if node == RUN.node || is_alive(Ticket { node, attempt }) {
                return Some(at);
            }
            self.heap.pop();
        }
    }

    /// Takes a timer that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Ticket, TimerKind)> {
        let Reverse((at, node, attempt, kind)) = *self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        Some((Ticket { node, attempt }, kind))
    }
}
