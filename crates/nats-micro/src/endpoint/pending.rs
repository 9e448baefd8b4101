//! Requests that wait for their turn, bounded in number and bytes. spec: nats-micro 9

use std::collections::VecDeque;
use std::time::Instant;

use async_nats::Message;

use super::config::PendingLimits;

#[derive(Debug)]
pub(crate) struct Pending {
    queue: VecDeque<(Message, Instant)>,
    bytes: usize,
    limits: PendingLimits,
}

impl Pending {
    pub(crate) fn new(limits: PendingLimits) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            limits,
        }
    }

    /// Whether one more may wait.
    pub(crate) fn has_room_for(&self, message: &Message) -> bool {
        self.queue.len() < self.limits.messages
            && self.bytes.saturating_add(message.length) <= self.limits.bytes
    }

    pub(crate) fn push(&mut self, message: Message) {
        self.bytes = self.bytes.saturating_add(message.length);
        self.queue.push_back((message, Instant::now()));
    }

    /// The oldest, and since when it waited.
    pub(crate) fn pop(&mut self) -> Option<(Message, Instant)> {
        let (message, since) = self.queue.pop_front()?;
        self.bytes -= message.length;
        Some((message, since))
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
