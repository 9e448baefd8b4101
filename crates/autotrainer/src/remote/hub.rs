//! All subscriptions of a remote, and what waits for each.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::counters::Counters;
use super::sequence::{IndexWatch, Merge};
use super::subscription::{Delivery, Gap, Message, SubscribeOptions, Subscription};
use crate::incoming::Received;
use crate::sequence::NUMBERED;
use crate::topic::Topic;

/// What waits for one reader.
#[derive(Debug)]
pub(super) struct Ring {
    options: SubscribeOptions,
    /// What is received for it, whether its reader gets it or not.
    prefixes: Vec<Vec<u8>>,
    state: Mutex<RingState>,
    filled: Notify,
    is_cancelled: AtomicBool,
    /// Cancelled once the socket has subscribed.
    applied: CancellationToken,
    /// Whether a lower index tells something.
    watches_index: bool,
    /// Whether a missing number tells something.
    watches_sequence: bool,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct RingState {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Dropped, and not told yet.
    dropped: u64,
    has_ended: bool,
    indices: IndexWatch,
    merge: Merge,
}

/// What waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) delivery: Delivery,
    /// The number that the service gave it.
    pub(super) sequence: Option<u64>,
    /// Whether nothing was received before it, so that nothing of that is lost.
    pub(super) is_beginning: bool,
    bytes: usize,
}

impl Entry {
    const fn of_gap(gap: Gap) -> Self {
        Self {
            delivery: Delivery::Gap(gap),
            sequence: None,
            is_beginning: false,
            bytes: 0,
        }
    }

    /// Before the first connection.
    fn of_beginning() -> Self {
        Self {
            is_beginning: true,
            ..Self::of_gap(Gap::Interrupted)
        }
    }
}

pub(super) enum Taken {
    Entry(Box<Entry>),
    Empty,
    Ended,
}

impl Ring {
    fn new(options: SubscribeOptions, has_one_service: bool, counters: Arc<Counters>) -> Self {
        let mut prefixes = options.prefixes.clone();
        let resumes = options.resume.is_some();
        if resumes {
            prefixes.extend(NUMBERED.map(Topic::subscription_prefix));
            prefixes.push(Topic::HEARTBEAT.subscription_prefix());
        }
        let mut numbered = [Topic::EVENT, Topic::EMERGENCY, Topic::PROPERTY_CHANGE].iter();
        let sees_all_numbers = numbered.all(|topic| options.admits(*topic));
        Self {
            // Who resumes watches the numbers itself.
            watches_index: has_one_service && !resumes,
            watches_sequence: has_one_service && !resumes && sees_all_numbers,
            options,
            prefixes,
            state: Mutex::default(),
            filled: Notify::new(),
            is_cancelled: AtomicBool::new(false),
            applied: CancellationToken::new(),
            counters,
        }
    }

    fn admits(&self, topic: Topic) -> bool {
        let frame = topic.to_frame();
        self.prefixes.iter().any(|prefix| frame.starts_with(prefix))
    }

    pub(super) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// `None` once the remote is closed and everything was read. Nothing is lost when the future is dropped.
    pub(super) async fn next(&self) -> Option<Entry> {
        loop {
            let filled = self.filled.notified();
            match self.take() {
                Taken::Entry(entry) => return Some(*entry),
                Taken::Ended => return None,
                Taken::Empty => filled.await,
            }
        }
    }

    pub(super) fn take(&self) -> Taken {
        let mut state = self.lock();
        let dropped = std::mem::take(&mut state.dropped);
        if dropped > 0 {
            return Taken::Entry(Box::new(Entry::of_gap(Gap::SlowReader(dropped))));
        }
        match state.entries.pop_front() {
            Some(entry) => {
                state.bytes -= entry.bytes;
                Taken::Entry(Box::new(entry))
            }
            None if state.has_ended => Taken::Ended,
            None => Taken::Empty,
        }
    }

    fn deliver(&self, received: &Received, message: &Message, sequence: Option<u64>) {
        let mut state = self.lock();
        let mut gap = self.sequence_gap(&mut state, received.topic, sequence);
        if let Message::Event { topic, event, .. } = message {
            // Who resumes knows the second by its number.
            let by_index = sequence.is_none() || self.options.resume.is_none();
            let merges = self.options.merge_emergencies && !self.options.verbatim && by_index;
            if merges && state.merge.is_copy(*topic, event) {
                self.counters.merged_emergencies.count();
                return;
            }
            if self.watches_index {
                let index_gap = state.indices.index_gap(event);
                gap = gap.or(index_gap);
            }
        }
        if let Some(gap) = gap {
            self.push(&mut state, Entry::of_gap(gap));
        }
        let message = match self.options.verbatim {
            true => verbatim(received),
            false => message.clone(),
        };
        let entry = Entry {
            delivery: Delivery::Message(message),
            sequence,
            is_beginning: false,
            bytes: received.payload.len(),
        };
        self.push(&mut state, entry);
    }

    /// A message whose payload cannot be read.
    fn deliver_unread(&self, received: &Received) {
        let entry = Entry {
            delivery: Delivery::Message(verbatim(received)),
            sequence: None,
            is_beginning: false,
            bytes: received.payload.len(),
        };
        self.push(&mut self.lock(), entry);
    }

