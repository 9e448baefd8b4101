//! The newest events, bounded by their number and by their bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

/// One event, written once and shared by all who read it.
#[derive(Debug, Clone)]
pub struct Published {
    /// Its number; grows by one from event to event of the process.
    pub seq: u64,
    /// What kind of thing happened: the event's `type`.
    pub type_name: &'static str,
    /// The run it belongs to, if to any.
    pub run_id: Option<Arc<str>>,
    /// The event as a JSON object, `seq` included.
    pub json: Bytes,
}

impl Published {
    /// The JSON text.
    #[must_use]
    pub fn text(&self) -> &str {
        // A serializer wrote it.
        std::str::from_utf8(&self.json).unwrap_or_default()
    }
}

/// What the ring has at a number.
pub(super) enum Found {
    Event(Published),
    /// The event is no longer kept; the oldest that is.
    Lost {
        oldest: u64,
    },
    /// It has not happened yet.
    NotYet,
}

#[derive(Debug)]
pub(super) struct Ring {
    events: VecDeque<Published>,
    bytes: usize,
    next_seq: u64,
    events_max: usize,
    bytes_max: usize,
}

impl Ring {
    pub(super) fn new(events_max: usize, bytes_max: usize) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            next_seq: 1,
            events_max: events_max.max(1),
            bytes_max,
        }
    }

    /// The number that the next event will have.
    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    fn oldest(&self) -> u64 {
        self.events.front().map_or(self.next_seq, |event| event.seq)
    }

    /// Adds the event with the number [`Self::next_seq`]. The newest is kept, whatever its size.
    pub(super) fn push(&mut self, event: Published) {
        self.next_seq = event.seq + 1;
        self.bytes += event.json.len();
        self.events.push_back(event);
        while self.events.len() > self.events_max
            || (self.bytes > self.bytes_max && self.events.len() > 1)
        {
            if let Some(old) = self.events.pop_front() {
                self.bytes -= old.json.len();
            }
        }
    }

    /// The oldest event of a run that is kept.
    pub(super) fn first_of(&self, run_id: &str) -> Option<&Published> {
        let is_of = |event: &&Published| event.run_id.as_deref() == Some(run_id);
        self.events.iter().find(is_of)
    }

    pub(super) fn find(&self, seq: u64) -> Found {
        if seq >= self.next_seq {
            return Found::NotYet;
        }
        let oldest = self.oldest();
        let index = seq
            .checked_sub(oldest)
            .and_then(|index| usize::try_from(index).ok());
        index
            .and_then(|index| self.events.get(index))
            .map_or(Found::Lost { oldest }, |event| Found::Event(event.clone()))
    }
}
