//! What became of each frame. spec: nnrp-session 3.4, 5.4

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use thiserror::Error;

use crate::header::Header;
use crate::message::Envelope;

/// What a frame is known by within its session. Views count as frames of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameKey {
    /// The frame.
    pub frame_id: u32,
    /// A view or lane within it.
    pub view_id: u16,
}

impl FrameKey {
    /// A frame's first view.
    #[must_use]
    pub const fn new(frame_id: u32) -> Self {
        Self {
            frame_id,
            view_id: 0,
        }
    }
}

impl From<&Envelope> for FrameKey {
    fn from(envelope: &Envelope) -> Self {
        Self {
            frame_id: envelope.frame_id,
            view_id: envelope.view_id,
        }
    }
}

impl From<&Header> for FrameKey {
    fn from(header: &Header) -> Self {
        Self::from(&Envelope::from(header))
    }
}

/// Where a frame is that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameState {
    /// It waits for credit.
    Pending,
    /// It was submitted.
    InFlight,
    /// It was submitted, and a result has come that is not the last.
    Partial,
    /// Nobody wants it any more, and it has been reported as ended; it counts as in flight for the other side until that
    /// answers, or has had time to.
    Cancelling,
}

/// How a frame ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameOutcome {
    /// With all of its result; or with what came of it, where the consumer or the end of the stream says so.
    Complete,
    /// With an older frame's result.
    Stale,
    /// With a result of lower quality.
    Degraded,
    /// Without a result, by RESULT_DROP.
    Dropped,
    /// This side did not want it any more.
    Cancelled,
    /// Its deadline on this side passed.
    Expired,
    /// With an error, of it alone.
    Error,
    /// With the session; or, where that has moved, with the connection that its submit or result went by.
    ConnectionLost,
}

impl FrameOutcome {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Complete,
        Self::Stale,
        Self::Degraded,
        Self::Dropped,
        Self::Cancelled,
        Self::Expired,
        Self::Error,
        Self::ConnectionLost,
    ];
}

/// Why a frame cannot begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SlotRefusal {
    /// There are as many frames as there may be.
    #[error("{slots_max} frames have not ended yet, which is the limit: wait for results")]
    Full {
        /// How many there may be.
        slots_max: usize,
    },
    /// A frame of this key has not ended.
    #[error("the frame has not ended yet: submit the next one under another id")]
    InUse,
}

/// How many frames, at each moment: submitted = done + in flight + pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameCounts {
    /// All there have been.
    pub submitted: u64,
    /// Those that wait for credit.
    pub pending: u64,
    /// Those that were sent, and have not ended.
    pub in_flight: u64,
    /// Those that have ended, by [`FrameOutcome`] in the order of [`FrameOutcome::ALL`].
    pub done: [u64; FrameOutcome::ALL.len()],
    /// Those among the ended that the other side has yet to answer.
    pub cancelling: u64,
}

impl FrameCounts {
    /// Those that have ended so.
    #[must_use]
    pub const fn done_as(&self, outcome: FrameOutcome) -> u64 {
        self.done[outcome as usize]
    }

    /// Those that have ended.
    #[must_use]
    pub fn done_total(&self) -> u64 {
        self.done.iter().sum()
    }
}

#[derive(Debug)]
struct Slot<T> {
    state: FrameState,
    deadline: Option<Duration>,
    data: T,
}

/// A bounded table of the frames that have not ended, with what the caller knows of each, and the last that have.
#[derive(Debug)]
pub struct FrameSlots<T> {
    slots_max: usize,
    finished_max: usize,
    slots: BTreeMap<FrameKey, Slot<T>>,
    deadlines: BTreeSet<(Duration, FrameKey)>,
    finished: VecDeque<FrameKey>,
    /// The same, to be found.
    finished_keys: HashSet<FrameKey>,
    counts: FrameCounts,
}

impl<T> FrameSlots<T> {
    /// Room for `slots_max` frames that have not ended; the last `finished_max` that have are remembered.
    #[must_use]
    pub fn new(slots_max: usize, finished_max: usize) -> Self {
        Self {
            slots_max,
            finished_max,
            slots: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            finished: VecDeque::new(),
            finished_keys: HashSet::new(),
            counts: FrameCounts {
                submitted: 0,
                pending: 0,
                in_flight: 0,
                done: [0; FrameOutcome::ALL.len()],
                cancelling: 0,
            },
        }
    }

    /// Whether a frame can begin.
    ///
    /// # Errors
    /// If not.
    pub fn check_open(&self, key: FrameKey) -> Result<(), SlotRefusal> {
        if self.slots.contains_key(&key) {
            return Err(SlotRefusal::InUse);
        }
        if self.slots.len() >= self.slots_max {
            return Err(SlotRefusal::Full {
                slots_max: self.slots_max,
            });
        }
        Ok(())
    }

