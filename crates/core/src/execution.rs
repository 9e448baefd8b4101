//! An execution as whoever submitted it sees it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::error::NodeError;
use crate::event::{DropReason, ExecutionEvent, ExecutionId};
use crate::node::BoxFuture;
use crate::running::{Running, StopReason};
use crate::sink::EventSink;
use crate::value::Outputs;

/// Progress and partial outputs that wait in an [`Execution`] before there is "no room".
const EVENTS_WAITING_MAX: usize = 64;

/// An accepted execution: its events, and a way to cancel it. Dropping it cancels; see [`Self::detach`].
#[derive(Debug)]
pub struct Execution {
    cancel: CancelHandle,
    events: Arc<EventQueue>,
    cancel_on_drop: bool,
}

/// How an execution that did not complete ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutionError {
    /// The node failed.
    #[error(transparent)]
    Failed(#[from] NodeError),
    /// It was cancelled.
    #[error("the execution was cancelled")]
    Cancelled,
    /// It ended without having been started.
    #[error("the execution was dropped: {0}")]
    Dropped(DropReason),
}

/// Cancels an execution. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CancelHandle {
    running: Arc<Running>,
}

impl CancelHandle {
    pub(crate) fn new(running: Arc<Running>) -> Self {
        Self { running }
    }

    /// The execution's id.
    #[must_use]
    pub fn id(&self) -> ExecutionId {
        self.running.id
    }

    /// Asks the execution to stop. True: it ends in [`ExecutionEvent::Cancelled`]. False: it has ended, or is
    /// ending for another reason.
    pub fn cancel(&self) -> bool {
        self.running.request_stop(StopReason::Cancelled)
    }
}

impl Execution {
    pub(crate) fn new(cancel: CancelHandle, events: Arc<EventQueue>) -> Self {
        Self {
            cancel,
            events,
            cancel_on_drop: true,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ExecutionId {
        self.cancel.id()
    }

    /// Asks it to stop; see [`CancelHandle::cancel`].
    pub fn cancel(&self) -> bool {
        self.cancel.cancel()
    }

    /// A handle that cancels it from elsewhere.
    #[must_use]
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// The next event; `None` after the terminal one.
    ///
    /// # Cancel safety
    /// No event is lost if dropped before completion.
    pub async fn next(&mut self) -> Option<ExecutionEvent> {
        self.events.next().await
    }

    /// Waits for the end and gives the outputs; progress and partial outputs on the way are ignored.
    ///
    /// # Errors
    /// If it ends in any other way than completed.
    ///
    /// # Cancel safety
    /// Dropping this before completion cancels the execution.
    pub async fn outputs(mut self) -> Result<Outputs, ExecutionError> {
        loop {
            match self.next().await {
                Some(ExecutionEvent::Completed(outputs)) => return Ok(outputs),
                Some(ExecutionEvent::Failed(error)) => return Err(ExecutionError::Failed(error)),
                Some(ExecutionEvent::Dropped(reason)) => {
                    return Err(ExecutionError::Dropped(reason));
                }
                Some(ExecutionEvent::Cancelled { .. }) | None => {
                    return Err(ExecutionError::Cancelled);
                }
                Some(
                    ExecutionEvent::Accepted
                    | ExecutionEvent::Started
                    | ExecutionEvent::Progress(_)
                    | ExecutionEvent::Partial(_),
                ) => {}
            }
        }
    }

    /// Lets it go on without anybody following it.
    pub fn detach(mut self) {
        self.cancel_on_drop = false;
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        if self.cancel_on_drop {
            self.cancel();
        }
        self.events.close();
    }
}

/// The sink behind an [`Execution`].
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    // A std mutex: held for a push or a pop, never across an await.
    state: Mutex<QueueState>,
    pushed: Notify,
    popped: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    events: VecDeque<ExecutionEvent>,
    terminal_taken: bool,
    /// Nobody takes events any more, so that there is always room for them: nowhere.
    closed: bool,
}

impl EventQueue {
    async fn next(&self) -> Option<ExecutionEvent> {
        loop {
            let pushed = self.pushed.notified();
            {
                let mut state = self.lock();
                if let Some(event) = state.events.pop_front() {
                    state.terminal_taken = event.is_terminal();
                    drop(state);
                    self.popped.notify_waiters();
                    return Some(event);
                }
                if state.terminal_taken {
                    return None;
                }
            }
            pushed.await;
        }
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let untaken = std::mem::take(&mut state.events);
        drop(state);
        drop(untaken);
        self.popped.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for EventQueue {
    fn deliver(&self, _id: ExecutionId, event: ExecutionEvent) {
        let mut state = self.lock();
        if !state.closed {
            state.events.push_back(event);
            drop(state);
            self.pushed.notify_one();
        }
    }

    fn has_room(&self) -> bool {
        let state = self.lock();
        state.closed || state.events.len() < EVENTS_WAITING_MAX
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            loop {
                let popped = self.popped.notified();
                if self.has_room() {
                    return;
                }
                popped.await;
            }
        })
    }
}
