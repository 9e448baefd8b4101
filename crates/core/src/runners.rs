//! Where handlers are called: one queue, and a few runners that empty it.
//!
//! Waking another thread costs more than many a handler, and a runtime wakes one for nearly every task that is spawned
//! while others wait. So admitted executions go into a queue, one runner is woken for all that gather there, and
//! handlers are called one after the other; those that do not end at once go on in tasks of their own.
//!
//! A handler that keeps its thread holds up its runner, not the queue: when every runner is in a handler that is not
//! known to be quick, or has been in one for a while, another runner is woken, up to one for each of the runtime's
//! threads. What a quick node holds up by an exception waits until the next submission or that handler's end.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::node::DynNode;
use crate::shared::Shared;
use crate::task::Task;

/// How long a runner goes on before it lets other tasks of its thread have a turn, and calls for help.
const TURN: Duration = Duration::from_millis(1);

/// A runner that took nothing for this long is held up.
const HELD_UP: Duration = Duration::from_millis(1);

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
    /// Of those, the ones in a handler that may keep its thread.
    in_slow_handlers: usize,
    /// When a runner last took something.
    last_taken: Option<Instant>,
}

impl State {
    /// Whether what is queued needs another runner; counts it as one if so.
    fn call_runner(&mut self, now: Instant) -> bool {
        let held_up = self
            .last_taken
            .is_some_and(|last| now.saturating_duration_since(last) > HELD_UP);
        let attended = self.runners > self.in_slow_handlers && !held_up;
        let needed = !attended && !self.ready.is_empty() && self.runners < threads();
        self.runners += usize::from(needed);
        needed
    }
}

#[derive(Debug)]
struct Ready {
    task: Task,
    node: Arc<dyn DynNode>,
}

impl Runners {
    /// Queues an execution that has its place.
    pub(crate) fn push(&self, shared: &Arc<Shared>, task: Task, node: Arc<dyn DynNode>) {
        let now = task.running.accepted_at;
        let mut state = self.lock();
        state.ready.push_back(Ready { task, node });
        let needed = state.call_runner(now);
        drop(state);
        if needed {
            spawn_runner(shared);
        }
    }

    /// Takes the next execution, and whether its handler may keep the thread. Without one the runner is counted out,
    /// under the same lock, so that nothing can be queued for a runner that is leaving.
    fn take(&self, shared: &Arc<Shared>, now: Instant, late: bool) -> Option<(Ready, bool)> {
        let mut state = self.lock();
        state.last_taken = Some(now);
        let Some(ready) = state.ready.pop_front() else {
            state.runners -= 1;
            return None;
        };
        let slow = late || !ready.task.running.entry.is_quick();
        state.in_slow_handlers += usize::from(slow);
        let needed = state.call_runner(now);
        drop(state);
        if needed {
            spawn_runner(shared);
        }
        Some((ready, slow))
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
        counted_out: false,
    };
    tokio::spawn(runner.run());
}

/// What a thread woke last it keeps in a slot of its own, where no other thread finds it: another runner, a handler that
/// goes on, a connection with a status to send. A task that does nothing takes the slot, so that these do not wait for
/// the handler that is about to keep the thread.
fn free_next_slot() {
    tokio::spawn(std::future::ready(()));
}

/// Empties the queue.
struct Runner {
    shared: Arc<Shared>,
    counted_out: bool,
}

impl Runner {
    async fn run(mut self) {
        let mut now = Instant::now();
        let mut turn = now;
        loop {
            let late = now - turn > TURN;
            if late {
                tokio::task::yield_now().await;
                now = Instant::now();
                turn = now;
            }
            let Some((ready, slow)) = self.shared.runners.take(&self.shared, now, late) else {
                self.counted_out = true;
                return;
            };
            if slow {
                free_next_slot();
                // Waking a thread takes time, which is none of the handler's.
                now = Instant::now();
            }
            // A handler that panics when dropped must not take the others down.
            let ran =
                std::panic::catch_unwind(AssertUnwindSafe(|| ready.task.run(ready.node, now)));
            now = ran.unwrap_or_else(|_| Instant::now());
            if slow {
                self.shared.runners.lock().in_slow_handlers -= 1;
            }
        }
    }
}

/// When the runtime goes down, what is queued fails with it.
impl Drop for Runner {
    fn drop(&mut self) {
        if self.counted_out {
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
