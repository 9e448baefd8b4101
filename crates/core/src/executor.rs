//! The executor: admission of requests, and the way down.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::assets::{AssetStore, Assets};
use crate::error::{Refusal, RefusalKind};
use crate::event::{ExecutionEvent, ExecutionId};
use crate::event_queue::EventQueue;
use crate::execution::{CancelHandle, Execution};
use crate::observe::{Observer, Submission, Watch};
use crate::origin::OriginRefusals;
use crate::queue::{Admission, Bounds, NodeEntry};
use crate::registry::Registry;
use crate::request::ExecutionRequest;
use crate::running::{Door, Running};
use crate::shared::Shared;
use crate::shutdown::Phase;
use crate::sink::EventSink;
use crate::stats::Counters;
use crate::task::Task;
use crate::unknown::UnknownArgument;

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
    /// Progress and partial outputs of one execution that wait in an [`Execution`] for whoever follows it; 64 by default.
    /// Beyond that, and beyond the two limits below, partial outputs wait in their handler, and progress is dropped, which
    /// is counted.
    pub events_max: usize,
    /// Their bytes; 8 MiB by default. One event more may be taken in below that.
    pub events_bytes_max: usize,
    /// The same for all executions together: above that, only executions take more of which nothing waits; 256 MiB by
    /// default.
    pub events_bytes_held_max: usize,
    /// Bytes of assets that are fetched for the inputs of one execution, all together; 256 MiB by default.
    pub asset_bytes_max: usize,
    /// Bytes of fetched assets that all executions hold at once; 1 GiB by default. Beyond them executions fail with
    /// [`NodeErrorKind::Overloaded`](crate::NodeErrorKind::Overloaded). What is being fetched comes on top.
    pub asset_bytes_held_max: usize,
    /// Executions that have assets fetched for their inputs at once; others wait, in their places. 16 by default.
    pub asset_fetches_max: usize,
    /// How long it may take to fetch the assets of one execution's inputs, and each call of [`Assets`]; 2 min by default.
    pub asset_timeout: Duration,
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        Self {
            in_flight_max: 16_384,
            concurrency: 256,
            queue: 1_024,
            grace: Duration::from_secs(2),
            events_max: 64,
            events_bytes_max: 8 << 20,
            events_bytes_held_max: 256 << 20,
            asset_bytes_max: 256 << 20,
            asset_bytes_held_max: 1 << 30,
            asset_fetches_max: 16,
            asset_timeout: Duration::from_secs(120),
        }
    }
}

