//! Where an execution's events go.

use std::future::ready;

use crate::event::{ExecutionEvent, ExecutionId};
use crate::node::BoxFuture;

/// Receives the events of executions, in order per execution, from any thread.
///
/// This is what a wire implements: one sink may serve all executions of a connection.
pub trait EventSink: Send + Sync + 'static {
    /// Takes one event. Must not block and must take it: life-cycle events are at most three per admitted
    /// execution, and `Progress` and `Partial` come only while [`Self::has_room`] says so. A panic loses the
    /// event and harms nobody else.
    fn deliver(&self, id: ExecutionId, event: ExecutionEvent);

    /// Whether there is room for more than life-cycle events. While not, progress is dropped and counted.
    fn has_room(&self) -> bool {
        true
    }

    /// Completes when there is room again; a handler that sends partial outputs waits here.
    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}
