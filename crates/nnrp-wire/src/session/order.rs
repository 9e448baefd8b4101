//! Results in the order of their frames. spec: nnrp-session 6

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use thiserror::Error;

use super::frame::FrameKey;

/// How results are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderOptions {
    /// The frame to begin with, for strict order: each frame waits for the one before it. Without, the smallest of those
    /// that are there comes next, whatever is missing.
    pub start: Option<u32>,
    /// Items at most.
    pub items_max: usize,
    /// How long strict order waits for a frame before it goes on without; `None` is for ever.
    pub gap_timeout: Option<Duration>,
}

impl Default for OrderOptions {
    /// Not strict, 1024 items.
    fn default() -> Self {
        Self {
            start: None,
            items_max: 1024,
            gap_timeout: None,
        }
    }
}

/// Why an item is not taken. It comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OrderRefusal {
    /// There are too many.
    #[error("{items_max} results wait to be taken, which is the limit: take some")]
    Full {
        /// How many there may be.
        items_max: usize,
    },
    /// Strict order is past its frame.
    #[error("frame {frame_id} was given out or skipped before")]
    Late {
        /// The frame.
        frame_id: u32,
    },
}

/// An ordered buffer: what came in any order goes out by frame, and within a frame by view and then as it came.
///
/// In strict order a frame is gone past when it is finished ([`Self::finish`]: its last result has come, or will never
/// come), skipped, or missing for too long.
#[derive(Debug, Clone)]
pub struct ResultOrder<T> {
    options: OrderOptions,
    frames: BTreeMap<FrameKey, VecDeque<T>>,
    /// Frames that nothing will be added to.
    finished: BTreeSet<u32>,
    items: usize,
    /// Strict order is here; past the largest id it is at an end.
    next: Option<u64>,
    /// Below it, it waits for nothing.
    floor: u64,
    gap_deadline: Option<Duration>,
    skipped: u64,
}

impl<T> ResultOrder<T> {
    /// Empty.
    #[must_use]
    pub fn new(options: OrderOptions) -> Self {
        Self {
            options,
            frames: BTreeMap::new(),
            finished: BTreeSet::new(),
            items: 0,
            next: options.start.map(u64::from),
            floor: 0,
            gap_deadline: None,
            skipped: 0,
        }
    }

    /// Adds what came of a frame, behind what came of it before.
    ///
    /// # Errors
    /// With the item, if it is not taken.
    pub fn add(&mut self, key: FrameKey, item: T, now: Duration) -> Result<(), (OrderRefusal, T)> {
        let frame_id = key.frame_id;
        if self.is_past(frame_id) {
            return Err((OrderRefusal::Late { frame_id }, item));
        }
        // The frame that all others wait for has a place always, or they would wait for ever.
        let is_next = self.next == Some(u64::from(frame_id));
        let is_awaited = is_next && !self.has_next();
        if self.items >= self.options.items_max && !is_awaited {
            let items_max = self.options.items_max;
            return Err((OrderRefusal::Full { items_max }, item));
        }
        self.frames.entry(key).or_default().push_back(item);
        self.items += 1;
        self.watch_gap(now);
        Ok(())
    }

    /// Nothing more will come of a frame: its last result, RESULT_DROP, or an error has. Without effect unless in strict
    /// order. Says whether it is remembered until its turn: as many frames as items are; behind them, use [`Self::skip`].
    pub fn finish(&mut self, frame_id: u32, now: Duration) -> bool {
        if self.next.is_none() || self.is_past(frame_id) {
            return true;
        }
        let is_next = self.next == Some(u64::from(frame_id));
        let has_room = is_next || self.finished.len() < self.options.items_max;
        if has_room {
            self.finished.insert(frame_id);
        }
        self.go_on(now);
        has_room
    }

    /// Strict order waits for no frame up to this one; what is there of them is given out first.
    pub fn skip(&mut self, frame_id: u32, now: Duration) {
        self.floor = self.floor.max(u64::from(frame_id) + 1);
        self.go_on(now);
    }

