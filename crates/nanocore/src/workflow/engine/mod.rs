//! Runs graphs: drives the scheduler with real time, real nodes, and whoever watches.

mod driver;
mod events;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::event::Event;
use super::graph::{Exec, Graph, MAX_TIME};
use super::invoker::NodeInvoker;
use super::plan::Plan;
use super::problem::{InvalidGraph, Problem};
use super::result::RunResult;
use super::scheduler::{Limits, Settings};
use super::types::TypeCheck;
use super::validate::{Checked, ValidateOptions};
use driver::Driver;
use events::{CloseOnDrop, EventQueue};

/// How a graph is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOptions {
    /// Identifies the run; a random one by default.
    pub run_id: Uuid,
    /// Only these nodes and what they need will run; empty for all.
    pub targets: Vec<u64>,
    /// How strictly links' types are checked.
    pub types: TypeCheck,
    /// Retries, time limits and error policy of nodes that do not say otherwise.
    pub exec: Exec,
    /// How many nodes may be in flight at a time.
    pub limits: Limits,
    /// How long nodes may take to stop; 30 days at most.
    pub abort_grace: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            run_id: Uuid::new_v4(),
            targets: Vec::new(),
            types: TypeCheck::default(),
            exec: Exec::default(),
            limits: Limits::default(),
            abort_grace: Duration::from_secs(5),
        }
    }
}

/// Runs graphs over the nodes that an invoker reaches.
#[derive(Debug, Clone)]
pub struct Engine<I> {
    invoker: Arc<I>,
}

impl<I: NodeInvoker + 'static> Engine<I> {
    /// An engine over this invoker.
    #[must_use]
    pub fn new(invoker: Arc<I>) -> Self {
        Self { invoker }
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
        let plan = Arc::new(Plan::new(&checked, &options.exec));
        let run_id: Arc<str> = options.run_id.to_string().into();
        let settings = Settings {
            run_id: run_id.clone(),
            limits: options.limits,
            abort_grace: options.abort_grace.min(MAX_TIME),
            seed: options.run_id.as_u64_pair().0,
        };
        let events = EventQueue::new(run_id.clone());
        let abort = AbortHandle::default();
        let (sender, result) = oneshot::channel();
        let driver = Driver::new(
            plan,
            settings,
            self.invoker.clone(),
            events.clone(),
            abort.clone(),
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
        Checked::new(graph, &*self.invoker, &validate)
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
