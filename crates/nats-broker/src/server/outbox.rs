//! What waits to be sent to one client.

use std::time::Instant;

use super::segments::Segments;

/// The queue, and who is writing it. Whoever finds `writing` unset sets it, takes the queue and writes it without
/// holding the lock; what comes in meanwhile is written by the same owner in its next turn.
#[derive(Debug, Default)]
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
    pub(super) fn push(&mut self, bytes_max: usize, put: impl FnOnce(&mut Segments)) -> Pushed {
        if self.closed {
            return Pushed::Closed;
        }
        put(&mut self.queue);
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
    }

    /// Takes nothing more. With a farewell, what waits is still sent, and the farewell last; without, what waits is
    /// dropped. Returns whether it was open.
    pub(super) fn close(&mut self, farewell: Option<&[u8]>) -> bool {
        if std::mem::replace(&mut self.closed, true) {
            return false;
        }
        match farewell {
            Some(farewell) => self.queue.push(farewell),
            None => self.discard_queue(),
        }
        true
    }

    fn discard_queue(&mut self) {
        self.discarded_bytes += self.queue.bytes();
        self.queue.clear();
    }

    /// Drops what waits; how much was ever dropped.
    pub(super) fn discard(&mut self) -> usize {
        self.discard_queue();
        self.discarded_bytes + std::mem::take(&mut self.in_flight_bytes)
    }
}
