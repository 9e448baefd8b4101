//! What an executor, its clones and its executions share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::error::{Refusal, RefusalKind};
use crate::event_queue::EventRoom;
use crate::executor::ExecutorConfig;
use crate::fetch::Fetches;
use crate::live::Live;
use crate::origin::{ByOrigin, OriginRefusals, RefusalCounts};
use crate::registry::Registry;
use crate::request::ExecutionRequest;
use crate::runners::Runners;
use crate::shutdown::Shutdown;
use crate::stats::Counters;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: ExecutorConfig,
    pub(crate) registry: Registry,
    pub(crate) next_id: AtomicU64,
    // A std mutex: held for a few additions, never across an await.
    counters: Mutex<Counters>,
    // As well.
    refusals: Mutex<ByOrigin<RefusalCounts>>,
    pub(crate) live: Live,
    pub(crate) fetches: Fetches,
    pub(crate) event_room: Arc<EventRoom>,
    pub(crate) runners: Runners,
    pub(crate) shutdown: Shutdown,
    /// Accepted executions whose terminal event was not delivered yet. The counters know of an end before it is
    /// told; a shutdown waits until it was told.
    untold: AtomicUsize,
    /// Notified when `untold` becomes 0.
    idle: Notify,
}

impl Shared {
    pub(crate) fn new(config: ExecutorConfig, registry: Registry) -> Self {
        Self {
            config,
            registry,
            next_id: AtomicU64::new(1),
            counters: Mutex::default(),
            refusals: Mutex::default(),
            live: Live::default(),
            fetches: Fetches::new(&config),
            event_room: Arc::new(EventRoom::new(&config)),
            runners: Runners::default(),
            shutdown: Shutdown::default(),
            untold: AtomicUsize::new(0),
            idle: Notify::new(),
        }
    }

    pub(crate) fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a refusal, in all but its node's counters.
    pub(crate) fn refuse(&self, origin: Option<&'static str>, kind: RefusalKind) {
        self.counters().refuse(kind);
        self.lock_refusals().of(origin)[kind as usize] += 1;
    }

    pub(crate) fn refusals(&self) -> Vec<OriginRefusals> {
        self.lock_refusals().refusals()
    }

    fn lock_refusals(&self) -> MutexGuard<'_, ByOrigin<RefusalCounts>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request as accepted if the executor as a whole can take it; a refusal is for the caller to count.
    pub(crate) fn reserve(&self, request: &ExecutionRequest) -> Result<(), Refusal> {
        let mut counters = self.counters();
        let refusal = if !self.shutdown.is_open() {
            Refusal::ShuttingDown
        } else if counters.in_flight >= self.config.in_flight_max as u64 {
            Refusal::TooManyInFlight(self.config.in_flight_max)
        } else if request
            .deadline
            .is_some_and(|deadline| deadline <= Instant::now())
        {
            Refusal::DeadlinePassed
        } else {
            counters.accept();
            self.untold.fetch_add(1, Ordering::AcqRel);
            return Ok(());
        };
        Err(refusal)
    }

    /// Takes back [`Self::reserve`]: the node refused.
    pub(crate) fn unreserve(&self) {
        let mut counters = self.counters();
        counters.accepted -= 1;
        counters.in_flight -= 1;
        drop(counters);
        self.told();
    }

    /// One terminal event fewer to be delivered.
    pub(crate) fn told(&self) {
        if self.untold.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.idle.notify_waiters();
        }
    }

    pub(crate) async fn until_idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.untold.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }
}
