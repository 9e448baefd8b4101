//! What is published, as streams. spec: autotrainer 2, 5

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::counters::Counters;
use super::sequence::{IndexWatch, Merge};
use crate::command::CommandResult;
use crate::event::Event;
use crate::heartbeat::Heartbeat;
use crate::incoming::Received;
use crate::level::ProtocolLevel;
use crate::topic::Topic;

/// What comes out of a [`Subscription`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Delivery {
    /// A message.
    Message(Message),
    /// Something is missing here, or may be.
    Gap(Gap),
}

/// A published message.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// On `EVENT`, `EMERGENCY` or `PROPERTY_CHANGE`.
    Event {
        /// Which of them.
        topic: Topic,
        /// The event.
        event: Event,
        /// What the service speaks, for [`Event::kind`] and [`Event::payload`].
        level: ProtocolLevel,
    },
    /// On `HEARTBEAT`.
    Heartbeat(Heartbeat),
    /// On `COMMAND_RESULT`, of anybody's command.
    Result(CommandResult),
    /// On a topic of the application's own, or of a [verbatim](SubscribeOptions::verbatim) subscription, as it came.
    Other {
        /// The topic.
        topic: Topic,
        /// The payload.
        payload: Bytes,
    },
}

impl Message {
    /// The topic.
    #[must_use]
    pub const fn topic(&self) -> Topic {
        match self {
            Self::Event { topic, .. } | Self::Other { topic, .. } => *topic,
            Self::Heartbeat(_) => Topic::HEARTBEAT,
            Self::Result(_) => Topic::COMMAND_RESULT,
        }
    }
}

/// Something is missing, or may be.
///
/// The protocol has no sequence numbers, so what a service drops for a subscriber beyond its high-water mark cannot be
/// seen, unless its events carry a `sequence`, as those of this crate's services do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// So many of the oldest messages were dropped here, because this subscription was not read fast enough.
    SlowReader(u64),
    /// The connection was lost; what was published until it is back is missing.
    Interrupted,
    /// An event's `index` is lower than the one before: the service was started anew, or its application does not
    /// count monotonically. Only told of where there is one event endpoint.
    IndexWentBack {
        /// The index before.
        last: u64,
        /// The index now.
        index: u64,
    },
    /// So many messages are missing here, by the `sequence` that a service counts with. Told of where there is one event
    /// endpoint, to subscriptions of all of `EVENT`, `EMERGENCY` and `PROPERTY_CHANGE`, which one series counts together
    /// with results; other subscriptions do not see all numbers.
    Sequence {
        /// How many.
        missing: u64,
    },
    /// The `sequence` went back: the service was started anew, and what is missing is not known. Told of as
    /// [`Self::Sequence`].
    SequenceWentBack {
        /// The number before.
        last: u64,
        /// The number now.
        sequence: u64,
    },
}

/// What is subscribed to, and how much is kept for its reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Prefixes of topic frames; an empty one is everything.
    pub prefixes: Vec<Vec<u8>>,
    /// Messages that wait for the reader; 4096. Beyond them the oldest are dropped, which is told ([`Gap::SlowReader`]).
    pub messages_max: usize,
    /// Bytes of payloads that wait for the reader; 64 MiB.
    pub bytes_max: usize,
    /// Whether an emergency that comes on `EMERGENCY` and on `EVENT` is delivered once. spec: autotrainer 5.3
    pub merge_emergencies: bool,
    /// Whether all messages are delivered as they came, as [`Message::Other`], those too whose payload cannot be read: for
    /// whoever passes them on. Emergencies are not merged then.
    pub verbatim: bool,
}

impl SubscribeOptions {
    /// These topics; [`Topic::ANY`] is everything.
    #[must_use]
    pub fn topics(topics: &[Topic]) -> Self {
        Self {
            prefixes: topics
                .iter()
                .map(|topic| topic.subscription_prefix())
                .collect(),
            messages_max: 4096,
            bytes_max: 64 << 20,
            merge_emergencies: false,
            verbatim: false,
        }
    }

