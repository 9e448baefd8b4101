//! An execution as whoever submitted it sees it.

use std::sync::Arc;

use crate::error::NodeError;
use crate::event::{DropReason, ExecutionEvent, ExecutionId};
use crate::event_queue::EventQueue;
use crate::running::{Running, StopReason};
use crate::value::Outputs;

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