/// Runs nodes. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Executor {
    shared: Arc<Shared>,
    assets: Assets,
    origin: Option<&'static str>,
    observer: Option<Arc<dyn Observer>>,
    refuses_unknown: bool,
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
        Self {
            shared: Arc::new(Shared::new(config, Registry::new(defaults))),
            assets: Assets::default(),
            origin: None,
            observer: None,
            refuses_unknown: false,
        }
    }

    /// The same executor with a place for assets, for what is submitted through this handle and its clones.
    ///
    /// References at inputs of type `bytes` are fetched from there before the node is called. The execution has its place
    /// and is started then, so that its limits, deadline and cancellation hold for that, too.
    #[must_use]
    pub fn with_assets(mut self, store: Arc<dyn AssetStore>) -> Self {
        self.assets = Assets::new(store, self.shared.config.asset_timeout);
        self
    }

    /// The same executor under a name of where requests come from, for the statistics of what is submitted through this
    /// handle and its clones. Fifteen names are told apart; any further ones are one.
    #[must_use]
    pub fn with_origin(mut self, origin: &'static str) -> Self {
        self.origin = Some(origin);
        self
    }

    /// The same executor with somebody who watches what is submitted through this handle and its clones.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The same executor for callers who are to be told of what they misspell: what is submitted through this handle and
    /// its clones is refused if it has inputs or parameters that the node's definition has not. Without it, handlers get
    /// them, and ignore them for the most part.
    #[must_use]
    pub fn refusing_unknown(mut self) -> Self {
        self.refuses_unknown = true;
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

    /// What was refused so far, by where it came from, in order of the first refusal.
    #[must_use]
    pub fn refusals(&self) -> Vec<OriginRefusals> {
        self.shared.refusals()
    }

    /// Accepts a request, or refuses it at once. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`Refusal`]; then nothing was started.
    pub fn submit(&self, request: ExecutionRequest) -> Result<Execution, Refusal> {
        let room = Arc::clone(&self.shared.event_room);
        let events = Arc::new(EventQueue::new(room));
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
            self.shared.refuse(self.origin, RefusalKind::UnknownNode);
            return Err(Refusal::UnknownNode(request.node.to_string()));
        };
        let admitted = self.check_names(&request, &entry);
        let admitted = admitted.and_then(|()| self.shared.reserve(&request));
        admitted.inspect_err(|refusal| self.count_refusal(&entry, refusal.kind()))?;
        let id = ExecutionId(self.shared.next_id.fetch_add(1, Ordering::Relaxed));
        let door = Door {
            origin: self.origin,
            assets: self.assets.clone(),
            watch: self.watch(id, &request),
        };
        let running = Arc::new(Running::new(id, request, entry, door, sink));
        let admission = running.entry.admit(&running).inspect_err(|refusal| {
            self.shared.refuse(self.origin, refusal.kind());
            self.shared.unreserve();
        })?;
        self.shared.live.add(&running);
        running.deliver(ExecutionEvent::Accepted);
        self.start(&running, admission);
        Ok(CancelHandle::new(running))
    }

    /// Counts a refusal that somebody else decided on before there was a request to submit.
    pub fn refused(&self, node: &str, kind: RefusalKind) {
        match self.shared.registry.find(node) {
            Some(entry) => self.count_refusal(&entry, kind),
            None => self.shared.refuse(self.origin, kind),
        }
    }

    /// Cancels everything that was accepted before and has not ended, whoever submitted it: what runs is asked to stop, what
    /// waits is not started. Tells how many end in [`ExecutionEvent::Cancelled`] for this; the others were ending already.
    /// What is submitted later is not touched, and what is submitted meanwhile may or may not be.
    pub fn cancel_all(&self) -> usize {
        self.shared.live.cancel()
    }

    /// Stops taking requests, drops what waits, gives what runs `drain` to finish, then cancels it and waits for it
    /// to end: at most the grace time longer, unless a handler keeps its thread and never waits.
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

    fn check_names(&self, request: &ExecutionRequest, entry: &NodeEntry) -> Result<(), Refusal> {
        let has_names = !request.inputs.is_empty() || !request.parameters.is_empty();
        if !self.refuses_unknown || !has_names {
            return Ok(());
        }
        match UnknownArgument::find(request, entry.node().definition()) {
            Some(unknown) => Err(Refusal::UnknownArgument(Box::new(unknown))),
            None => Ok(()),
        }
    }

    fn count_refusal(&self, entry: &NodeEntry, kind: RefusalKind) {
        self.shared.refuse(self.origin, kind);
        entry.refuse(self.origin, kind);
    }

    fn watch(&self, id: ExecutionId, request: &ExecutionRequest) -> Option<Box<dyn Watch>> {
        self.observer.as_ref()?.begin(&Submission {
            id,
            node: &request.node,
            origin: self.origin,
            trace_parent: request.trace_parent.as_deref(),
            trace_state: request.trace_state.as_deref(),
            caller_id: &request.caller_id,
        })
    }

    fn start(&self, running: &Arc<Running>, admission: Admission) {
        let task = Task::new(Arc::clone(running), Arc::clone(&self.shared));
        match admission {
            Admission::Run(node) => self
                .shared
                .runners
                .push(&self.shared, task.with_place(), node),
            Admission::Wait(node) => drop(tokio::spawn(task.wait_and_run(node))),
        }
    }
}
