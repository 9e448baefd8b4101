//! Queues that know how much of the memory they hold. spec: nnrp-session 12.3

use std::collections::VecDeque;

/// How many items may wait, and how many bytes they may hold, before no more are taken. Whoever is at neither limit may put
/// one more in, of any size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) items_max: usize,
    pub(super) bytes_max: u64,
}

/// Items in order, each with its bytes.
#[derive(Debug)]
pub(super) struct Queue<T> {
    items: VecDeque<(u64, T)>,
    bytes: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<T> Queue<T> {
    pub(super) fn push(&mut self, item: T, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.items.push_back((bytes, item));
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let first = self.items.pop_front();
        self.without(first)
    }

    /// Takes out the first for which this holds.
    pub(super) fn take_if(&mut self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        let place = self.items.iter().position(|(_, item)| is_it(item))?;
        let taken = self.items.remove(place);
        self.without(taken)
    }

    pub(super) fn retain(&mut self, stays: impl Fn(&T) -> bool) {
        self.items.retain(|(_, item)| stays(item));
        let bytes = self.items.iter().map(|(bytes, _)| *bytes);
        self.bytes = bytes.fold(0, u64::saturating_add);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|(_, item)| item)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.iter_mut().map(|(_, item)| item)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    fn without(&mut self, taken: Option<(u64, T)>) -> Option<T> {
        let (bytes, item) = taken?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(item)
    }
}

/// What has happened, with the bytes of the packet that it came of.
#[derive(Debug)]
pub(super) struct Events<E> {
    queue: Queue<E>,
    /// Of the packet that is being looked at, until an event has them.
    packet_bytes: u64,
}

impl<E> Default for Events<E> {
    fn default() -> Self {
        Self {
            queue: Queue::default(),
            packet_bytes: 0,
        }
    }
}

impl<E> Events<E> {
    /// A packet is looked at: the next event may hold all of it.
    pub(super) const fn begin_packet(&mut self, bytes: u64) {
        self.packet_bytes = bytes;
    }

    /// The next event holds more than the packet.
    pub(super) const fn hold(&mut self, bytes: u64) {
        self.packet_bytes = self.packet_bytes.saturating_add(bytes);
    }

    /// No event holds it any more but those that do.
    pub(super) const fn end_packet(&mut self) {
        self.packet_bytes = 0;
    }

    pub(super) fn push_back(&mut self, event: E) {
        let bytes = std::mem::take(&mut self.packet_bytes);
        self.queue.push(event, bytes);
    }

    pub(super) fn pop_front(&mut self) -> Option<E> {
        self.queue.pop()
    }

    pub(super) fn is_full(&self, limits: Limits) -> bool {
        self.queue.len() >= limits.items_max || self.queue.bytes() >= limits.bytes_max
    }
}
