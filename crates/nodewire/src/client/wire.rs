//! What each wire does for a [`Remote`](super::Remote).

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nodewire_core::{BoxFuture, Outputs, Progress};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::call::Call;
use super::description::ServerDescription;
use super::error::RemoteError;
use super::execution::RemoteEvent;

pub(super) type WireRef = Arc<dyn Wire>;

/// A connection by one wire.
pub(super) trait Wire: Debug + Send + Sync {
    /// What is told within this time, and within the connection's own.
    fn describe(
        &self,
        at_most: Duration,
    ) -> BoxFuture<'_, Result<Vec<ServerDescription>, RemoteError>>;

    /// Whether the call has a form and room here, as far as is known.
    fn carries(&self, call: &Call) -> Result<(), RemoteError>;

    /// Executes, tells what happens, and gives the event that ends it. Once `told` is cancelled, the server is asked to
    /// stop, and the end waited for.
    fn run(self: Arc<Self>, call: Call, told: Told) -> BoxFuture<'static, RemoteEvent>;

    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Where the events of an execution go.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) events: mpsc::Sender<RemoteEvent>,
    pub(super) cancel: CancellationToken,
    pub(super) progress_dropped: Arc<AtomicU64>,
}

impl Told {
    pub(super) fn progress(&self, progress: Progress) {
        if self
            .events
            .try_send(RemoteEvent::Progress(progress))
            .is_err()
        {
            self.progress_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for room, but not for an execution that nobody wants any more.
    pub(super) async fn partial(&self, some: Outputs) {
        tokio::select! {
            // An error says that nobody reads.
            _ = self.events.send(RemoteEvent::Partial(some)) => {}
            () = self.cancel.cancelled() => {}
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}
