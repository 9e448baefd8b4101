//! Runs graphs: drives the scheduler with real time, real nodes, and whoever watches.

mod driver;
mod events;
mod hooks;
mod trace;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nodewire_json::Json;
use nodewire_telemetry::{TraceParent, TraceState, Tracer};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::asset_links::AssetLinks;
use super::cache::{Flights, ResultCache, RunCacheMode};
use super::capacity::Capacity;
use super::event::Event;
use super::graph::{Exec, Graph, MAX_TIME};
use super::invoker::NodeInvoker;
use super::plan::{Plan, PlanOptions};
use super::problem::{InvalidGraph, Problem};
use super::result::RunResult;
use super::scheduler::{Limits, Scheduler, Settings};
use super::step_log::StepLog;
use super::types::TypeCheck;
use super::validate::{Checked, ValidateOptions};
use driver::{Driver, now};
use events::{CloseOnDrop, EventQueue};
use hooks::Hooks;
use trace::RunTrace;

/// How a graph is to be run.
#[derive(Clone)]
pub struct RunOptions {
    /// Identifies the run; a random one by default.
    pub run_id: Uuid,
    /// Only these nodes and what they need will run; empty for all.
    pub targets: Vec<u64>,
    /// How strictly links' types are checked.
    pub types: TypeCheck,
    /// Retries, time limits and error policy of nodes that do not say otherwise.
    pub exec: Exec,
    /// How many nodes may be in flight at a time. Only counts without `capacity`.
    pub limits: Limits,
    /// The places for nodes in flight that this run shares with others.
    pub capacity: Option<Capacity>,
    /// Nodes of runs with a higher one get places first.
    pub priority: i32,
    /// Results that are used again, and where new ones are kept. Only those of servers whose code is
    /// [known](super::Server::code_epoch).
    pub cache: Option<Arc<dyn ResultCache>>,
    /// What to do with `cache`.
    pub cache_mode: RunCacheMode,
    /// Nodes that an earlier run of the graph has executed, with their outputs: objects. They are not executed again.
    pub finished: HashMap<u64, Json>,
    /// Nodes of which nobody knows whether an earlier run has executed them, and that must not be executed twice. They
    /// fail at the start with [`ServerLost`](super::NodeErrorCode::ServerLost).
    pub lost: HashSet<u64>,
    /// Where the run notes what it has done.
    pub steps: Option<Arc<dyn StepLog>>,
    /// The assets that values may name; without, references are text like any other.
    pub assets: Option<Arc<dyn AssetLinks>>,
    /// How long nodes wait for a server that is away and will be back; `None` for as long as it takes. Then they are sent
    /// all the same, and fail as its loss has it. Default 300 s, as long as a server may take to start.
    pub away_wait: Option<Duration>,
    /// How long nodes may take to stop; 30 days at most.
    pub abort_grace: Duration,
    /// The trace that the run is part of: its steps' requests have it as their
    /// [parent](nanograph::message::ExecutionRequest::trace_parent).
    pub trace_parent: Option<TraceParent>,
    /// What tracing systems added to that trace: passed on beside it.
    pub trace_state: Option<TraceState>,
    /// Makes spans of the run and of its steps, which are then the parents in place of that.
    pub tracer: Option<Tracer>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            run_id: Uuid::new_v4(),
            targets: Vec::new(),
            types: TypeCheck::default(),
            exec: Exec::default(),
            limits: Limits::default(),
            capacity: None,
            priority: 0,
            cache: None,
            cache_mode: RunCacheMode::default(),
            finished: HashMap::new(),
            lost: HashSet::new(),
            steps: None,
            assets: None,
            away_wait: Some(Duration::from_secs(300)),
            abort_grace: Duration::from_secs(5),
            trace_parent: None,
            trace_state: None,
            tracer: None,
        }
    }
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions")
            .field("run_id", &self.run_id)
            .field("targets", &self.targets)
            .field("exec", &self.exec)
            .field("priority", &self.priority)
            .field("cache_mode", &self.cache_mode)
            .finish_non_exhaustive()
    }
}

/// Runs graphs over the nodes that an invoker reaches.
///
/// Cloning shares the invoker, and what is known of identical nodes in flight: they are executed once, also if they
/// belong to different runs, as long as those share a [`ResultCache`].
#[derive(Debug)]
pub struct Engine<I> {
    invoker: Arc<I>,
    flights: Flights,
}

impl<I> Clone for Engine<I> {
    fn clone(&self) -> Self {
        Self {
            invoker: self.invoker.clone(),
            flights: self.flights.clone(),
        }
    }
}

