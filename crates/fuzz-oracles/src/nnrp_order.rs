//! Ordered results beside a list that is searched each time. spec: nnrp-session 6
//!
//! An input is how results are ordered, then a list of operations.

use std::collections::BTreeSet;
use std::time::Duration;

use nnrp_wire::session::{FrameKey, OrderOptions, OrderRefusal, ResultOrder};

use crate::nnrp_operations::Operations;

/// Frames of an input are this many behind one another at most, so that the model can go one by one.
const FRAMES: u32 = 12;

/// Each item that is taken comes out once; strict order gives frames out one behind the other, and passes only those that
/// are finished, skipped, or missing for too long.
pub fn nnrp_order(data: &[u8]) {
    let mut operations = Operations::new(data);
    let mut order = Order::new(&mut operations);
    while !operations.is_empty() {
        order.apply(&mut operations);
        order.check();
    }
    order.empty();
}

struct Order {
    order: ResultOrder<usize>,
    options: OrderOptions,
    /// The least frame id of this input.
    base: u32,
    /// What waits, in the order in which it came; an item is how many there were before.
    waiting: Vec<(FrameKey, usize)>,
    added: usize,
    taken: BTreeSet<usize>,
    /// Where strict order is.
    next: Option<u64>,
    floor: u64,
    finished: BTreeSet<u64>,
    gap_since: Option<Duration>,
    skipped: u64,
    last_given: u32,
    now: Duration,
}

impl Order {
    fn new(operations: &mut Operations<'_>) -> Self {
        let how = operations.byte();
        let base = if how & 1 == 0 { 0 } else { u32::MAX - FRAMES };
        let start = (how & 2 != 0).then_some(base + u32::from(how >> 6));
        let options = OrderOptions {
            start,
            items_max: usize::from(operations.byte() % 6),
            gap_timeout: (how & 4 != 0).then_some(Duration::from_millis(5)),
        };
        Self {
            order: ResultOrder::new(options),
            options,
            base,
            waiting: Vec::new(),
            added: 0,
            taken: BTreeSet::new(),
            next: start.map(u64::from),
            floor: 0,
            finished: BTreeSet::new(),
            gap_since: None,
            skipped: 0,
            last_given: 0,
            now: Duration::ZERO,
        }
    }

    fn apply(&mut self, operations: &mut Operations<'_>) {
        match operations.byte() % 8 {
            0..=2 => {
                let frame_id = self.frame_id(operations);
                let view_id = u16::from(operations.byte() % 3);
                self.add(FrameKey { frame_id, view_id });
            }
            3 => {
                let expected = (operations.byte() & 1 != 0).then(|| self.frame_id(operations));
                self.pop_next(expected);
            }
            4 => {
                let frame_id = self.frame_id(operations);
                self.pop_frame(frame_id);
            }
            5 => {
                let frame_id = self.frame_id(operations);
                self.finish(frame_id);
            }
            6 => {
                let frame_id = self.frame_id(operations);
                self.order.skip(frame_id, self.now);
                self.floor = self.floor.max(u64::from(frame_id) + 1);
                self.settle();
            }
            _ => self.pass(Duration::from_millis(u64::from(operations.byte() % 8))),
        }
    }

    fn frame_id(&self, operations: &mut Operations<'_>) -> u32 {
        self.base + u32::from(operations.byte()) % (FRAMES + 1)
    }

    fn add(&mut self, key: FrameKey) {
        let (frame_id, item) = (key.frame_id, self.added);
        let items_max = self.options.items_max;
        let is_awaited = self.next == Some(frame_id.into()) && self.first_of(frame_id).is_none();
        let expected = if self.is_past(frame_id) {
            Err((OrderRefusal::Late { frame_id }, item))
        } else if self.waiting.len() >= items_max && !is_awaited {
            Err((OrderRefusal::Full { items_max }, item))
        } else {
            self.waiting.push((key, item));
            self.added += 1;
            Ok(())
        };
        assert_eq!(self.order.add(key, item, self.now), expected);
        self.settle();
    }

    fn pop_next(&mut self, expected: Option<u32>) {
        let next = self.next_frame_id();
        let wanted = next.filter(|next| expected.is_none_or(|expected| expected == *next));
        let taken = self.order.pop_next(expected, self.now);
        assert_eq!(taken, wanted.and_then(|frame_id| self.first_of(frame_id)));
        if let Some((key, item)) = taken {
            self.take(item);
            if self.next.is_some() {
                assert!(key.frame_id >= self.last_given, "{key:?} goes back");
                self.last_given = key.frame_id;
            }
        }
        self.settle();
    }

