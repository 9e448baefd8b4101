//! [`RunManager`]: the calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nodewire_telemetry::Tracer;

use super::budget::Budget;
use super::calls::{Aborted, QueueChange, QueueChanged, Rerun, Submitted, Validation};
use super::options::{RunManagerCounters, RunManagerOptions};
use super::planning::{planned, will_run, with_planned};
use super::queue::{QueueView, Whereabouts};
use super::record::{NodeRecord, Page, RunFilter, RunRecord, RunState, RunSummary};
use super::request::RunRequest;
use super::shared::Shared;
use super::store::{self, Filled, Filter};
use super::submission::{self, Submission};
use super::unkept::{self, UnkeptRuns};
use super::{CacheCounters, RunError, SqliteCache, StartError, SubmitError, ending, startup};
use crate::db::Database;
use crate::events::EventHub;
use crate::workflow::{AssetLinks, CapacityUsage, NodeInvoker};

/// What a [`RunManager`] works with.
pub struct RunManagerParts {
    /// Reaches the nodes: a [`ServerPool`](crate::workflow::ServerPool).
    pub nodes: Arc<dyn NodeInvoker>,
    /// Where runs are kept.
    pub db: Database,
    /// Where is told what happens.
    pub events: EventHub,
    /// The assets that values may name.
    pub assets: Option<Arc<dyn AssetLinks>>,
    /// Makes spans of runs and their steps.
    pub tracer: Option<Tracer>,
    /// The limits.
    pub options: RunManagerOptions,
}

/// Takes runs, executes them, and knows what came of them. Cloning shares it.
///
/// Every call that changes something goes on to its end although its future is dropped.
#[derive(Clone)]
pub struct RunManager {
    shared: Arc<Shared>,
}

impl fmt::Debug for RunManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunManager")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RunManagerParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunManagerParts").finish_non_exhaustive()
    }
}

impl RunManager {
    /// Takes up the work: runs that wait are executed, durable ones that were broken off go on, others are recorded as
    /// interrupted.
    ///
    /// # Errors
    /// If the database fails.
    ///
    /// # Cancel safety
    /// If the future is dropped, runs of the time before may be recorded as interrupted already; nothing is executed.
    pub async fn start(parts: RunManagerParts) -> Result<Self, StartError> {
        let RunManagerParts {
            nodes,
            db,
            events,
            assets,
            tracer,
            options,
        } = parts;
        let cache = match options.cache {
            Some(limits) => Some(SqliteCache::open(db.clone(), assets.clone(), limits).await?),
            None => None,
        };
        let shared = Shared::new(nodes, (db, events), assets, cache, tracer, options);
        let shared = Arc::new(shared);
        startup::recover(&shared).await?;
        shared.publish_queue();
        shared.start_next();
        Ok(Self { shared })
    }

    /// Accepts a run; when this resolves, it is on disk. With an idempotency key of at most 255 bytes, the same request
    /// again gives the same answer again, as long as the run is kept.
    ///
    /// # Errors
    /// If the request or its graph is wrong, too many runs wait, or it cannot be kept.
    pub async fn submit(
        &self,
        request: RunRequest,
        idempotency_key: Option<String>,
    ) -> Result<Submitted, SubmitError> {
        let shared = self.shared.clone();
        let task = tokio::spawn(async move {
            let submission = Submission::new(request, idempotency_key);
            submission::accept(&shared, submission).await
        });
        task.await.unwrap_or(Err(SubmitError::Stopping))
    }

