//! What has come and was not received yet: a slot for each frame. spec: nnrp-session 12.5
//!
//! Each slot is somebody's (a receiver's of that frame, a call's) or nobody's, and then [`Inbox::next`] gives what is in it.
//! A slot is there from the submit until its end was received. It has a lock of its own: receivers do not hold up
//! the session.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use nnrp_wire::session::FrameKey;
use tokio::sync::Notify;
use tracing::Span;

use super::error::{ReceiveError, SessionEnd};
use super::frame::{FrameEnd, FrameItem, FrameResult};
use super::options::InboxLimits;
use super::waiters::{WaiterId, WaiterIds, Waiters};

/// What an item holds of the memory beside its body: none is free.
const ITEM_BYTES: u64 = 512;

#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    /// Something has come that is nobody's, or the session is over.
    arrived: Notify,
}

#[derive(Debug)]
struct State {
    limits: InboxLimits,
    slots: HashMap<FrameKey, Slot>,
    waiter_ids: WaiterIds,
    /// What is nobody's, in the order it came in.
    unclaimed: BTreeMap<u64, FrameKey>,
    arrivals: u64,
    items: usize,
    bytes: u64,
    /// The reader was told to wait.
    is_stopped: bool,
    /// Nobody will receive any more.
    is_abandoned: bool,
    discarded: u64,
    end: Option<SessionEnd>,
}

/// Whose a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Nobody,
    /// Somebody receives it item by item.
    Receiver,
    /// Somebody wants the last result only, and not before the end.
    Call,
}

#[derive(Debug)]
struct Slot {
    owner: Owner,
    items: VecDeque<Item>,
    waiters: Waiters,
    span: Span,
    superseded: u64,
}

#[derive(Debug)]
struct Item {
    number: u64,
    bytes: u64,
    content: FrameItem,
}

/// What was taken out, and whether the reader has to be told that there is room again.
#[derive(Debug)]
pub(super) struct Taken<T> {
    pub(super) content: T,
    pub(super) has_made_room: bool,
}

/// All that a call wants to know.
#[derive(Debug)]
pub(super) struct CallEnd {
    pub(super) result: Option<FrameResult>,
    pub(super) end: FrameEnd,
    pub(super) superseded: u64,
}

impl Inbox {
    pub(super) fn new(limits: InboxLimits) -> Self {
        Self {
            state: Mutex::new(State {
                // Without any room, nothing would ever be read.
                limits: InboxLimits {
                    items_max: limits.items_max.max(1),
                    bytes_max: limits.bytes_max.max(1),
                },
                slots: HashMap::new(),
                waiter_ids: WaiterIds::default(),
                unclaimed: BTreeMap::new(),
                arrivals: 0,
                items: 0,
                bytes: 0,
                is_stopped: false,
                is_abandoned: false,
                discarded: 0,
                end: None,
            }),
            arrived: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A frame is about to be submitted. Says whether there was no slot of it.
    pub(super) fn open(&self, key: FrameKey, owner: Owner, span: &Span) -> bool {
        match self.lock().slots.entry(key) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(Slot {
                    owner,
                    items: VecDeque::new(),
                    waiters: Waiters::default(),
                    span: span.clone(),
                    superseded: 0,
                });
                true
            }
        }
    }

    /// Something has come.
    pub(super) fn push(&self, key: FrameKey, content: FrameItem) {
        let mut state = self.lock();
        if state.push(key, content) {
            drop(state);
            self.arrived.notify_one();
        }
    }

    /// From now on the frame is its receiver's.
    pub(super) fn claim(&self, key: FrameKey) {
        self.lock().claim(key);
    }

    /// The frame is nobody's again.
    pub(super) fn unclaim(&self, key: FrameKey) {
        let count = self.lock().unclaim(key);
        for _ in 0..count {
            self.arrived.notify_one();
        }
    }

