//! One execution, as its caller sees it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt};
use nodewire_json::Json;

use super::handle::Inner;
use super::mailbox::Mailbox;
use super::outstanding::{Key, Ticket};
use super::{ExecutionError, StopError};
use crate::message::{Status, StopAck};

/// Something about an execution.
#[derive(Debug, Clone, PartialEq)]
pub enum ExecutionEvent {
    /// It goes on: `running`, or information such as `idle`. Outputs in here are previews.
    Status(Status),
    /// It is over; nothing follows.
    End(Result<Completion, ExecutionError>),
}

/// A successful end.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// An object; empty if the node returned nothing.
    pub outputs: Json,
    /// The status that said so, with its message and whatever keys it had.
    pub status: Status,
}

/// An execution that was sent: a stream of [`ExecutionEvent`]s that ends after exactly one [`ExecutionEvent::End`].
///
/// A caller that reads slowly misses the oldest statuses ([`Self::conflated`] counts them), never the end. Dropping this
/// forgets the execution: the server is not told and goes on with it, unless the request had not been written yet, in
/// which case it is not sent at all. To end the execution itself, [`Self::stop`] first.
#[derive(Debug)]
pub struct Execution {
    pub(super) inner: Arc<Inner>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) key: Key,
    pub(super) ticket: Ticket,
}

impl Execution {
    /// The next event, `None` after the end. Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<ExecutionEvent> {
        StreamExt::next(self).await
    }

    /// Waits for the end and leaves the statuses before it aside.
    ///
    /// Dropping the future drops the execution; see there.
    ///
    /// # Errors
    /// The execution ended without outputs.
    pub async fn outcome(mut self) -> Result<Completion, ExecutionError> {
        loop {
            match self.next().await {
                Some(ExecutionEvent::Status(_)) => {}
                Some(ExecutionEvent::End(end)) => return end,
                // Only if the caller took the end before.
                None => return Err(ExecutionError::Closed),
            }
        }
    }

    /// Asks the server to stop all executions of this instance id, this one among them. spec: nanograph 5.5
    ///
    /// The answer proves nothing: an execution may complete nevertheless, and some nodes never end after a stop. A
    /// second stop ends nodes that swallowed the first.
    ///
    /// Cancel safety: once the future was polled the stop may be sent, whether it is dropped or not.
    ///
    /// # Errors
    /// The stop could not be sent or was not acknowledged.
    pub async fn stop(&self) -> Result<StopAck, StopError> {
        self.inner.stop(self.key.instance_id.clone()).await
    }

    /// The instance id of the request.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.key.instance_id
    }

    /// How many statuses were dropped because they were not read in time.
    #[must_use]
    pub fn conflated(&self) -> u64 {
        self.mailbox.conflated()
    }
}

impl Stream for Execution {
    type Item = ExecutionEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ExecutionEvent>> {
        self.mailbox.poll(cx)
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        self.inner
            .shared
            .table()
            .executions
            .abandon(&self.key, self.ticket);
    }
}