    /// The frame that would be given out next, if any is there.
    #[must_use]
    pub fn peek_next_frame_id(&self) -> Option<u32> {
        let (key, _) = self.frames.first_key_value()?;
        let is_its_turn = self.next.is_none_or(|next| u64::from(key.frame_id) == next);
        is_its_turn.then_some(key.frame_id)
    }

    /// Takes the next item; with `expected` only if it is of that frame.
    pub fn pop_next(&mut self, expected: Option<u32>, now: Duration) -> Option<(FrameKey, T)> {
        let frame_id = self.peek_next_frame_id()?;
        if expected.is_some_and(|expected| expected != frame_id) {
            return None;
        }
        let (key, _) = self.frames.first_key_value()?;
        self.pop_key(*key, now)
    }

    /// Takes the first item of a frame, whatever its place.
    pub fn pop_frame(&mut self, frame_id: u32, now: Duration) -> Option<(FrameKey, T)> {
        let (key, _) = self.frames.range(range_of(frame_id)).next()?;
        self.pop_key(*key, now)
    }

    /// Strict order goes on without a frame that was missing for too long.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.gap_deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        self.gap_deadline = None;
        if let (Some(next), Some((key, _))) = (self.next, self.frames.first_key_value()) {
            let frame_id = u64::from(key.frame_id);
            let missing = frame_id.saturating_sub(next);
            let finished = self.finished.range(..key.frame_id).count() as u64;
            self.skipped += missing.saturating_sub(finished);
            self.next = Some(frame_id);
            self.forget_past();
        }
        self.watch_gap(now);
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub const fn next_timeout(&self) -> Option<Duration> {
        self.gap_deadline
    }

    /// Items that wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.items
    }

    /// Whether none does.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Frames that strict order went on without because they were missing for too long.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    fn pop_key(&mut self, key: FrameKey, now: Duration) -> Option<(FrameKey, T)> {
        let items = self.frames.get_mut(&key)?;
        let item = items.pop_front()?;
        if items.is_empty() {
            self.frames.remove(&key);
        }
        self.items -= 1;
        self.go_on(now);
        Some((key, item))
    }

    fn has_next(&self) -> bool {
        self.peek_next_frame_id().is_some()
    }

    fn is_past(&self, frame_id: u32) -> bool {
        let start = self.next.map(|next| next.max(self.floor));
        start.is_some_and(|start| u64::from(frame_id) < start) || self.finished.contains(&frame_id)
    }

    /// Past what is over.
    fn go_on(&mut self, now: Duration) {
        while let Some(next) = self.next {
            let first = self.frames.first_key_value();
            let there = first.map_or(u64::MAX, |(key, _)| u64::from(key.frame_id));
            let is_finished = u32::try_from(next).is_ok_and(|next| self.finished.contains(&next));
            self.next = Some(if there <= next {
                break;
            } else if next < self.floor {
                self.floor.min(there)
            } else if is_finished {
                next + 1
            } else {
                break;
            });
            self.forget_past();
        }
        self.watch_gap(now);
    }

    fn forget_past(&mut self) {
        let past = |frame_id: &u32| self.next.is_some_and(|next| u64::from(*frame_id) < next);
        while self.finished.first().is_some_and(past) {
            self.finished.pop_first();
        }
    }

    /// The wait for a missing frame begins when there is something behind it.
    fn watch_gap(&mut self, now: Duration) {
        let is_waiting = self.next.is_some() && self.items > 0 && !self.has_next();
        self.gap_deadline = match (self.options.gap_timeout, is_waiting) {
            (Some(timeout), true) => Some(
                self.gap_deadline
                    .unwrap_or_else(|| now.saturating_add(timeout)),
            ),
            (None, _) | (_, false) => None,
        };
    }
}

/// All views of a frame.
const fn range_of(frame_id: u32) -> std::ops::RangeInclusive<FrameKey> {
    FrameKey::new(frame_id)..=FrameKey {
        frame_id,
        view_id: u16::MAX,
    }
}