impl<I: NodeInvoker + 'static> Engine<I> {
    /// An engine over this invoker.
    #[must_use]
    pub fn new(invoker: Arc<I>) -> Self {
        Self {
            invoker,
            flights: Flights::default(),
        }
    }

    /// Everything that is wrong with a graph, or worth knowing before it runs.
    #[must_use]
    pub fn check(&self, graph: &Graph, options: &RunOptions) -> Vec<Problem> {
        self.checked(graph, options).problems
    }

    /// Starts a run, as a task of the current tokio runtime.
    ///
    /// # Errors
    /// If the graph cannot run; nothing was executed then.
    pub fn start(&self, graph: &Graph, options: RunOptions) -> Result<Run, InvalidGraph> {
        let checked = self.checked(graph, &options);
        if checked.problems.iter().any(Problem::is_error) {
            return Err(InvalidGraph {
                problems: checked.problems,
            });
        }
        let cache = options
            .cache
            .clone()
            .filter(|_| options.cache_mode != RunCacheMode::Off);
        let plan = Plan::new(
            &checked,
            PlanOptions {
                defaults: &options.exec,
                finished: &options.finished,
                lost: &options.lost,
                caches: cache.is_some(),
                assets: options.assets.as_deref(),
            },
        );
        let run_id: Arc<str> = options.run_id.to_string().into();
        let events = EventQueue::new(run_id.clone());
        let abort = AbortHandle::default();
        let (sender, result) = oneshot::channel();
        let hooks = Hooks {
            cache,
            flights: self.flights.clone(),
            assets: options.assets.clone(),
            steps: options.steps.clone(),
        };
        let trace = RunTrace::begin(&options, &run_id);
        let driver = Driver::new(
            Scheduler::new(Arc::new(plan), settings(&run_id, options), now()),
            self.invoker.clone(),
            hooks,
            (events.clone(), abort.clone()),
            trace,
        );
        let closing = CloseOnDrop(events.clone());
        tokio::spawn(async move {
            let result = driver.run().await;
            drop(closing);
            // Whoever dropped the run does not want its result.
            let _ = sender.send(result);
        });
        Ok(Run {
            run_id,
            warnings: checked.problems,
            events,
            result,
            abort,
        })
    }

    fn checked<'g>(&self, graph: &'g Graph, options: &RunOptions) -> Checked<'g> {
        let validate = ValidateOptions {
            targets: options.targets.clone(),
            types: options.types,
        };
        Checked::new(graph, &*self.invoker, &validate, &options.finished)
    }
}

fn settings(run_id: &Arc<str>, options: RunOptions) -> Settings {
    let limits = options.limits;
    Settings {
        run_id: run_id.clone(),
        capacity: options.capacity.unwrap_or_else(|| Capacity::new(limits)),
        priority: options.priority,
        looks_up: options.cache_mode == RunCacheMode::Auto,
        logs_steps: options.steps.is_some(),
        assets: options.assets,
        abort_grace: options.abort_grace.min(MAX_TIME),
        away_wait: options.away_wait,
        seed: options.run_id.as_u64_pair().0,
    }
}

/// A run that was started. Dropping it aborts the run.
#[derive(Debug)]
pub struct Run {
    run_id: Arc<str>,
    warnings: Vec<Problem>,
    events: EventQueue,
    result: oneshot::Receiver<RunResult>,
    abort: AbortHandle,
}

impl Run {
    /// Identifies the run: a UUID.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// What is worth knowing about the graph, though it can run.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The next event; `None` after the last.
    ///
    /// A slow reader never slows the run. While more than 1024 events wait, or more than 8 MiB of statuses, a running
    /// status takes the place of an older one of the same node that nobody has read; all other events are kept. Their
    /// number is limited by the graph: a few per attempt of each node.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.next().await
    }

    /// What came of the run. Waits for its end; events need not be read for that.
    ///
    /// # Errors
    /// If the task of the run ended without a result: its runtime was shut down, or a node in process panicked.
    ///
    /// # Cancel safety
    /// Dropping the future aborts the run.
    pub async fn result(mut self) -> Result<RunResult, RunLost> {
        (&mut self.result).await.map_err(|_| RunLost)
    }

    /// A handle to abort the run with while it is being watched.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        self.abort.clone()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// The task of a run ended without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run ended without a result: its runtime was shut down, or a node in process panicked")]
pub struct RunLost;

/// Stops a run.
#[derive(Debug, Clone, Default)]
pub struct AbortHandle {
    token: CancellationToken,
}

impl AbortHandle {
    /// Stops the run: nothing further is dispatched, what runs is stopped, and after the grace time given up.
    /// Again, or after the end of the run: nothing happens.
    pub fn abort(&self) {
        self.token.cancel();
    }
}