    /// A message of this number went by, which the subscription does not want.
    fn pass(&self, topic: Topic, sequence: u64) {
        let mut state = self.lock();
        if let Some(gap) = self.sequence_gap(&mut state, topic, Some(sequence)) {
            self.push(&mut state, Entry::of_gap(gap));
        }
    }

    fn sequence_gap(
        &self,
        state: &mut RingState,
        topic: Topic,
        sequence: Option<u64>,
    ) -> Option<Gap> {
        let sequence = sequence.filter(|_| self.watches_sequence)?;
        match topic {
            Topic::HEARTBEAT => state.indices.heartbeat_gap(sequence),
            _ => state.indices.sequence_gap(sequence),
        }
    }

    fn interrupt(&self) {
        self.push(&mut self.lock(), Entry::of_gap(Gap::Interrupted));
    }

    fn begin(&self) {
        self.push(&mut self.lock(), Entry::of_beginning());
    }

    /// What is longer than all that may wait gets in alone.
    fn push(&self, state: &mut RingState, entry: Entry) {
        while !state.entries.is_empty() && !self.has_room(state, entry.bytes) {
            let Some(oldest) = state.entries.pop_front() else {
                break;
            };
            state.bytes -= oldest.bytes;
            // A gap that was not told is covered by the one that will be.
            if matches!(oldest.delivery, Delivery::Message(_)) {
                state.dropped += 1;
                self.counters.lagged.count();
            }
        }
        state.bytes += entry.bytes;
        state.entries.push_back(entry);
        self.filled.notify_waiters();
    }

    fn has_room(&self, state: &RingState, bytes: usize) -> bool {
        let fits = state.bytes.saturating_add(bytes) <= self.options.bytes_max;
        fits && state.entries.len() < self.options.messages_max.max(1)
    }

    fn end(&self) {
        self.lock().has_ended = true;
        self.applied.cancel();
        self.filled.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, RingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn verbatim(received: &Received) -> Message {
    Message::Other {
        topic: received.topic,
        payload: received.payload.clone(),
    }
}

/// All subscriptions of a remote.
#[derive(Debug)]
pub(super) struct Hub {
    rings: Mutex<Vec<Arc<Ring>>>,
    /// Subscriptions came or went.
    pub(super) changed: Notify,
    has_one_service: bool,
    has_ended: AtomicBool,
}

impl Hub {
    pub(super) fn new(has_one_service: bool) -> Self {
        Self {
            rings: Mutex::default(),
            changed: Notify::new(),
            has_one_service,
            has_ended: AtomicBool::new(false),
        }
    }

    /// Returns once the socket has subscribed. If the future is dropped, there is no subscription.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        options: SubscribeOptions,
        counters: Arc<Counters>,
    ) -> Subscription {
        let ring = Arc::new(Ring::new(options, self.has_one_service, counters));
        let subscription = Subscription::new(Arc::clone(&ring), Arc::clone(self));
        self.lock().push(Arc::clone(&ring));
        if self.has_ended.load(Ordering::SeqCst) {
            ring.end();
        }
        self.changed.notify_one();
        ring.applied.cancelled().await;
        subscription
    }

    /// Whether anybody wants this.
    pub(super) fn wants(&self, topic: Topic) -> bool {
        self.lock().iter().any(|ring| ring.admits(topic))
    }

    /// Results and heartbeats come by whoever wants them, so that no subscription misses their numbers.
    pub(super) fn deliver(&self, received: &Received, message: &Message, sequence: Option<u64>) {
        for ring in self.lock().iter() {
            if ring.admits(received.topic) {
                ring.deliver(received, message, sequence);
            } else if let Some(sequence) = sequence {
                ring.pass(received.topic, sequence);
            }
        }
    }

    /// Only to those who want messages as they came.
    pub(super) fn deliver_unread(&self, received: &Received) {
        let rings = self.lock();
        let wanting = rings
            .iter()
            .filter(|ring| ring.options.verbatim && ring.admits(received.topic));
        for ring in wanting {
            ring.deliver_unread(received);
        }
    }

    pub(super) fn interrupt(&self) {
        for ring in self.lock().iter() {
            ring.interrupt();
        }
    }

    /// What is published until the service knows the subscriptions of a new connection is missing for those that miss
    /// nothing.
    pub(super) fn opened(&self, is_first: bool) {
        let rings = self.lock();
        for ring in rings.iter().filter(|ring| ring.options.resume.is_some()) {
            if is_first {
                ring.begin();
            } else {
                ring.interrupt();
            }
        }
    }

    /// The prefixes of those that are not cancelled; the cancelled are forgotten.
    pub(super) fn prefixes(&self) -> Vec<Vec<u8>> {
        let mut rings = self.lock();
        rings.retain(|ring| !ring.is_cancelled.load(Ordering::Relaxed));
        let prefixes = rings.iter().flat_map(|ring| ring.prefixes.clone());
        prefixes.collect()
    }

    /// The socket has subscribed to these.
    pub(super) fn applied(&self, prefixes: &[Vec<u8>]) {
        for ring in self.lock().iter() {
            let all = ring.prefixes.iter();
            if all.clone().all(|prefix| prefixes.contains(prefix)) {
                ring.applied.cancel();
            }
        }
    }

    /// Nothing more will come.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        for ring in self.lock().iter() {
            ring.end();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Ring>>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