    /// Begins a frame: it waits for credit, or is in flight.
    ///
    /// # Errors
    /// As [`Self::check_open`].
    pub fn open(&mut self, key: FrameKey, is_pending: bool, data: T) -> Result<(), SlotRefusal> {
        self.check_open(key)?;
        if self.finished_keys.remove(&key) {
            self.finished.retain(|finished| *finished != key);
        }
        let state = if is_pending {
            FrameState::Pending
        } else {
            FrameState::InFlight
        };
        let slot = Slot {
            state,
            deadline: None,
            data,
        };
        self.slots.insert(key, slot);
        self.counts.submitted += 1;
        *self.count(state) += 1;
        Ok(())
    }

    /// Where a frame is; `None` if it has ended, or never was.
    #[must_use]
    pub fn state(&self, key: FrameKey) -> Option<FrameState> {
        self.slots.get(&key).map(|slot| slot.state)
    }

    /// What the caller knows of a frame.
    #[must_use]
    pub fn get(&self, key: FrameKey) -> Option<&T> {
        self.slots.get(&key).map(|slot| &slot.data)
    }

    /// What the caller knows of a frame.
    pub fn get_mut(&mut self, key: FrameKey) -> Option<&mut T> {
        self.slots.get_mut(&key).map(|slot| &mut slot.data)
    }

    /// Whether it is one of the last frames that have ended.
    #[must_use]
    pub fn is_finished(&self, key: FrameKey) -> bool {
        self.finished_keys.contains(&key)
    }

    /// Frames that have not ended, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (FrameKey, FrameState, &T)> {
        self.slots
            .iter()
            .map(|(key, slot)| (*key, slot.state, &slot.data))
    }

    /// The first frame behind `after`; to go through all of them while they change.
    #[must_use]
    pub fn next_after(&self, after: Option<FrameKey>) -> Option<FrameKey> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, Excluded);
        let mut behind = self.slots.range((start, Unbounded));
        behind.next().map(|(key, _)| *key)
    }

    /// How many there are.
    #[must_use]
    pub const fn counts(&self) -> FrameCounts {
        self.counts
    }

    /// Whether any is in flight or waits for credit; those being cancelled are not counted.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.counts.in_flight == 0 && self.counts.pending == 0
    }

    /// Pending becomes in flight. Says whether it did.
    pub fn start(&mut self, key: FrameKey) -> bool {
        self.step(key, FrameState::Pending, FrameState::InFlight)
    }

    /// In flight becomes partial. Says whether it did.
    pub fn partial(&mut self, key: FrameKey) -> bool {
        self.step(key, FrameState::InFlight, FrameState::Partial)
    }

    /// In flight or partial becomes cancelling; from now on it counts as ended like this. Says whether it did.
    pub fn cancel(&mut self, key: FrameKey, outcome: FrameOutcome) -> bool {
        let is_cancelled = self.step(key, FrameState::InFlight, FrameState::Cancelling)
            || self.step(key, FrameState::Partial, FrameState::Cancelling);
        if is_cancelled {
            self.counts.done[outcome as usize] += 1;
        }
        is_cancelled
    }

    /// Ends a frame. A cancelled one has been counted by then, so that `outcome` says nothing of it.
    pub fn finish(&mut self, key: FrameKey, outcome: FrameOutcome) -> Option<T> {
        self.set_deadline(key, None);
        let slot = self.slots.remove(&key)?;
        *self.count(slot.state) -= 1;
        if slot.state != FrameState::Cancelling {
            self.counts.done[outcome as usize] += 1;
        }
        self.remember(key);
        Some(slot.data)
    }

    fn remember(&mut self, key: FrameKey) {
        if self.finished_max == 0 {
            return;
        }
        if self.finished.len() >= self.finished_max
            && let Some(oldest) = self.finished.pop_front()
        {
            self.finished_keys.remove(&oldest);
        }
        self.finished.push_back(key);
        self.finished_keys.insert(key);
    }

    /// When something is to happen to it.
    pub fn set_deadline(&mut self, key: FrameKey, deadline: Option<Duration>) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        if let Some(before) = std::mem::replace(&mut slot.deadline, deadline) {
            self.deadlines.remove(&(before, key));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, key));
        }
    }

    /// A frame whose deadline has come. The deadline is over then.
    pub fn due(&mut self, now: Duration) -> Option<FrameKey> {
        let (deadline, key) = *self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.set_deadline(key, None);
        Some(key)
    }

    /// The next deadline of any.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn step(&mut self, key: FrameKey, from: FrameState, to: FrameState) -> bool {
        match self.slots.get_mut(&key) {
            Some(slot) if slot.state == from => slot.state = to,
            Some(_) | None => return false,
        }
        *self.count(from) -= 1;
        *self.count(to) += 1;
        true
    }

    const fn count(&mut self, state: FrameState) -> &mut u64 {
        match state {
            FrameState::Pending => &mut self.counts.pending,
            FrameState::InFlight | FrameState::Partial => &mut self.counts.in_flight,
            FrameState::Cancelling => &mut self.counts.cancelling,
        }
    }
}
