//! Where handlers are called: one queue, and a few runners that empty it.
//!
//! Waking another thread costs more than many a handler, and a runtime wakes one for nearly every task that is spawned
//! while others wait. So admitted executions go into a queue, one runner is woken for all that gather there, and
//! handlers are called one after the other; those that do not end at once go on in tasks of their own. Further runners
//! are woken before a handler is called that may keep its thread, and when a runner has been at it for a while; at most
//! one for each of the runtime's threads.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::node::DynNode;
use crate::shared::Shared;
use crate::task::Task;

/// How long a runner goes on before it lets other tasks of its thread have a turn, and calls for help.
const TURN: Duration = Duration::from_micros(200);

/// The queue. It holds no more than the executor admits.
#[derive(Debug, Default)]
pub(crate) struct Runners {
    // A std mutex: held for a push or a pop, never across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Ready>,
    runners: usize,
}

#[derive(Debug)]
struct Ready {
    task: Task,
    node: Arc<dyn DynNode>,
}

impl Runners {
    /// Queues an execution that has its place.
    pub(crate) fn push(&self, shared: &Arc<Shared>, task: Task, node: Arc<dyn DynNode>) {
        let mut state = self.lock();
        state.ready.push_back(Ready { task, node });
        let sleeping = state.runners == 0;
        state.runners += usize::from(sleeping);
        drop(state);
        if sleeping {
            spawn_runner(shared);
        }
    }

    /// Takes the next execution; a runner that finds none is done.
    fn pop(&self, shared: &Arc<Shared>, late: bool) -> Option<Ready> {
        let mut state = self.lock();
        let Some(ready) = state.ready.pop_front() else {
            state.runners -= 1;
            return None;
        };
        let may_keep_thread = late || !ready.task.running.entry.is_quick();
        let help = may_keep_thread && !state.ready.is_empty() && state.runners < threads();
        state.runners += usize::from(help);
        drop(state);
        if help {
            spawn_runner(shared);
        }
        Some(ready)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn threads() -> usize {
    Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers())
}

fn spawn_runner(shared: &Arc<Shared>) {
    let runner = Runner {
        shared: Arc::clone(shared),
        done: false,
    };
    tokio::spawn(runner.run());
}

/// Empties the queue.
struct Runner {
    shared: Arc<Shared>,
    done: bool,
}

impl Runner {
    async fn run(mut self) {
        let mut turn = Instant::now();
        loop {
            let late = turn.elapsed() > TURN;
            if late {
                tokio::task::yield_now().await;
                turn = Instant::now();
            }
            let Some(Ready { task, node }) = self.shared.runners.pop(&self.shared, late) else {
                self.done = true;
                return;
            };
            // A sink that panics must not take the others down; the task's drop fails its execution.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| task.run(node)));
        }
    }
}

/// When the runtime goes down, what is queued fails with it.
impl Drop for Runner {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.shared.runners.lock();
        state.runners -= 1;
        let orphans = if state.runners == 0 {
            std::mem::take(&mut state.ready)
        } else {
            VecDeque::new()
        };
        drop(state);
        drop(orphans);
    }
}
