//! The executor: admission, and the task that sees one execution through.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::Notify;

use crate::assets::{AssetStore, Assets};
use crate::context::Context;
use crate::error::{NodeError, NodeErrorKind, Refusal, RefusalKind};
use crate::event::{DropReason, ExecutionEvent, ExecutionId};
use crate::execution::{CancelHandle, EventQueue, Execution};
use crate::node::DynNode;
use crate::queue::{Admission, Bounds};
use crate::registry::Registry;
use crate::request::ExecutionRequest;
use crate::running::{Running, SlotGuard, StopReason};
use crate::shutdown::{Phase, Shutdown};
use crate::sink::EventSink;
use crate::stats::{Counters, Ending, Outcome};
use crate::value::Outputs;

/// Bounds of an [`Executor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutorConfig {
    /// Executions waiting or running at once, over all nodes; 16 384 by default.
    pub in_flight_max: usize,
    /// Executions of one node running at once, where the node does not say; 256 by default.
    pub concurrency: usize,
    /// Executions of one node waiting, where the node does not say; 1 024 by default.
    pub queue: usize,
    /// How long a handler may take to react to a cancellation or deadline before it is abandoned; 2 s by default.
    pub grace: Duration,
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        Self {
            in_flight_max: 16_384,
            concurrency: 256,
            queue: 1_024,
            grace: Duration::from_secs(2),
        }
    }
}

/// Runs nodes. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Executor {
    shared: Arc<Shared>,
    assets: Assets,
}

#[derive(Debug)]
struct Shared {
    config: ExecutorConfig,
    registry: Registry,
    next_id: AtomicU64,
    // A std mutex: held for a few additions, never across an await.
    counters: Mutex<Counters>,
    shutdown: Shutdown,
    /// Accepted executions whose terminal event was not delivered yet. The counters know of an end before it is
    /// told; a shutdown waits until it was told.
    untold: AtomicUsize,
    /// Notified when `untold` becomes 0.
    idle: Notify,
}

impl Default for Executor {
    fn default() -> Self {
        Self::new(ExecutorConfig::default())
    }
}

impl Executor {
    /// An executor without nodes.
    #[must_use]
    pub fn new(config: ExecutorConfig) -> Self {
        let defaults = Bounds {
            concurrency: config.concurrency.max(1),
            queue: config.queue,
        };
        let shared = Shared {
            config,
            registry: Registry::new(defaults),
            next_id: AtomicU64::new(1),
            counters: Mutex::default(),
            shutdown: Shutdown::default(),
            untold: AtomicUsize::new(0),
            idle: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
            assets: Assets::default(),
        }
    }

    /// The same executor with a place for assets, for what is submitted through this handle and its clones.
    #[must_use]
    pub fn with_assets(mut self, store: Arc<dyn AssetStore>) -> Self {
        self.assets = Assets::new(store);
        self
    }

