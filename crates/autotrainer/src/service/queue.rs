//! What waits to be published.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::counters::Counters;
use super::publisher::PublishError;
use crate::sequence;
use crate::topic::Topic;

/// What is done with a publication when the queue is full.
///
/// Emergencies and command results are never dropped for another: if there is nothing else to drop, the new publication
/// is refused with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// Its sender waits.
    #[default]
    Block,
    /// The oldest are dropped and counted.
    DropOldest,
    /// It is refused with an error.
    Refuse,
}

/// What shall be published, and where; a second topic follows at once.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) topic: Topic,
    pub(super) then: Option<Topic>,
    pub(super) payload: Payload,
}

/// A payload that has no number yet.
#[derive(Debug)]
pub(super) enum Payload {
    /// Bytes that stay as they are.
    Verbatim(Bytes),
    /// The text of an object, which gets a number if its topic is numbered.
    Object(String),
}

impl Payload {
    const fn len(&self) -> usize {
        match self {
            Self::Verbatim(bytes) => bytes.len(),
            Self::Object(text) => text.len(),
        }
    }
}

/// What is published.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) topic: Topic,
    pub(super) then: Option<Topic>,
    pub(super) payload: Bytes,
    /// Its place in the order of what is numbered.
    pub(super) sequence: Option<u64>,
}

impl Outgoing {
    pub(super) fn topics(&self) -> impl Iterator<Item = Topic> {
        [Some(self.topic), self.then].into_iter().flatten()
    }

    /// spec: autotrainer 11
    fn is_kept(&self) -> bool {
        matches!(self.topic, Topic::EMERGENCY | Topic::COMMAND_RESULT)
    }
}

/// Bounds of the queue, and what it numbers.
#[derive(Debug, Clone)]
pub(super) struct QueueLimits {
    pub(super) messages_max: usize,
    pub(super) bytes_max: usize,
    pub(super) payload_bytes_max: usize,
    pub(super) when_full: WhenFull,
    pub(super) numbered: Vec<Topic>,
}

/// A queue of many senders and one owner.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
    limits: QueueLimits,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    messages: VecDeque<Outgoing>,
    bytes: usize,
    /// The next number. One that is refused has none, so that only what is lost leaves a hole.
    sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Open,
    Closed,
}

