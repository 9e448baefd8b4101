//! What waits to be sent to one client.

use std::sync::Arc;
use std::time::Instant;

use super::pending_total::PendingTotal;
use super::segments::Segments;

/// The queue, and who is writing it. Whoever finds `writing` unset sets it, takes the queue and writes it without
/// holding the lock; what comes in meanwhile is written by the same owner in its next turn.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Segments,
    /// An empty one whose buffer is used again.
    spare: Segments,
    /// What the owner of the socket has not written yet.
    in_flight_bytes: usize,
    writing: bool,
    /// Somebody who put something in is going to flush.
    flush_due: bool,
    closed: bool,
    /// Since when the socket takes nothing. `None` when all that was tried was taken.
    blocked_since: Option<Instant>,
    discarded_bytes: usize,
    /// What waits is written no more.
    abandoned: bool,
    total: Arc<PendingTotal>,
    /// What the total has of this queue.
    told_bytes: usize,
}

/// What became of something that was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is in; the caller must flush later.
    First,
    /// It is in; somebody else is going to flush.
    Queued,
    /// It is in, and that is too much: the client must be closed.
    Overflow,
    /// The client is closed.
    Closed,
}

impl Outbox {
    pub(super) fn new(total: Arc<PendingTotal>) -> Self {
        Self {
            queue: Segments::default(),
            spare: Segments::default(),
            in_flight_bytes: 0,
            writing: false,
            flush_due: false,
            closed: false,
            blocked_since: None,
            discarded_bytes: 0,
            abandoned: false,
            total,
            told_bytes: 0,
        }
    }

    pub(super) fn push(&mut self, bytes_max: usize, put: impl FnOnce(&mut Segments)) -> Pushed {
        if self.closed {
            return Pushed::Closed;
        }
        put(&mut self.queue);
        self.tell_total();
        if self.pending_bytes() > bytes_max {
            return Pushed::Overflow;
        }
        if std::mem::replace(&mut self.flush_due, true) {
            Pushed::Queued
        } else {
            Pushed::First
        }
    }

    pub(super) fn pending_bytes(&self) -> usize {
        self.queue.bytes() + self.in_flight_bytes
    }

    /// What the total has of this queue.
    pub(super) fn told_bytes(&self) -> usize {
        self.told_bytes
    }

    fn tell_total(&mut self) {
        let bytes = if self.abandoned {
            0
        } else {
            self.pending_bytes()
        };
        self.total.tell(bytes, &mut self.told_bytes);
    }

    pub(super) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since
    }

    /// Takes the queue to write it, unless somebody is writing or there is nothing.
    pub(super) fn begin(&mut self) -> Option<Segments> {
        self.flush_due = false;
        if self.writing || self.queue.is_empty() {
            return None;
        }
        self.writing = true;
        Some(self.take())
    }

    /// After all of a batch was written: the next one, or nothing when the socket is given back.
    pub(super) fn next(&mut self, written: Segments) -> Option<Segments> {
        self.blocked_since = None;
        self.in_flight_bytes = 0;
        self.spare = written;
        self.tell_total();
        if self.queue.is_empty() {
            self.writing = false;
            return None;
        }
        Some(self.take())
    }

    fn take(&mut self) -> Segments {
        let batch = std::mem::replace(&mut self.queue, std::mem::take(&mut self.spare));
        self.in_flight_bytes = batch.bytes();
        batch
    }

    /// The socket took this much of a batch, and then no more.
    pub(super) fn blocked(&mut self, rest: &Segments) {
        if self.blocked_since.is_none() || rest.bytes() < self.in_flight_bytes {
            self.blocked_since = Some(Instant::now());
        }
        self.in_flight_bytes = rest.bytes();
        self.tell_total();
    }

    /// Takes nothing more. With a farewell, what waits is still sent, and the farewell last; without, what waits is
    /// dropped. Returns whether it was open.
    pub(super) fn close(&mut self, farewell: Option<&[u8]>) -> bool {
        if std::mem::replace(&mut self.closed, true) {
            return false;
        }
        match farewell {
            Some(farewell) => self.queue.push(farewell),
            None => self.abandon(),
        }
        true
    }

    /// Drops what waits. What is being written at this moment is dropped by who writes it.
    pub(super) fn abandon(&mut self) {
        self.discarded_bytes += self.queue.bytes();
        self.queue.clear();
        self.abandoned = true;
        self.tell_total();
    }

    /// Drops what waits; how much was ever dropped.
    pub(super) fn discard(&mut self) -> usize {
        self.abandon();
        self.discarded_bytes + std::mem::take(&mut self.in_flight_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pending_total::TOLD_BYTES_MIN;
    use super::*;

    fn outbox() -> (Outbox, Arc<PendingTotal>) {
        let total = Arc::new(PendingTotal::new(TOLD_BYTES_MIN - 1));
        (Outbox::new(Arc::clone(&total)), total)
    }

    fn push(outbox: &mut Outbox, bytes: usize) -> Pushed {
        outbox.push(usize::MAX, |queue| queue.push(&vec![b'x'; bytes]))
    }

    #[test]
    fn the_total_has_what_waits() {
        let (mut outbox, total) = outbox();
        push(&mut outbox, TOLD_BYTES_MIN - 1);
        assert!(!total.is_over(), "little is not told");
        push(&mut outbox, 1);
        assert!(total.is_over());
        let mut batch = outbox.begin().unwrap();
        assert!(total.is_over(), "what is being written waits still");
        batch.write(|_| Ok(1)).unwrap();
        outbox.blocked(&batch);
        assert!(total.is_over(), "one byte more or less is not told");
        batch.clear();
        assert!(outbox.next(batch).is_none());
        assert!(!total.is_over() && outbox.told_bytes() == 0);
    }

    #[test]
    fn a_closed_queue_is_not_in_the_total() {
        for farewell in [None, Some(&b"bye"[..])] {
            let (mut outbox, total) = outbox();
            push(&mut outbox, TOLD_BYTES_MIN);
            let batch = outbox.begin().unwrap();
            push(&mut outbox, TOLD_BYTES_MIN);
            assert!(outbox.close(farewell));
            assert_eq!(total.is_over(), farewell.is_some(), "a farewell is sent");
            outbox.abandon();
            // Whoever was writing learns of it later.
            outbox.blocked(&batch);
            assert!(!total.is_over());
            assert!(outbox.discard() >= 2 * TOLD_BYTES_MIN);
            assert!(!total.is_over() && push(&mut outbox, 1) == Pushed::Closed);
        }
    }
}
