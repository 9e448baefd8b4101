//! How many nodes may be in flight, over all runs that share it. spec: nanograph 16.1
//!
//! Ready nodes wait in lanes, one per server and exclusive group. Places are given to the best one that could go now:
//! highest priority of its run, oldest run, longest remaining way, lowest node id. A run that gets places while another
//! one looks for its own is woken.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::scheduler::Limits;

/// Places for nodes in flight, shared by runs. Cloning shares them.
#[derive(Debug, Clone)]
pub struct Capacity {
    // A std mutex: it is held for look-ups, never over an await.
    state: Arc<Mutex<State>>,
}

/// What of a [`Capacity`] is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapacityUsage {
    /// Nodes that have a place.
    pub in_flight: usize,
    /// Nodes that could go if there were a place.
    pub waiting: usize,
    /// Exclusive groups of which a node has a place.
    pub groups_busy: usize,
}

impl Capacity {
    /// Places within these limits. A limit of 0 counts as 1: with it, no run would ever end.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let limits = Limits {
            in_flight: limits.in_flight.max(1),
            in_flight_per_server: limits.in_flight_per_server.max(1),
        };
        let state = State {
            limits,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// What is in use now.
    #[must_use]
    pub fn usage(&self) -> CapacityUsage {
        let state = self.lock();
        CapacityUsage {
            in_flight: state.in_flight,
            waiting: state.lanes.values().map(BTreeSet::len).sum(),
            groups_busy: state.groups.len(),
        }
    }

    /// A share for a run. Runs that joined earlier are older.
    pub(super) fn join(&self, priority: i32) -> Places {
        let mut state = self.lock();
        let run = state.next_run;
        state.next_run += 1;
        let share = Share::default();
        let changed = share.changed.clone();
        state.runs.insert(run, share);
        drop(state);
        Places {
            capacity: self.clone(),
            run,
            priority,
            changed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Capacity {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

/// What a node needs in order to go.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) server: Arc<str>,
    /// The server's own limit.
    pub(super) max_in_flight: Option<usize>,
    /// At most one node of a group has a place, over all servers.
    pub(super) group: Option<Arc<str>>,
    /// Nodes on the longest way from it to an end.
    pub(super) remaining: u32,
    pub(super) node_id: u64,
}

/// A run's share of a capacity. Dropping it frees what the run has.
#[derive(Debug)]
pub(super) struct Places {
    capacity: Capacity,
    run: u64,
    priority: i32,
    changed: Arc<Notify>,
}

impl Places {
    /// A node of the run waits for a place from now on.
    pub(super) fn request(&self, node: usize, wanted: Wanted) {
        let rank = Rank {
            priority: Reverse(self.priority),
            run: self.run,
            remaining: Reverse(wanted.remaining),
            node_id: wanted.node_id,
            node,
        };
        let mut state = self.capacity.lock();
        state
            .share(self.run)
            .waiting
            .insert(node, (wanted.clone(), rank));
        state.enter(wanted, rank);
    }

    /// A node of the run that has got a place. Gives all places that are free to those that wait, of every run.
    pub(super) fn next(&self) -> Option<usize> {
        let mut state = self.capacity.lock();
        state.give(Some(self.run));
        state.share(self.run).given.pop_front()
    }

    /// A node of the run is no longer in flight. Its place is free with the next [`Self::next`].
    pub(super) fn release(&self, node: usize) {
        let mut state = self.capacity.lock();
        if let Some(held) = state.share(self.run).held.remove(&node) {
            state.free(&held);
        }
    }

    /// A node of the run waits no more, or does not want the place that it got.
    pub(super) fn cancel(&self, node: usize) {
        let mut state = self.capacity.lock();
        let share = state.share(self.run);
        share.given.retain(|given| *given != node);
        let waited = share.waiting.remove(&node);
        let held = share.held.remove(&node);
        if let Some((wanted, rank)) = waited {
            state.leave(&wanted, &rank);
        }
        if let Some(held) = held {
            state.free(&held);
        }
    }

    /// What is told when a node of this run got a place that it did not ask for itself.
    pub(super) fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let mut state = self.capacity.lock();
        let Some(share) = state.runs.remove(&self.run) else {
            return;
        };
        for (wanted, rank) in share.waiting.values() {
            state.leave(wanted, rank);
        }
        for held in share.held.values() {
            state.free(held);
        }
        state.give(None);
    }
}

/// Best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    priority: Reverse<i32>,
    run: u64,
    remaining: Reverse<u32>,
    node_id: u64,
    node: usize,
}

/// Nodes that need the same: a server, and a group if they are in one.
type Lane = (Arc<str>, Option<Arc<str>>);

#[derive(Debug, Default)]
struct State {
    limits: Limits,
    next_run: u64,
    runs: HashMap<u64, Share>,
    /// Those in which somebody waits.
    lanes: BTreeMap<Lane, BTreeSet<Rank>>,
    in_flight: usize,
    /// Those with nodes in flight.
    servers: HashMap<Arc<str>, usize>,
    /// Those with a node in flight.
    groups: HashSet<Arc<str>>,
}

/// What belongs to a run.
#[derive(Debug, Default)]
struct Share {
    waiting: HashMap<usize, (Wanted, Rank)>,
    held: HashMap<usize, Wanted>,
    /// Nodes with a place that the run does not know of yet.
    given: VecDeque<usize>,
    changed: Arc<Notify>,
}

impl State {
    fn share(&mut self, run: u64) -> &mut Share {
        self.runs.entry(run).or_default()
    }

    fn enter(&mut self, wanted: Wanted, rank: Rank) {
        let lane = (wanted.server, wanted.group);
        self.lanes.entry(lane).or_default().insert(rank);
    }

    fn leave(&mut self, wanted: &Wanted, rank: &Rank) {
        let lane = (wanted.server.clone(), wanted.group.clone());
        if let Some(ranks) = self.lanes.get_mut(&lane) {
            ranks.remove(rank);
            if ranks.is_empty() {
                self.lanes.remove(&lane);
            }
        }
    }

    /// Gives what is free to those that wait, best first, and wakes their runs, but for the one that asks.
    fn give(&mut self, asking: Option<u64>) {
        while self.in_flight < self.limits.in_flight
            && let Some(rank) = self.best()
        {
            let share = self.share(rank.run);
            let Some((wanted, rank)) = share.waiting.remove(&rank.node) else {
                return;
            };
            share.given.push_back(rank.node);
            share.held.insert(rank.node, wanted.clone());
            if asking != Some(rank.run) {
                share.changed.notify_one();
            }
            self.leave(&wanted, &rank);
            self.take(&wanted);
        }
    }

    fn best(&self) -> Option<Rank> {
        let first = |((server, group), ranks): (&Lane, &BTreeSet<Rank>)| {
            let rank = *ranks.first()?;
            let is_free = group
                .as_ref()
                .is_none_or(|group| !self.groups.contains(group))
                && self.has_room(server, &rank);
            is_free.then_some(rank)
        };
        self.lanes.iter().filter_map(first).min()
    }

    fn has_room(&self, server: &Arc<str>, rank: &Rank) -> bool {
        let wanted = self
            .runs
            .get(&rank.run)
            .and_then(|share| share.waiting.get(&rank.node));
        let own = wanted.and_then(|(wanted, _)| wanted.max_in_flight);
        let limit = own.unwrap_or(self.limits.in_flight_per_server).max(1);
        self.servers.get(server).copied().unwrap_or_default() < limit
    }

    fn take(&mut self, wanted: &Wanted) {
        self.in_flight += 1;
        *self.servers.entry(wanted.server.clone()).or_default() += 1;
        self.groups.extend(wanted.group.clone());
    }

    fn free(&mut self, held: &Wanted) {
        self.in_flight -= 1;
        if let Some(count) = self.servers.get_mut(&held.server) {
            *count -= 1;
            if *count == 0 {
                self.servers.remove(&held.server);
            }
        }
        if let Some(group) = &held.group {
            self.groups.remove(group);
        }
    }
}
