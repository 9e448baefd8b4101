//! [`Subscription`]: a place in the ring, and what its owner wants to see.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::hub::EventHub;
use super::ring::{Found, Published};

/// What a run begins with. spec: nanograph 19.4
const FIRST_OF_RUN: &str = "run_queued";

/// The runs whose events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Runs {
    /// Those of every run.
    #[default]
    All,
    /// Those of these runs.
    Only(HashSet<String>),
}

/// What a subscription wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The number of the last event that is known already; `None` for what happens from now on.
    pub since: Option<u64>,
    /// Whose events.
    pub runs: Runs,
    /// Whether events that belong to no run are wanted: of servers, the queue, assets.
    pub servers: bool,
}

impl Default for Subscribe {
    fn default() -> Self {
        Self {
            since: None,
            runs: Runs::All,
            servers: true,
        }
    }
}

/// What a subscription gives.
#[derive(Debug, Clone)]
pub enum Item {
    /// Something happened.
    Event(Published),
    /// What followed [`Subscribe::since`] is no longer kept, or the number is of another process: state must be read
    /// anew. Events from now on follow.
    Reset,
    /// The owner was slower than the ring is long. What is still kept follows.
    TooSlow {
        /// How many events went by, wanted or not.
        missed: u64,
    },
}

/// Watches events of an [`EventHub`]. Costs its place in the ring and no more, however slow its owner is.
#[derive(Debug)]
pub struct Subscription {
    hub: EventHub,
    newest: watch::Receiver<u64>,
    /// The number of the event to look at next.
    next_seq: u64,
    is_reset: bool,
    runs: Runs,
    servers: bool,
}

impl Subscription {
    pub(super) fn new(hub: EventHub, subscribe: Subscribe) -> Self {
        let place = hub.shared.start(subscribe.since);
        Self::at(place, hub, subscribe.runs, subscribe.servers)
    }

    pub(super) fn of_run(hub: EventHub, run_id: &str) -> Self {
        let place = hub.shared.start_of(run_id);
        Self::at(place, hub, Runs::Only([run_id.to_owned()].into()), false)
    }

    fn at((next_seq, is_reset): (u64, bool), hub: EventHub, runs: Runs, servers: bool) -> Self {
        let newest = hub.shared.newest.subscribe();
        hub.shared
            .counts
            .subscriptions
            .fetch_add(1, Ordering::Relaxed);
        Self {
            hub,
            newest,
            next_seq,
            is_reset,
            runs,
            servers,
        }
    }

    /// Wants these from the next item on.
    pub fn change(&mut self, runs: Runs, servers: bool) {
        (self.runs, self.servers) = (runs, servers);
    }

    /// The number of the last event that was looked at: what to resume after.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.next_seq.saturating_sub(1)
    }

    /// The next item. Waits as long as nothing happens.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Item {
        loop {
            self.newest.mark_unchanged();
            if let Some(item) = self.try_next() {
                return item;
            }
            // Fails only without a sender, and the hub is one.
            let _ = self.newest.changed().await;
        }
    }

    /// The next item, if it is there already.
    pub fn try_next(&mut self) -> Option<Item> {
        if std::mem::take(&mut self.is_reset) {
            return Some(Item::Reset);
        }
        loop {
            let found = self.hub.shared.ring().find(self.next_seq);
            match found {
                Found::NotYet => return None,
                Found::Lost { oldest } => return Some(self.skip_to(oldest)),
                Found::Event(event) => {
                    self.next_seq += 1;
                    if self.wants(event.run_id.as_ref()) {
                        return Some(Item::Event(event));
                    }
                }
            }
        }
    }

    fn skip_to(&mut self, oldest: u64) -> Item {
        let missed = oldest - self.next_seq;
        self.next_seq = oldest;
        let counts = &self.hub.shared.counts;
        counts.too_slow.fetch_add(1, Ordering::Relaxed);
        counts.missed.fetch_add(missed, Ordering::Relaxed);
        Item::TooSlow { missed }
    }

    fn wants(&self, run_id: Option<&Arc<str>>) -> bool {
        match (run_id, &self.runs) {
            (None, _) => self.servers,
            (Some(_), Runs::All) => true,
            (Some(run_id), Runs::Only(runs)) => runs.contains(&**run_id),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub
            .shared
            .counts
            .subscriptions
            .fetch_sub(1, Ordering::Relaxed);
    }
}

impl super::hub::Shared {
    /// Where to begin, and whether something in between is no longer there.
    fn start(&self, since: Option<u64>) -> (u64, bool) {
        let ring = self.ring();
        let next = ring.next_seq();
        let Some(wanted) = since.map(|since| since.saturating_add(1)) else {
            return (next, false);
        };
        match ring.find(wanted) {
            Found::Event(_) => (wanted, false),
            Found::NotYet if wanted == next => (wanted, false),
            Found::NotYet | Found::Lost { .. } => (next, true),
        }
    }

    fn start_of(&self, run_id: &str) -> (u64, bool) {
        let ring = self.ring();
        match ring.first_of(run_id) {
            Some(event) => (event.seq, event.type_name != FIRST_OF_RUN),
            None => (ring.next_seq(), true),
        }
    }
}