    /// Everything that is wrong with a request, and what it would run.
    ///
    /// # Errors
    /// If the request is wrong apart from its graph.
    pub fn validate(&self, request: &RunRequest) -> Result<Validation, SubmitError> {
        request.check(self.shared.options.request_bytes_max)?;
        let graph = match request.graph() {
            Ok(graph) => graph,
            Err(SubmitError::Invalid { problems }) => {
                return Ok(Validation {
                    problems,
                    nodes: Vec::new(),
                });
            }
            Err(other) => return Err(other),
        };
        let options = self.shared.run_options(request);
        Ok(Validation {
            problems: self.shared.engine.check(&graph, &options),
            nodes: will_run(&graph, &request.targets),
        })
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// If the cursor is none, or the database fails.
    pub async fn list(&self, filter: RunFilter) -> Result<Page<RunSummary>, RunError> {
        let limit = filter.limit.unwrap_or(100).clamp(1, 1_000);
        let before = match &filter.cursor {
            None => i64::MAX,
            Some(cursor) => cursor.parse().map_err(|_| RunError::BadCursor {
                cursor: cursor.clone(),
            })?,
        };
        // One more tells whether there is a next page.
        let rows = Filter {
            status: filter.status,
            client_id: filter.client_id,
            before,
            limit: limit + 1,
        };
        let mut rows = self
            .shared
            .db
            .read(move |connection| store::list(connection, &rows))
            .await?;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows
            .last()
            .filter(|_| has_more)
            .map(|(seq, _)| seq.to_string());
        let mut runs: Vec<_> = rows.into_iter().map(|(_, summary)| summary).collect();
        unkept::shown(&self.shared.queue(), &mut runs, filter.status);
        Ok(Page { runs, next_cursor })
    }

    /// All about a run; of values over 64 KiB, and over 32 MiB together, only their size.
    ///
    /// # Errors
    /// If there is no such run, or the database fails.
    pub async fn get(&self, run_id: &str) -> Result<RunRecord, RunError> {
        // Looked up first: when it ends in between, the rows tell more.
        let whereabouts = self.shared.queue().find(run_id);
        let id = run_id.to_owned();
        let read = self.shared.db.read(move |connection| {
            let Some(kept) = store::record(connection, &id)? else {
                return Ok(None);
            };
            let mut budget = Budget::default();
            let mut short = |node, size| budget.short(&id, node, size);
            let nodes = Filled { short: &mut short }.nodes(connection, kept.seq)?;
            Ok(Some((kept, nodes)))
        });
        let (mut kept, mut nodes) = read.await?.ok_or_else(|| not_found(run_id))?;
        let (mut position, mut waiting_for) = (None, None);
        match whereabouts {
            Whereabouts::Active(active) if !kept.summary.status.is_finished() => {
                let mut budget = Budget::default();
                let records = active.live.records().into_iter();
                nodes = records
                    .map(|(_, node)| budget.shortened(node, run_id))
                    .collect();
                if let Some(unkept) = active.unkept() {
                    unkept.show(&mut kept.summary);
                }
            }
            Whereabouts::Waiting { position: at } => {
                nodes = with_planned(planned(&kept, None), nodes);
                position = Some(at);
            }
            Whereabouts::WaitingForServers(wait) => {
                nodes = with_planned(planned(&kept, Some(&wait)), nodes);
                waiting_for = Some(wait);
            }
            // Little or nothing was written of it.
            Whereabouts::Elsewhere if kept.summary.status == RunState::Interrupted => {
                nodes = with_planned(planned(&kept, None), nodes);
            }
            Whereabouts::Active(_) | Whereabouts::Elsewhere => {}
        }
        Ok(RunRecord {
            summary: kept.summary,
            position,
            waiting_for,
            graph: kept.graph,
            options: kept.options,
            nodes,
        })
    }

    /// A node of a run, with all its values. One that waits for its turn is `pending`, also in a run that does.
    ///
    /// # Errors
    /// If there is no such run or no such node in it, or the database fails.
    pub async fn node(&self, run_id: &str, node_id: u64) -> Result<NodeRecord, RunError> {
        let whereabouts = self.shared.queue().find(run_id);
        if let Whereabouts::Active(active) = &whereabouts
            && let Some(node) = active.live.node(node_id)
        {
            return Ok(node);
        }
        let wait = match whereabouts {
            Whereabouts::WaitingForServers(wait) => Some(wait),
            Whereabouts::Active(_) | Whereabouts::Waiting { .. } | Whereabouts::Elsewhere => None,
        };
        let id = run_id.to_owned();
        let read = self.shared.db.read(move |connection| {
            if let Some(node) = store::record_node(connection, &id, node_id)? {
                return Ok(Some(Some(node)));
            }
            let kept = store::record(connection, &id)?;
            let of_run = |kept| planned(&kept, wait.as_ref()).into_iter();
            Ok(kept.map(|kept| of_run(kept).find(|node| node.node_id == node_id)))
        });
        let node = read.await?.ok_or_else(|| not_found(run_id))?;
        node.ok_or_else(|| RunError::NodeNotFound {
            run_id: run_id.to_owned(),
            node_id,
        })
    }

    /// Stops a run: takes it out of the queue, or stops its nodes. Again, or after its end: nothing happens.
    ///
    /// # Errors
    /// If there is no such run, or the database fails; a run that waits waits on then.
    pub async fn abort(&self, run_id: &str) -> Result<Aborted, RunError> {
        let (shared, run_id) = (self.shared.clone(), run_id.to_owned());
        ending::detached(async move { ending::abort(&shared, &run_id).await }).await
    }

    /// Runs the request of a run again, with changes. An idempotency key works as in [`Self::submit`].
    ///
    /// # Errors
    /// As [`Self::submit`]; and if there is no such run, or it has not ended although what completed is to be used.
    pub async fn rerun(
        &self,
        run_id: &str,
        rerun: Rerun,
        idempotency_key: Option<String>,
    ) -> Result<Submitted, SubmitError> {
        let (shared, run_id) = (self.shared.clone(), run_id.to_owned());
        let task = tokio::spawn(async move {
            submission::rerun(&shared, run_id, rerun, idempotency_key).await
        });
        task.await.unwrap_or(Err(SubmitError::Stopping))
    }

    /// Forgets a run that has ended, or takes one that waits out of the queue and forgets it.
    ///
    /// # Errors
    /// If there is no such run, it is being executed, or the database fails.
    pub async fn delete(&self, run_id: &str) -> Result<(), RunError> {
        let (shared, run_id) = (self.shared.clone(), run_id.to_owned());
        ending::detached(async move { ending::delete(&shared, &run_id).await }).await
    }

    /// Who runs and who waits.
    #[must_use]
    pub fn queue(&self) -> QueueView {
        self.shared.queue().view()
    }

    /// Runs that have ended, but whose end cannot be written down now; `None` if there is none.
    #[must_use]
    pub fn unkept(&self) -> Option<UnkeptRuns> {
        unkept::all(&self.shared.queue())
    }

    /// Takes runs out of the queue; they end as aborted.
    ///
    /// # Errors
    /// If the database fails; those taken out before that stay out.
    pub async fn change_queue(&self, change: QueueChange) -> Result<QueueChanged, RunError> {
        let shared = self.shared.clone();
        ending::detached(async move { ending::change_queue(&shared, change).await }).await
    }

    /// Refuses new runs, and stops those that are executed: durable ones are resumed by the next process, others are
    /// recorded as interrupted. Waits at most `grace` for them; what is not written then is told as not kept. The
    /// database stays open.
    ///
    /// # Cancel safety
    /// If the future is dropped, everything is stopping but nobody waits for it.
    pub async fn shutdown(&self, grace: Duration) {
        ending::shutdown(&self.shared, grace).await;
    }

    /// The limits.
    #[must_use]
    pub fn options(&self) -> &RunManagerOptions {
        &self.shared.options
    }

    /// What became of runs so far.
    #[must_use]
    pub fn counters(&self) -> RunManagerCounters {
        self.shared.counts.read()
    }

    /// What the result cache did so far; `None` without one.
    #[must_use]
    pub fn cache_counters(&self) -> Option<CacheCounters> {
        self.shared.cache.as_ref().map(|cache| cache.counters())
    }

    /// The result cache, if there is one.
    #[must_use]
    pub fn cache(&self) -> Option<Arc<SqliteCache>> {
        self.shared.cache.clone()
    }

    /// How many nodes are in flight, over all runs.
    #[must_use]
    pub fn usage(&self) -> CapacityUsage {
        self.shared.capacity.usage()
    }
}

pub(super) fn not_found(run_id: &str) -> RunError {
    RunError::NotFound {
        run_id: run_id.to_owned(),
    }
}