    /// Nobody wants the frame any more. What comes of it is left out.
    pub(super) fn forget(&self, key: FrameKey) -> Taken<()> {
        let mut state = self.lock();
        state.forget(key);
        state.taken(())
    }

    /// The frame's next item, which is claimed by this.
    pub(super) fn poll_item(
        &self,
        key: FrameKey,
        waiter: &mut Option<WaiterId>,
        context: &Context<'_>,
    ) -> Poll<Result<Taken<FrameItem>, ReceiveError>> {
        let state = &mut *self.lock();
        state.claim(key);
        let slot = state.slots.get_mut(&key);
        let Some(slot) = slot.filter(|slot| slot.owner != Owner::Call) else {
            return Poll::Ready(Err(state.no_frame(key)));
        };
        if slot.items.is_empty() {
            slot.waiters.wait(waiter, context, &mut state.waiter_ids);
            return Poll::Pending;
        }
        let content = state.take_first(key);
        Poll::Ready(match content {
            Some(content) => Ok(state.taken(content)),
            None => Err(state.no_frame(key)),
        })
    }

    /// How the frame of a call has ended.
    pub(super) fn poll_call(
        &self,
        key: FrameKey,
        waiter: &mut Option<WaiterId>,
        context: &Context<'_>,
    ) -> Poll<Result<Taken<CallEnd>, ReceiveError>> {
        let state = &mut *self.lock();
        let Some(slot) = state.slots.get_mut(&key) else {
            return Poll::Ready(Err(state.no_frame(key)));
        };
        let is_over = matches!(slot.items.back(), Some(item) if item.is_end());
        if !is_over {
            slot.waiters.wait(waiter, context, &mut state.waiter_ids);
            return Poll::Pending;
        }
        let superseded = slot.superseded;
        let mut result = None;
        while let Some(content) = state.take_first(key) {
            match content {
                FrameItem::Result(last) => result = Some(last),
                FrameItem::Hint(_) => {}
                FrameItem::End(end) => {
                    let end = CallEnd {
                        result,
                        end,
                        superseded,
                    };
                    return Poll::Ready(Ok(state.taken(end)));
                }
            }
        }
        Poll::Ready(Err(state.no_frame(key)))
    }

    /// A waiter does not wait any more.
    pub(super) fn leave(&self, key: FrameKey, waiter: WaiterId) {
        if let Some(slot) = self.lock().slots.get_mut(&key) {
            slot.waiters.leave(waiter);
        }
    }

    /// The next item of any frame that is nobody's. Nothing is lost if this is dropped.
    pub(super) async fn next(&self) -> Result<Taken<(FrameKey, FrameItem)>, SessionEnd> {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            if let Some(next) = self.try_next() {
                return next;
            }
            arrived.await;
        }
    }

    pub(super) fn try_next(&self) -> Option<Result<Taken<(FrameKey, FrameItem)>, SessionEnd>> {
        let mut state = self.lock();
        let first = state.unclaimed.first_key_value().map(|(_, key)| *key);
        match first {
            Some(key) => {
                let content = state.take_first(key)?;
                Some(Ok(state.taken((key, content))))
            }
            None => state.end.clone().map(Err),
        }
    }

    /// Nothing comes any more. What has come can be received.
    pub(super) fn end(&self, end: SessionEnd) {
        let mut state = self.lock();
        state.end.get_or_insert(end);
        for slot in state.slots.values_mut() {
            slot.waiters.wake();
        }
        drop(state);
        self.arrived.notify_waiters();
    }

    /// Nobody will receive anything any more.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.is_abandoned = true;
        let keys: Vec<_> = state.slots.keys().copied().collect();
        for key in keys {
            state.forget(key);
        }
    }

    /// Whether the reader has to wait. If so, whoever takes something out says when that is over.
    pub(super) fn is_full(&self) -> bool {
        let mut state = self.lock();
        state.is_stopped = state.is_full();
        state.is_stopped
    }

    /// Items that wait, their bytes, and items that were left out as nobody wanted them.
    pub(super) fn counts(&self) -> (usize, u64, u64) {
        let state = self.lock();
        (state.items, state.bytes, state.discarded)
    }
}

