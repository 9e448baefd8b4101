//! What waits to be published.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::counters::Counters;
use super::publisher::PublishError;
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

/// One payload, and where it goes; a second topic follows at once.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) topic: Topic,
    pub(super) then: Option<Topic>,
    pub(super) payload: Bytes,
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

/// Bounds of the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueLimits {
    pub(super) messages_max: usize,
    pub(super) bytes_max: usize,
    pub(super) payload_bytes_max: usize,
    pub(super) when_full: WhenFull,
}

/// Taken at once, so that a heartbeat is not late by more than these.
const BATCH_MAX: usize = 64;

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
            }),
            filled: Notify::new(),
            drained: Notify::new(),
            limits,
            counters,
        }
    }

    pub(super) fn open(&self) {
        self.lock().phase = Phase::Open;
    }

    /// No more is accepted; what is there is still taken.
    pub(super) fn close(&self) {
        self.lock().phase = Phase::Closed;
        self.filled.notify_one();
        self.drained.notify_waiters();
    }

    /// Waits for room if the policy says so. If the future is dropped, nothing is queued.
    pub(super) async fn put(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        match self.limits.when_full {
            WhenFull::Block => self.put_waiting(outgoing).await,
            WhenFull::DropOldest | WhenFull::Refuse => self.try_put(outgoing),
        }
    }

    /// Waits for room whatever the policy. If the future is dropped, nothing is queued.
    pub(super) async fn put_waiting(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        self.check(&outgoing)?;
        let Some(mut waiting) = self.offer(outgoing)? else {
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
    pub(super) fn try_put(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        self.check(&outgoing)?;
        if self.offer(outgoing)?.is_some() {
            self.counters.refused_publications.count();
            return Err(PublishError::QueueFull);
        }
        Ok(())
    }

    fn check(&self, outgoing: &Outgoing) -> Result<(), PublishError> {
        let (bytes, bytes_max) = (outgoing.payload.len(), self.limits.payload_bytes_max);
        if bytes > bytes_max {
            self.counters.refused_publications.count();
            return Err(PublishError::TooLong { bytes, bytes_max });
        }
        Ok(())
    }

    /// Gives it back if there is no room.
    fn offer(&self, outgoing: Outgoing) -> Result<Option<Outgoing>, PublishError> {
        let mut state = self.lock();
        match state.phase {
            Phase::New => return Err(PublishError::NotStarted),
            Phase::Closed => return Err(PublishError::Stopped),
            Phase::Open => {}
        }
        let bytes = outgoing.payload.len();
        while !self.has_room(&state, bytes) {
            if self.limits.when_full != WhenFull::DropOldest || !self.drop_oldest(&mut state) {
                return Ok(Some(outgoing));
            }
        }
        state.bytes += bytes;
        state.messages.push_back(outgoing);
        let was_empty = state.messages.len() == 1;
        drop(state);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(None)
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

    /// Waits for messages; `false` once it is closed and empty. Nothing is lost when the future is dropped.
    pub(super) async fn take(&self, batch: &mut Vec<Outgoing>) -> bool {
        loop {
            if let Some(more) = self.try_take(batch) {
                return more;
            }
            self.filled.notified().await;
        }
    }

    fn try_take(&self, batch: &mut Vec<Outgoing>) -> Option<bool> {
        let mut state = self.lock();
        if state.messages.is_empty() {
            return (state.phase == Phase::Closed).then_some(false);
        }
        let taken = state.messages.len().min(BATCH_MAX);
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