impl Queue {
    pub(super) fn new(limits: QueueLimits, counters: Arc<Counters>) -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::New,
                messages: VecDeque::new(),
                bytes: 0,
                sequence: 1,
            }),
            filled: Notify::new(),
            drained: Notify::new(),
            limits,
            counters,
        }
    }

    /// Accepts publications from now on; the first that is numbered gets this number.
    pub(super) fn open(&self, sequence: u64) {
        let mut state = self.lock();
        state.phase = Phase::Open;
        state.sequence = sequence;
    }

    /// The newest number that was given.
    pub(super) fn last_sequence(&self) -> u64 {
        self.lock().sequence - 1
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().phase == Phase::Closed
    }

    pub(super) const fn numbers_anything(&self) -> bool {
        !self.limits.numbered.is_empty()
    }

    /// Whether what is published on this topic gets a number.
    pub(super) fn numbers(&self, topic: Topic) -> bool {
        self.limits.numbered.contains(&topic)
    }

    /// No more is accepted; what is there is still taken.
    pub(super) fn close(&self) {
        self.lock().phase = Phase::Closed;
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Waits for room if the policy says so. If the future is dropped, nothing is queued.
    pub(super) async fn put(&self, draft: Draft) -> Result<(), PublishError> {
        match self.limits.when_full {
            WhenFull::Block => self.put_waiting(draft).await,
            WhenFull::DropOldest | WhenFull::Refuse => self.try_put(draft),
        }
    }

    /// Waits for room whatever the policy. If the future is dropped, nothing is queued.
    pub(super) async fn put_waiting(&self, draft: Draft) -> Result<(), PublishError> {
        self.check(&draft)?;
        let Some(mut waiting) = self.offer(draft)? else {
            return Ok(());
        };
        loop {
            // Whoever takes something between the offer and the wait wakes this one too.
            let mut drained = std::pin::pin!(self.drained.notified());
            drained.as_mut().enable();
            match self.offer(waiting)? {
                None => return Ok(()),
                Some(returned) => waiting = returned,
            }
            drained.await;
        }
    }

    /// Never waits.
    pub(super) fn try_put(&self, draft: Draft) -> Result<(), PublishError> {
        self.check(&draft)?;
        if self.offer(draft)?.is_some() {
            self.counters.refused_publications.count();
            return Err(PublishError::QueueFull);
        }
        Ok(())
    }

    fn check(&self, draft: &Draft) -> Result<(), PublishError> {
        let (bytes, bytes_max) = (self.bytes_of(draft), self.limits.payload_bytes_max);
        if bytes > bytes_max {
            self.counters.refused_publications.count();
            return Err(PublishError::TooLong { bytes, bytes_max });
        }
        Ok(())
    }

    /// With the number that it may get.
    fn bytes_of(&self, draft: &Draft) -> usize {
        let number = match draft.payload {
            Payload::Object(_) if self.numbers_any_of(draft) => sequence::FIELD_BYTES_MAX,
            Payload::Object(_) | Payload::Verbatim(_) => 0,
        };
        draft.payload.len() + number
    }

    fn numbers_any_of(&self, draft: &Draft) -> bool {
        self.numbers(draft.topic) || draft.then.is_some_and(|topic| self.numbers(topic))
    }

    /// Gives it back if there is no room.
    fn offer(&self, draft: Draft) -> Result<Option<Draft>, PublishError> {
        let mut state = self.lock();
        match state.phase {
            Phase::New => return Err(PublishError::NotStarted),
            Phase::Closed => return Err(PublishError::Stopped),
            Phase::Open => {}
        }
        let bytes = self.bytes_of(&draft);
        while !self.has_room(&state, bytes) {
            if self.limits.when_full != WhenFull::DropOldest || !self.drop_oldest(&mut state) {
                return Ok(Some(draft));
            }
        }
        let outgoing = self.number(draft, &mut state.sequence);
        state.bytes += outgoing.payload.len();
        state.messages.push_back(outgoing);
        let was_empty = state.messages.len() == 1;
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(None)
    }

    fn number(&self, draft: Draft, next: &mut u64) -> Outgoing {
        let is_numbered = self.numbers_any_of(&draft);
        let Draft {
            topic,
            then,
            payload,
        } = draft;
        let (payload, sequence) = match payload {
            Payload::Object(mut text) if is_numbered => {
                let sequence = *next;
                *next += 1;
                sequence::append(&mut text, sequence);
                (Bytes::from(text), Some(sequence))
            }
            Payload::Object(text) => (Bytes::from(text), None),
            Payload::Verbatim(bytes) => (bytes, None),
        };
        Outgoing {
            topic,
            then,
            payload,
            sequence,
        }
    }

    /// Whether at most half of what may wait does. Once it is closed nothing waits for room any more.
    pub(super) fn has_spare_room(&self) -> bool {
        let state = self.lock();
        let has_few = state.messages.len() <= self.limits.messages_max / 2;
        let is_short = state.bytes <= self.limits.bytes_max / 2;
        state.phase == Phase::Closed || state.messages.is_empty() || (has_few && is_short)
    }

    /// Waits for [`Self::has_spare_room`]. Dropping the future has no effect.
    pub(super) async fn spare_room(&self) {
        loop {
            // Whoever takes something between the look and the wait wakes this one too.
            let mut drained = std::pin::pin!(self.drained.notified());
            drained.as_mut().enable();
            if self.has_spare_room() {
                return;
            }
            drained.await;
        }
    }

    /// Something that is longer than all that may wait gets in alone.
    fn has_room(&self, state: &State, bytes: usize) -> bool {
        let fits = state.bytes.saturating_add(bytes) <= self.limits.bytes_max;
        state.messages.is_empty() || (fits && state.messages.len() < self.limits.messages_max)
    }

    fn drop_oldest(&self, state: &mut State) -> bool {
        let oldest = state.messages.iter().position(|each| !each.is_kept());
        let Some(dropped) = oldest.and_then(|place| state.messages.remove(place)) else {
            return false;
        };
        state.bytes -= dropped.payload.len();
        self.counters.dropped.count();
        true
    }

    /// Waits for messages, takes so many at most; `false` once it is closed and empty. Nothing is lost when the future is
    /// dropped.
    pub(super) async fn take(&self, batch: &mut Vec<Outgoing>, messages_max: usize) -> bool {
        loop {
            if let Some(more) = self.try_take(batch, messages_max) {
                return more;
            }
            self.filled.notified().await;
        }
    }

    fn try_take(&self, batch: &mut Vec<Outgoing>, messages_max: usize) -> Option<bool> {
        let mut state = self.lock();
        if state.messages.is_empty() {
            return (state.phase == Phase::Closed).then_some(false);
        }
        let taken = state.messages.len().min(messages_max);
        batch.extend(state.messages.drain(..taken));
        state.bytes -= batch.iter().map(|each| each.payload.len()).sum::<usize>();
        drop(state);
        self.drained.notify_waiters();
        Some(true)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
