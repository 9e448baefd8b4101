//! Per node: who runs, who waits, and what was done.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Refusal, RefusalKind};
use crate::node::DynNode;
use crate::origin::{ByOrigin, OriginCounts};
use crate::running::Running;
use crate::stats::{Counters, Ending, NodeStats, Times};

/// A handler that gives its thread back within this time is quick.
const QUICK_NS: u64 = 50_000;

/// A registered node with its places and its waiting queue. Outlives its registration while executions hold it.
#[derive(Debug)]
pub(crate) struct NodeEntry {
    pub(crate) uid: Arc<str>,
    // A std mutex: held for a few instructions, never across an await.
    state: Mutex<State>,
    /// How long handlers lately took to their first wait or end, in nanoseconds; see [`Self::is_quick`].
    first_poll_ns: AtomicU64,
}

#[derive(Debug)]
struct State {
    node: Arc<dyn DynNode>,
    concurrency: usize,
    queue_max: usize,
    running: usize,
    waiting: BTreeMap<Turn, Arc<Running>>,
    counters: Counters,
    origins: ByOrigin<OriginCounts>,
    queue_time: Times,
    run_time: Times,
}

/// Place in the waiting queue: higher priority first, then first come.
pub(crate) type Turn = (Reverse<i32>, u64);

/// What [`NodeEntry::admit`] decided.
#[derive(Debug)]
pub(crate) enum Admission {
    /// A place was taken; whoever gets this must give it back with [`NodeEntry::release`].
    Run(Arc<dyn DynNode>),
    /// In the queue; [`Running::turn`] is notified when a place was taken for it.
    Wait(Arc<dyn DynNode>),
}

/// Bounds of a node after defaults were filled in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) concurrency: usize,
    pub(crate) queue: usize,
}

impl NodeEntry {
    pub(crate) fn new(node: Arc<dyn DynNode>, bounds: Bounds) -> Self {
        Self {
            uid: Arc::clone(&node.definition().uid),
            state: Mutex::new(State {
                node,
                concurrency: bounds.concurrency,
                queue_max: bounds.queue,
                running: 0,
                waiting: BTreeMap::new(),
                counters: Counters::default(),
                origins: ByOrigin::default(),
                queue_time: Times::default(),
                run_time: Times::default(),
            }),
            first_poll_ns: AtomicU64::new(u64::MAX),
        }
    }

    /// Whether handlers of this node lately gave their thread back at once.
    pub(crate) fn is_quick(&self) -> bool {
        self.first_poll_ns.load(Ordering::Relaxed) < QUICK_NS
    }

    /// Learns slowness at once and quickness slowly. Races between threads lose a sample, which does no harm.
    pub(crate) fn note_first_poll(&self, time: Duration) {
        let sample = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let before = self.first_poll_ns.load(Ordering::Relaxed);
        let after = if sample > QUICK_NS || before == u64::MAX {
            sample
        } else {
            (before / 8) * 7 + sample / 8
        };
        self.first_poll_ns.store(after, Ordering::Relaxed);
    }

    pub(crate) fn node(&self) -> Arc<dyn DynNode> {
        Arc::clone(&self.lock().node)
    }

    /// Puts another node in this one's place; what runs goes on with the old one.
    pub(crate) fn replace(&self, node: Arc<dyn DynNode>, bounds: Bounds) {
        let mut state = self.lock();
        state.node = node;
        state.concurrency = bounds.concurrency;
        state.queue_max = bounds.queue;
        state.fill_places();
    }

    pub(crate) fn admit(&self, running: &Arc<Running>) -> Result<Admission, Refusal> {
        let mut state = self.lock();
        let node = Arc::clone(&state.node);
        if state.running < state.concurrency {
            state.running += 1;
            state.counters.accept();
            state.origins.of(running.origin).accept();
            return Ok(Admission::Run(node));
        }
        if state.waiting.len() >= state.queue_max {
            state.refuse(running.origin, RefusalKind::QueueFull);
            return Err(Refusal::QueueFull {
                node: self.uid.to_string(),
                limit: state.queue_max,
            });
        }
        state
            .waiting
            .insert(running.queue_key(), Arc::clone(running));
        state.counters.accept();
        let origin = state.origins.of(running.origin);
        origin.accept();
        origin.wait();
        Ok(Admission::Wait(node))
    }

    pub(crate) fn refuse(&self, origin: Option<&'static str>, kind: RefusalKind) {
        self.lock().refuse(origin, kind);
    }

    /// Leaves the queue; false if a place was taken meanwhile, which the caller then owns.
    pub(crate) fn leave(&self, turn: Turn) -> bool {
        let mut state = self.lock();
        let left = state.waiting.remove(&turn);
        if let Some(left) = &left {
            state.origins.of(left.origin).wait_no_more();
        }
        left.is_some()
    }

    /// Gives a place back; the next in the queue takes it.
    pub(crate) fn release(&self) {
        let mut state = self.lock();
        state.running -= 1;
        state.fill_places();
    }

    /// Counts an end, with how long it waited, and ran if it was started.
    pub(crate) fn end(
        &self,
        origin: Option<&'static str>,
        ending: Ending,
        queue_time: Duration,
        run_time: Option<Duration>,
    ) {
        let duration = queue_time.saturating_add(run_time.unwrap_or_default());
        let mut state = self.lock();
        state.counters.end(ending);
        state.origins.of(origin).end(ending, duration);
        if let Some(run_time) = run_time {
            state.queue_time.record(queue_time);
            state.run_time.record(run_time);
        }
    }

    pub(crate) fn stats(&self) -> NodeStats {
        let state = self.lock();
        NodeStats {
            uid: self.uid.to_string(),
            counters: state.counters,
            origins: state.origins.stats(),
            running: state.running,
            waiting: state.waiting.len(),
            queue_time: state.queue_time.snapshot(),
            run_time: state.run_time.snapshot(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change, so the state is sound even after a poisoning.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn refuse(&mut self, origin: Option<&'static str>, kind: RefusalKind) {
        self.counters.refuse(kind);
        self.origins.of(origin).refuse(kind);
    }

    /// Gives free places to the first in the queue.
    fn fill_places(&mut self) {
        while self.running < self.concurrency {
            let Some((_, next)) = self.waiting.pop_first() else {
                return;
            };
            self.running += 1;
            self.origins.of(next.origin).wait_no_more();
            next.turn.notify_one();
        }
    }
}