    /// Where its nodes find assets.
    #[must_use]
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// The nodes it can run.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// Executions of all nodes by how they ended, removed nodes included.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.shared.counters()
    }

    /// Accepts a request, or refuses it at once. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`Refusal`]; then nothing was started.
    pub fn submit(&self, request: ExecutionRequest) -> Result<Execution, Refusal> {
        let events = Arc::new(EventQueue::default());
        let sink: Arc<dyn EventSink> = Arc::<EventQueue>::clone(&events);
        let cancel = self.submit_to(request, sink)?;
        Ok(Execution::new(cancel, events))
    }

    /// As [`Self::submit`], with the events going to a sink: what wires use. The first events may arrive before
    /// this returns.
    ///
    /// # Errors
    /// See [`Refusal`]; then nothing was started and no event was or will be delivered.
    pub fn submit_to(
        &self,
        request: ExecutionRequest,
        sink: Arc<dyn EventSink>,
    ) -> Result<CancelHandle, Refusal> {
        let Some(entry) = self.shared.registry.find(&request.node) else {
            self.shared.counters().refuse(RefusalKind::UnknownNode);
            return Err(Refusal::UnknownNode(request.node));
        };
        self.shared
            .reserve(&request)
            .inspect_err(|refusal| entry.refuse(refusal.kind()))?;
        let id = ExecutionId(self.shared.next_id.fetch_add(1, Ordering::Relaxed));
        let running = Arc::new(Running::new(id, request, entry, self.assets.clone(), sink));
        let admission = running
            .entry
            .admit(&running)
            .inspect_err(|refusal| self.shared.unreserve(refusal.kind()))?;
        running.deliver(ExecutionEvent::Accepted);
        self.start(&running, admission);
        Ok(CancelHandle::new(running))
    }

    /// Stops taking requests, drops what waits, gives what runs `drain` to finish, then cancels it and waits for it
    /// to end: at most the grace time longer.
    ///
    /// # Cancel safety
    /// Dropping this leaves the executor closed for requests; call it again to go on.
    pub async fn shutdown(&self, drain: Duration) {
        self.shared.shutdown.advance(Phase::Draining);
        if tokio::time::timeout(drain, self.shared.until_idle())
            .await
            .is_err()
        {
            self.shared.shutdown.advance(Phase::Stopping);
            self.shared.until_idle().await;
        }
    }

    fn start(&self, running: &Arc<Running>, admission: Admission) {
        let task = Task::new(Arc::clone(running), Arc::clone(&self.shared));
        match admission {
            Admission::Run(node) => tokio::spawn(task.with_place().run(node)),
            Admission::Wait(node) => tokio::spawn(task.wait_and_run(node)),
        };
    }
}

impl Shared {
    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request as accepted if the executor as a whole can take it.
    fn reserve(&self, request: &ExecutionRequest) -> Result<(), Refusal> {
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
        counters.refuse(refusal.kind());
        Err(refusal)
    }

    /// Takes back [`Self::reserve`]: the node refused.
    fn unreserve(&self, kind: RefusalKind) {
        let mut counters = self.counters();
        counters.accepted -= 1;
        counters.in_flight -= 1;
        counters.refuse(kind);
        drop(counters);
        self.told();
    }

    /// One terminal event fewer to be delivered.
    fn told(&self) {
        if self.untold.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.idle.notify_waiters();
        }
    }

    async fn until_idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.untold.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }
}

/// Sees one execution through. If it is dropped half-way, because the runtime goes down, the execution fails.
struct Task {
    running: Arc<Running>,
    shared: Arc<Shared>,
    /// The place in the node's concurrency limit, once there is one.
    place: Option<SlotGuard>,
    started_at: Option<Instant>,
    finished: bool,
}

type HandlerResult = Result<Result<Outputs, NodeError>, Box<dyn Any + Send>>;

impl Task {
    fn new(running: Arc<Running>, shared: Arc<Shared>) -> Self {
        Self {
            running,
            shared,
            place: None,
            started_at: None,
            finished: false,
        }
    }

    /// A place was taken for this execution.
    fn with_place(mut self) -> Self {
        self.place = Some(SlotGuard::first(Arc::clone(&self.running)));
        self
    }

    async fn wait_and_run(mut self, node: Arc<dyn DynNode>) {
        match Box::pin(self.wait()).await {
            None => self.with_place().run(node).await,
            Some(event) => {
                self.leave_queue();
                // A cancellation that came at the same time wins: it was promised.
                let cancelled = self.running.decide_end().is_some();
                self.finish(
                    if cancelled {
                        ExecutionEvent::Cancelled { abandoned: false }
                    } else {
                        event
                    },
                    false,
                );
            }
        }
    }

    /// Waits for a place; the terminal event if it ends before there is one.
    async fn wait(&self) -> Option<ExecutionEvent> {
        let running = &self.running;
        tokio::select! {
            // In this order, so that nothing is started that is of no use any more.
            biased;
            () = running.stopping() => Some(ExecutionEvent::Cancelled { abandoned: false }),
            () = until(running.request.deadline) => Some(ExecutionEvent::Dropped(DropReason::DeadlinePassed)),
            () = self.shared.shutdown.reached(Phase::Draining) => Some(ExecutionEvent::Dropped(DropReason::Shutdown)),
            () = running.turn.notified() => None,
        }
    }