    /// All events, each emergency once.
    #[must_use]
    pub fn events() -> Self {
        Self {
            merge_emergencies: true,
            ..Self::topics(&[Topic::EVENT, Topic::EMERGENCY, Topic::PROPERTY_CHANGE])
        }
    }

    fn admits(&self, topic: Topic) -> bool {
        let frame = topic.to_frame();
        self.prefixes.iter().any(|prefix| frame.starts_with(prefix))
    }
}

/// A stream of what is published; made by [`Remote::subscribe`](super::Remote::subscribe).
///
/// It survives restarts of the service. A reader that is too slow loses the oldest messages, is told how many, and
/// disturbs nobody else. It ends when the remote is closed; dropping it cancels it.
#[derive(Debug)]
pub struct Subscription {
    ring: Arc<Ring>,
    hub: Arc<Hub>,
}

impl Subscription {
    /// The next message or gap; `None` once the remote is closed and everything was read. Nothing is lost when the
    /// future is dropped.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            let filled = self.ring.filled.notified();
            match self.ring.take() {
                Taken::Delivery(delivery) => return Some(*delivery),
                Taken::Ended => return None,
                Taken::Empty => filled.await,
            }
        }
    }

    /// The next event; everything else is skipped, gaps too.
    pub async fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Delivery::Message(Message::Event { event, .. }) = self.next().await? {
                return Some(event);
            }
        }
    }

    /// The next message or gap, if there is one already.
    pub fn try_next(&mut self) -> Option<Delivery> {
        match self.ring.take() {
            Taken::Delivery(delivery) => Some(*delivery),
            Taken::Ended | Taken::Empty => None,
        }
    }

    /// As a stream.
    pub fn into_stream(self) -> impl Stream<Item = Delivery> + Send {
        futures_util::stream::unfold(self, |mut subscription| async move {
            let delivery = subscription.next().await?;
            Some((delivery, subscription))
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.ring.is_cancelled.store(true, Ordering::Relaxed);
        self.hub.changed.notify_one();
    }
}

/// What waits for one reader.
#[derive(Debug)]
struct Ring {
    options: SubscribeOptions,
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
    deliveries: VecDeque<(Delivery, usize)>,
    bytes: usize,
    /// Dropped, and not told yet.
    dropped: u64,
    has_ended: bool,
    indices: IndexWatch,
    merge: Merge,
}

enum Taken {
    Delivery(Box<Delivery>),
    Empty,
    Ended,
}

impl Ring {
    fn take(&self) -> Taken {
        let mut state = self.lock();
        let dropped = std::mem::take(&mut state.dropped);
        if dropped > 0 {
            return Taken::Delivery(Box::new(Delivery::Gap(Gap::SlowReader(dropped))));
        }
        match state.deliveries.pop_front() {
            Some((delivery, bytes)) => {
                state.bytes -= bytes;
                Taken::Delivery(Box::new(delivery))
            }
            None if state.has_ended => Taken::Ended,
            None => Taken::Empty,
        }
    }

    fn deliver(&self, received: &Received, message: &Message, sequence: Option<u64>) {
        let mut state = self.lock();
        let mut gap = self.sequence_gap(&mut state, sequence);
        if let Message::Event { topic, event, .. } = message {
            let merges = self.options.merge_emergencies && !self.options.verbatim;
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
            self.push(&mut state, Delivery::Gap(gap), 0);
        }
        let message = match self.options.verbatim {
            true => verbatim(received),
            false => message.clone(),
        };
        let bytes = received.payload.len();
        self.push(&mut state, Delivery::Message(message), bytes);
    }

    /// A message whose payload cannot be read.
    fn deliver_unread(&self, received: &Received) {
        let message = Delivery::Message(verbatim(received));
        self.push(&mut self.lock(), message, received.payload.len());
    }

    /// A message of this number went by, which the subscription does not want.
    fn pass(&self, sequence: u64) {
        let mut state = self.lock();
        if let Some(gap) = self.sequence_gap(&mut state, Some(sequence)) {
            self.push(&mut state, Delivery::Gap(gap), 0);
        }
    }

    fn sequence_gap(&self, state: &mut RingState, sequence: Option<u64>) -> Option<Gap> {
        let sequence = sequence.filter(|_| self.watches_sequence)?;
        state.indices.sequence_gap(sequence)
    }

    fn interrupt(&self) {
        let mut state = self.lock();
        self.push(&mut state, Delivery::Gap(Gap::Interrupted), 0);
    }

    /// What is longer than all that may wait gets in alone.
    fn push(&self, state: &mut RingState, delivery: Delivery, bytes: usize) {
        while !state.deliveries.is_empty() && !self.has_room(state, bytes) {
            let Some((oldest, oldest_bytes)) = state.deliveries.pop_front() else {
                break;
            };
            state.bytes -= oldest_bytes;
            // A gap that was not told is covered by the one that will be.
            if matches!(oldest, Delivery::Message(_)) {
                state.dropped += 1;
                self.counters.lagged.count();
            }
        }
        state.bytes += bytes;
        state.deliveries.push_back((delivery, bytes));
        self.filled.notify_waiters();
    }

    fn has_room(&self, state: &RingState, bytes: usize) -> bool {
        let fits = state.bytes.saturating_add(bytes) <= self.options.bytes_max;
        fits && state.deliveries.len() < self.options.messages_max.max(1)
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
        let sees_all_numbers = [Topic::EVENT, Topic::EMERGENCY, Topic::PROPERTY_CHANGE];
        let sees_all_numbers = sees_all_numbers.iter().all(|topic| options.admits(*topic));
        let ring = Arc::new(Ring {
            watches_index: self.has_one_service,
            watches_sequence: self.has_one_service && sees_all_numbers,
            options,
            state: Mutex::default(),
            filled: Notify::new(),
            is_cancelled: AtomicBool::new(false),
            applied: CancellationToken::new(),
            counters,
        });
        let subscription = Subscription {
            ring: Arc::clone(&ring),
            hub: Arc::clone(self),
        };
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
        self.lock().iter().any(|ring| ring.options.admits(topic))
    }

    /// Results come by whoever wants them, so that no subscription misses their numbers.
    pub(super) fn deliver(&self, received: &Received, message: &Message, sequence: Option<u64>) {
        for ring in self.lock().iter() {
            if ring.options.admits(received.topic) {
                ring.deliver(received, message, sequence);
            } else if let Some(sequence) = sequence {
                ring.pass(sequence);
            }
        }
    }

    /// Only to those who want messages as they came.
    pub(super) fn deliver_unread(&self, received: &Received) {
        let rings = self.lock();
        let wanting = rings
            .iter()
            .filter(|ring| ring.options.verbatim && ring.options.admits(received.topic));
        for ring in wanting {
            ring.deliver_unread(received);
        }
    }

    pub(super) fn interrupt(&self) {
        for ring in self.lock().iter() {
            ring.interrupt();
        }
    }

    /// The prefixes of those that are not cancelled; the cancelled are forgotten.
    pub(super) fn prefixes(&self) -> Vec<Vec<u8>> {
        let mut rings = self.lock();
        rings.retain(|ring| !ring.is_cancelled.load(Ordering::Relaxed));
        let prefixes = rings.iter().flat_map(|ring| ring.options.prefixes.clone());
        prefixes.collect()
    }

    /// The socket has subscribed to these.
    pub(super) fn applied(&self, prefixes: &[Vec<u8>]) {
        for ring in self.lock().iter() {
            let all = ring.options.prefixes.iter();
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