impl State {
    const fn is_full(&self) -> bool {
        !self.is_abandoned
            && (self.items >= self.limits.items_max || self.bytes >= self.limits.bytes_max)
    }

    /// Says whether it is nobody's.
    fn push(&mut self, key: FrameKey, content: FrameItem) -> bool {
        let Some(slot) = self.slots.get_mut(&key).filter(|_| !self.is_abandoned) else {
            self.discarded += 1;
            return false;
        };
        let bytes = match &content {
            FrameItem::Result(result) => result.result.body_bytes(),
            FrameItem::Hint(_) | FrameItem::End(_) => 0,
        };
        let bytes = bytes.saturating_add(ITEM_BYTES);
        let is_end = matches!(content, FrameItem::End(_));
        if let FrameItem::End(end) = &content {
            slot.span
                .record("outcome", tracing::field::debug(end.outcome));
        }
        if slot.owner == Owner::Call && !is_end {
            let before = std::mem::take(&mut slot.items);
            let is_result = matches!(content, FrameItem::Result(_));
            if !is_result {
                slot.items = before;
                return false;
            }
            slot.superseded += before.len() as u64;
            self.items -= before.len();
            self.bytes -= before.iter().map(|item| item.bytes).sum::<u64>();
        }
        self.arrivals += 1;
        slot.items.push_back(Item {
            number: self.arrivals,
            bytes,
            content,
        });
        self.items += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if slot.owner != Owner::Call || is_end {
            slot.waiters.wake();
        }
        let is_nobodys = slot.owner == Owner::Nobody;
        if is_nobodys {
            self.unclaimed.insert(self.arrivals, key);
        }
        is_nobodys
    }

    fn claim(&mut self, key: FrameKey) {
        let Some(slot) = self.slots.get_mut(&key) else {
            return;
        };
        if slot.owner == Owner::Nobody {
            slot.owner = Owner::Receiver;
            for item in &slot.items {
                self.unclaimed.remove(&item.number);
            }
        }
    }

    fn unclaim(&mut self, key: FrameKey) -> usize {
        let slot = self.slots.get_mut(&key);
        let Some(slot) = slot.filter(|slot| slot.owner == Owner::Receiver) else {
            return 0;
        };
        slot.owner = Owner::Nobody;
        let numbers = slot.items.iter().map(|item| (item.number, key));
        self.unclaimed.extend(numbers);
        slot.items.len()
    }

    /// With its end, the slot is gone.
    fn take_first(&mut self, key: FrameKey) -> Option<FrameItem> {
        let slot = self.slots.get_mut(&key)?;
        let item = slot.items.pop_front()?;
        if slot.owner == Owner::Nobody {
            self.unclaimed.remove(&item.number);
        }
        self.items -= 1;
        self.bytes -= item.bytes;
        if item.is_end() {
            self.remove(key);
        }
        Some(item.content)
    }

    fn forget(&mut self, key: FrameKey) {
        while self.take_first(key).is_some() {
            self.discarded += 1;
        }
        self.remove(key);
    }

    fn remove(&mut self, key: FrameKey) {
        if let Some(mut slot) = self.slots.remove(&key) {
            slot.waiters.wake();
        }
    }

    fn no_frame(&self, key: FrameKey) -> ReceiveError {
        match &self.end {
            Some(end) => ReceiveError::Over(end.clone()),
            None => ReceiveError::UnknownFrame { key },
        }
    }

    fn taken<T>(&mut self, content: T) -> Taken<T> {
        let has_made_room = self.is_stopped && !self.is_full();
        if has_made_room {
            self.is_stopped = false;
        }
        Taken {
            content,
            has_made_room,
        }
    }
}

impl Item {
    const fn is_end(&self) -> bool {
        matches!(self.content, FrameItem::End(_))
    }
}
