//! [`EventHub`]: numbers, writes and keeps events.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use uuid::Uuid;

use super::ring::{Published, Ring};
use super::subscription::{Subscribe, Subscription};

/// Room for `{"seq":18446744073709551615,`, which is written when the rest already stands.
const HEAD_BYTES: usize = 28;

/// The limits of an [`EventHub`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHubOptions {
    /// How many events are kept for those who are behind or come back. Default 10,000.
    pub events_max: usize,
    /// How many bytes these may have. Default 32 MiB.
    pub bytes_max: usize,
    /// The largest event, in bytes; of a larger one only its size is told. Default 1 MiB.
    pub event_bytes_max: usize,
}

impl Default for EventHubOptions {
    fn default() -> Self {
        Self {
            events_max: 10_000,
            bytes_max: 32 << 20,
            event_bytes_max: 1 << 20,
        }
    }
}

/// What became of events so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHubCounters {
    /// Published, and numbered.
    pub published: u64,
    /// Larger than allowed: only their size was told.
    pub oversized: u64,
    /// Not published, since their fields are no JSON object.
    pub invalid: u64,
    /// How often a subscription fell out of the ring.
    pub too_slow: u64,
    /// How many events these missed in all.
    pub missed: u64,
    /// Subscriptions there are now.
    pub subscriptions: u64,
}

/// Takes events and gives them to any number of subscriptions. Cloning shares it.
#[derive(Debug, Clone)]
pub struct EventHub {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    // A std mutex: it is held for a few instructions, never over an await.
    ring: Mutex<Ring>,
    /// The number of the newest event.
    pub(super) newest: watch::Sender<u64>,
    pub(super) counts: Counts,
    epoch: String,
    options: EventHubOptions,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    oversized: AtomicU64,
    invalid: AtomicU64,
    pub(super) too_slow: AtomicU64,
    pub(super) missed: AtomicU64,
    pub(super) subscriptions: AtomicU64,
}

impl Default for EventHub {
    fn default() -> Self {
        Self::new(EventHubOptions::default())
    }
}

impl EventHub {
    /// A hub with these limits.
    #[must_use]
    pub fn new(options: EventHubOptions) -> Self {
        let shared = Shared {
            ring: Mutex::new(Ring::new(options.events_max, options.bytes_max)),
            newest: watch::Sender::new(0),
            counts: Counts::default(),
            epoch: Uuid::new_v4().to_string(),
            options,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Tells this process's numbers from those of an earlier or later one.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.shared.epoch
    }

    /// The number of the newest event; 0 before the first.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.shared.ring().next_seq() - 1
    }

    /// Publishes an event of the type `type_name`, with the members of the object `fields`; its number.
    ///
    /// Never waits for whoever reads. What is larger than
    /// [`event_bytes_max`](EventHubOptions::event_bytes_max) is replaced by `"truncated": true` and its `size`. Fields
    /// that are no object are counted and logged, not published; the number is the newest then.
    pub fn publish(
        &self,
        type_name: &'static str,
        run_id: Option<&Arc<str>>,
        fields: impl Serialize,
    ) -> u64 {
        let shared = &*self.shared;
        let run = run_id.map(|id| &**id);
        let Some(mut text) = write(type_name, run, &fields) else {
            shared.counts.invalid.fetch_add(1, Ordering::Relaxed);
            tracing::error!(type_name, "an event's fields are no JSON object");
            return self.seq();
        };
        let size = text.len() - HEAD_BYTES;
        if size > shared.options.event_bytes_max {
            shared.counts.oversized.fetch_add(1, Ordering::Relaxed);
            let short = serde_json::json!({ "truncated": true, "size": size });
            text = write(type_name, run, &short).unwrap_or_default();
        }
        let seq = shared.add(text, type_name, run_id.cloned());
        // Only ever forward: two publishers may come here in the other order.
        shared.newest.send_if_modified(|newest| {
            let newer = seq > *newest;
            *newest = seq.max(*newest);
            newer
        });
        seq
    }

    /// Watches events: those after [`Subscribe::since`], or those from now on.
    #[must_use]
    pub fn subscribe(&self, subscribe: Subscribe) -> Subscription {
        Subscription::new(self.clone(), subscribe)
    }

    /// Watches one run from its oldest event that is kept. Begins with [`Item::Reset`](super::Item::Reset) if that is
    /// not its first.
    #[must_use]
    pub fn subscribe_run(&self, run_id: &str) -> Subscription {
        Subscription::of_run(self.clone(), run_id)
    }

    /// Its limits.
    #[must_use]
    pub fn options(&self) -> EventHubOptions {
        self.shared.options
    }

    /// What became of events so far.
    #[must_use]
    pub fn counters(&self) -> EventHubCounters {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        EventHubCounters {
            published: self.seq(),
            oversized: read(&counts.oversized),
            invalid: read(&counts.invalid),
            too_slow: read(&counts.too_slow),
            missed: read(&counts.missed),
            subscriptions: read(&counts.subscriptions),
        }
    }
}

impl Shared {
    pub(super) fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, text: Vec<u8>, type_name: &'static str, run_id: Option<Arc<str>>) -> u64 {
        let mut ring = self.ring();
        let seq = ring.next_seq();
        let json = with_head(text, seq);
        ring.push(Published {
            seq,
            type_name,
            run_id,
            json,
        });
        seq
    }
}

/// The event without its number, behind room for it.
fn write(type_name: &str, run_id: Option<&str>, fields: &impl Serialize) -> Option<Vec<u8>> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Event<'a, F> {
        ts: String,
        #[serde(rename = "type")]
        type_name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        run_id: Option<&'a str>,
        #[serde(flatten)]
        fields: &'a F,
    }
    let event = Event {
        ts: format!("{:.3}", Timestamp::now()),
        type_name,
        run_id,
        fields,
    };
    // One byte less, as the brace gives way to the head too.
    let mut text = vec![b' '; HEAD_BYTES - 1];
    serde_json::to_writer(&mut text, &event).ok()?;
    Some(text)
}

/// Puts the number right before the rest, so that nothing is copied while the ring is locked.
fn with_head(mut text: Vec<u8>, seq: u64) -> Bytes {
    let mut head = String::with_capacity(HEAD_BYTES);
    // Writing to a string cannot fail.
    let _ = write!(head, "{{\"seq\":{seq},");
    let start = HEAD_BYTES.saturating_sub(head.len());
    if let Some(room) = text.get_mut(start..start + head.len()) {
        room.copy_from_slice(head.as_bytes());
    }
    Bytes::from(text).slice(start..)
}