    fn leave_queue(&mut self) {
        if self.place.is_none() && !self.running.entry.leave(self.running.queue_key()) {
            // A place was taken for it just now: give it back.
            drop(SlotGuard::first(Arc::clone(&self.running)));
        }
    }

    async fn run(mut self, node: Arc<dyn DynNode>) {
        if self.running.is_stopping() {
            self.place = None;
            return self.finish(ExecutionEvent::Cancelled { abandoned: false }, false);
        }
        self.started_at = Some(Instant::now());
        self.running.deliver(ExecutionEvent::Started);
        let context = Context::new(Arc::clone(&self.running));
        let handler = AssertUnwindSafe(async { node.execute_boxed(context).await }).catch_unwind();
        let mut handler = pin!(handler);
        let result = match futures_util::poll!(&mut handler) {
            Poll::Ready(result) => Some(result),
            // Boxed, since most of a task's size is in here and most handlers never come here.
            Poll::Pending => Box::pin(self.supervise(handler.as_mut())).await,
        };
        let abandoned = result.is_none();
        let event = self.terminal_event(result);
        // The place is free before the end is told, so that a caller who reacts to the end finds it free.
        self.place = None;
        self.finish(event, abandoned);
    }

    /// Waits for the handler; `None` if it was told to stop and did not in time.
    async fn supervise(
        &self,
        mut handler: impl Future<Output = HandlerResult> + Unpin,
    ) -> Option<HandlerResult> {
        tokio::select! {
            biased;
            result = &mut handler => Some(result),
            () = self.stop_requested() => tokio::time::timeout(self.shared.config.grace, &mut handler).await.ok(),
        }
    }

    /// Completes when the handler should stop, having told it so.
    async fn stop_requested(&self) {
        let running = &self.running;
        tokio::select! {
            () = running.stopping() => {}
            () = until(running.request.deadline) => { running.request_stop(StopReason::Deadline); }
            () = self.shared.shutdown.reached(Phase::Stopping) => { running.request_stop(StopReason::Shutdown); }
        }
    }

    fn terminal_event(&self, result: Option<HandlerResult>) -> ExecutionEvent {
        let abandoned = result.is_none();
        match (self.running.decide_end(), result) {
            (Some(StopReason::Cancelled | StopReason::Shutdown), _) => {
                ExecutionEvent::Cancelled { abandoned }
            }
            (Some(StopReason::Deadline), _) => ExecutionEvent::Failed(NodeError::new(
                NodeErrorKind::Deadline,
                "the deadline passed before the node finished",
            )),
            (None, Some(Ok(Ok(outputs)))) => ExecutionEvent::Completed(outputs),
            (None, Some(Ok(Err(error)))) => ExecutionEvent::Failed(error),
            (None, Some(Err(panic))) => ExecutionEvent::Failed(panic_error(panic.as_ref())),
            (None, None) => {
                ExecutionEvent::Failed(NodeError::internal("the execution was given up"))
            }
        }
    }

    /// Counts the end, then tells it.
    fn finish(&mut self, event: ExecutionEvent, abandoned: bool) {
        self.finished = true;
        let running = &self.running;
        let ending = Ending {
            outcome: Outcome::of(&event),
            abandoned,
            progress_dropped: running.progress_dropped(),
        };
        let times = self
            .started_at
            .map(|started_at| (started_at - running.accepted_at, started_at.elapsed()));
        running.entry.end(ending, times);
        self.shared.counters().end(ending);
        running.deliver(event);
        self.shared.told();
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.leave_queue();
        self.place = None;
        let error = NodeError::internal("the execution was given up because the runtime shut down");
        self.finish(ExecutionEvent::Failed(error), true);
    }
}

/// Completes at the deadline; never without one.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn panic_error(panic: &(dyn Any + Send)) -> NodeError {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    NodeError::internal(format!("the node panicked: {message}"))
}