    fn pop_frame(&mut self, frame_id: u32) {
        let taken = self.order.pop_frame(frame_id, self.now);
        assert_eq!(taken, self.first_of(frame_id));
        if let Some((_, item)) = taken {
            self.take(item);
        }
        self.settle();
    }

    fn take(&mut self, item: usize) {
        assert!(self.taken.insert(item), "{item} came out twice");
        self.waiting.retain(|(_, other)| *other != item);
    }

    fn finish(&mut self, frame_id: u32) {
        let expected = if self.next.is_none() || self.is_past(frame_id) {
            true
        } else {
            let is_next = self.next == Some(frame_id.into());
            is_next || self.finished.len() < self.options.items_max
        };
        if self.next.is_some() && expected && !self.is_past(frame_id) {
            self.finished.insert(frame_id.into());
        }
        assert_eq!(self.order.finish(frame_id, self.now), expected);
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.order.handle_timeout(self.now);
        let timeout = self.options.gap_timeout;
        let since = self.gap_since.zip(timeout);
        if since.is_some_and(|(since, timeout)| since + timeout <= self.now)
            && let (Some(next), Some(first)) = (self.next, self.first_waiting())
        {
            let missing = next..u64::from(first.frame_id);
            let never_came = missing.filter(|frame_id| !self.finished.contains(frame_id));
            self.skipped += never_came.count() as u64;
            self.next = Some(first.frame_id.into());
            self.gap_since = None;
        }
        self.settle();
    }

    /// Past what is over, one by one; nothing that waits is passed.
    fn settle(&mut self) {
        let Some(mut next) = self.next else {
            return;
        };
        let waits = |frame_id| {
            let mut waiting = self.waiting.iter();
            waiting.any(|(key, _)| u64::from(key.frame_id) == frame_id)
        };
        while (next < self.floor || self.finished.contains(&next)) && !waits(next) {
            next += 1;
        }
        self.next = Some(next);
        self.finished.retain(|frame_id| *frame_id >= next);
        let is_gap = !self.waiting.is_empty() && !waits(next);
        self.gap_since = is_gap.then(|| self.gap_since.unwrap_or(self.now));
    }

    /// What is there of a frame, views in order, each as it came.
    fn first_of(&self, frame_id: u32) -> Option<(FrameKey, usize)> {
        let waiting = self.waiting.iter();
        let of_it = waiting.filter(|(key, _)| key.frame_id == frame_id);
        of_it.min().copied()
    }

    fn first_waiting(&self) -> Option<FrameKey> {
        self.waiting.iter().map(|(key, _)| *key).min()
    }

    fn next_frame_id(&self) -> Option<u32> {
        let first = self.first_waiting()?.frame_id;
        let is_its_turn = self.next.is_none_or(|next| next == u64::from(first));
        is_its_turn.then_some(first)
    }

    fn is_past(&self, frame_id: u32) -> bool {
        let frame_id = u64::from(frame_id);
        self.next.is_some_and(|next| {
            frame_id < next || frame_id < self.floor || self.finished.contains(&frame_id)
        })
    }

    fn check(&self) {
        let waiting = self.waiting.len();
        assert_eq!(self.order.len(), waiting);
        assert_eq!(self.order.is_empty(), waiting == 0);
        // One more for the frame that all others wait for.
        let room = self.options.items_max + usize::from(self.next.is_some());
        assert!(waiting <= room);
        assert_eq!(self.order.peek_next_frame_id(), self.next_frame_id());
        assert_eq!(self.order.skipped(), self.skipped);
        let timeout = self.options.gap_timeout;
        let deadline = self
            .gap_since
            .zip(timeout)
            .map(|(since, timeout)| since + timeout);
        assert_eq!(self.order.next_timeout(), deadline);
    }

    /// All that was taken comes out.
    fn empty(&mut self) {
        for frame_id in self.base..=self.base + FRAMES {
            while self.first_of(frame_id).is_some() {
                self.pop_frame(frame_id);
            }
        }
        self.check();
        assert!(self.order.is_empty());
        assert_eq!(self.taken.len(), self.added);
    }
}
