//! What all parts of a manager share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nodewire_telemetry::Tracer;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::drive;
use super::options::{Counts, RunManagerOptions, count};
use super::queue::Queue;
use super::record::RunState;
use super::request::RunRequest;
use super::room;
use super::store::{self, End};
use super::{NodeRecord, SqliteCache};
use crate::db::{Database, DatabaseError};
use crate::events::EventHub;
use crate::workflow::{AssetLinks, Capacity, Engine, NodeInvoker, RunOptions};

pub(super) struct Shared {
    pub(super) engine: Engine<Arc<dyn NodeInvoker>>,
    pub(super) nodes: Arc<Arc<dyn NodeInvoker>>,
    pub(super) db: Database,
    pub(super) events: EventHub,
    pub(super) assets: Option<Arc<dyn AssetLinks>>,
    pub(super) cache: Option<Arc<SqliteCache>>,
    pub(super) capacity: Capacity,
    pub(super) tracer: Option<Tracer>,
    pub(super) options: RunManagerOptions,
    pub(super) counts: Counts,
    // A std mutex: it is held for look-ups, never over an await.
    queue: Mutex<Queue>,
    /// Told when a run comes to wait for node servers.
    pub(super) parked: Notify,
    pub(super) tasks: TaskTracker,
    /// The process is being stopped: nothing new begins.
    pub(super) stopping: CancellationToken,
    /// The grace time is over: what cannot be written now is given up.
    pub(super) given_up: CancellationToken,
}

impl Shared {
    pub(super) fn new(
        nodes: Arc<dyn NodeInvoker>,
        (db, events): (Database, EventHub),
        assets: Option<Arc<dyn AssetLinks>>,
        cache: Option<SqliteCache>,
        tracer: Option<Tracer>,
        options: RunManagerOptions,
    ) -> Self {
        let nodes = Arc::new(nodes);
        Self {
            engine: Engine::new(nodes.clone()),
            nodes,
            db,
            events,
            assets,
            cache: cache.map(Arc::new),
            capacity: Capacity::new(options.limits),
            tracer,
            options,
            counts: Counts::default(),
            queue: Mutex::default(),
            parked: Notify::new(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            given_up: CancellationToken::new(),
        }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts what may start now.
    pub(super) fn start_next(self: &Arc<Self>) {
        loop {
            let next = self.queue().start_next(self.options.active_max.max(1));
            let Some(active) = next else {
                return;
            };
            self.tasks.spawn(drive::run(self.clone(), active));
        }
    }

    /// Tells how long the queue is.
    pub(super) fn publish_queue(&self) {
        let (waiting, for_servers, running) = self.queue().lengths();
        let lengths =
            json!({ "waiting": waiting, "waitingForServers": for_servers, "running": running });
        self.events.publish("queue", None, lengths);
    }

    /// Tells and counts the end of a run that was not executed now.
    pub(super) fn publish_end(&self, run_id: &Arc<str>, end: &End) {
        let fields = json!({
            "status": end.state, "durationMs": end.duration_ms.unwrap_or_default(), "counts": {}, "reason": end.reason,
        });
        self.events.publish("run_finished", Some(run_id), fields);
        self.count_end(end.state);
    }

    pub(super) fn count_end(&self, state: RunState) {
        match state {
            RunState::Complete => count(&self.counts.complete),
            RunState::Error => count(&self.counts.error),
            RunState::Aborted => count(&self.counts.aborted),
            RunState::Interrupted => count(&self.counts.interrupted),
            RunState::Queued | RunState::Running => {}
        }
    }

    /// How a request is to be run, but for what only its start knows.
    pub(super) fn run_options(&self, request: &RunRequest) -> RunOptions {
        RunOptions {
            targets: request.targets.clone(),
            types: request.types.into(),
            exec: request.exec(),
            abort_grace: self.options.abort_grace,
            capacity: Some(self.capacity.clone()),
            priority: request.priority,
            cache: self.cache.clone().map(|cache| cache as _),
            cache_mode: request.cache.into(),
            assets: self.assets.clone(),
            trace_parent: request.trace_parent(),
            trace_state: request.trace_state(),
            tracer: self.tracer.clone(),
            ..RunOptions::default()
        }
    }

    /// Writes down the end of a run, and forgets what is too much.
    pub(super) async fn save_end(
        &self,
        seq: i64,
        end: End,
        nodes: Vec<(usize, NodeRecord)>,
    ) -> Result<(), DatabaseError> {
        let (runs_max, bytes_max) = (self.options.history_max, self.options.history_bytes_max);
        let save = move |connection: &rusqlite::Connection| {
            store::finish(connection, seq, &end, &nodes)?;
            store::prune(connection, seq, runs_max, bytes_max)
        };
        room::write(&self.db, save).await
    }

    /// Writes down the end of a run of which all is too much.
    pub(super) async fn save_short_end(
        &self,
        seq: i64,
        end: End,
        nodes: Vec<(usize, NodeRecord)>,
    ) -> Result<(), DatabaseError> {
        let nodes = nodes.into_iter();
        let short = nodes.map(|(place, node)| (place, node.without_values()));
        self.save_end(seq, end, short.collect()).await
    }
}

/// How long to wait before a write that failed is tried again.
pub(super) fn retry_delay(tries: u32) -> Duration {
    Duration::from_millis(20 << tries.min(8))
}
