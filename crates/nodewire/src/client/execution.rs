//! An execution on a server, as its caller sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nodewire_core::{Outputs, Progress};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::RemoteOptions;
use super::call::Call;
use super::error::{RemoteError, RemoteErrorKind};
use super::wire::{Told, WireRef};

/// Something about an execution. The last four end it.
#[derive(Debug)]
pub enum RemoteEvent {
    /// How far it is.
    Progress(Progress),
    /// Some outputs ahead of the end.
    Partial(Outputs),
    /// It ended well.
    Completed(Outputs),
    /// It failed, was refused, or was lost on the way.
    Failed(RemoteError),
    /// It was cancelled.
    Cancelled,
    /// It was accepted, and ended without having been started.
    Dropped {
        /// Why, as the server says.
        reason: String,
    },
}

impl RemoteEvent {
    /// Whether nothing follows.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        !matches!(self, Self::Progress(_) | Self::Partial(_))
    }

    pub(super) fn failed(kind: RemoteErrorKind, message: impl Into<String>) -> Self {
        Self::Failed(RemoteError::new(kind, message))
    }
}

/// An execution that was asked for: events that end with exactly one terminal one. Dropped before, it is cancelled, in the
/// background.
#[derive(Debug)]
pub struct RemoteExecution {
    events: mpsc::Receiver<RemoteEvent>,
    cancel: CancellationToken,
    progress_dropped: Arc<AtomicU64>,
    _cancels: DropGuard,
}

impl RemoteExecution {
    /// The next event, `None` after the terminal one. Cancel safe: no event is lost.
    pub async fn next(&mut self) -> Option<RemoteEvent> {
        self.events.recv().await
    }

    /// Asks for it to be stopped; its end is told as usual, within [`RemoteOptions::cancel_timeout`].
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// What cancels it, for elsewhere.
    #[must_use]
    pub fn cancel_token(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// How many progress events had no room.
    #[must_use]
    pub fn progress_dropped(&self) -> u64 {
        self.progress_dropped.load(Ordering::Relaxed)
    }

    /// Waits for the end, and leaves what comes before it aside.
    ///
    /// Dropping the future cancels the execution.
    ///
    /// # Errors
    /// It ended otherwise than completed.
    pub async fn outcome(mut self) -> Result<Outputs, RemoteError> {
        loop {
            return match self.next().await {
                Some(RemoteEvent::Progress(_) | RemoteEvent::Partial(_)) => continue,
                Some(RemoteEvent::Completed(outputs)) => Ok(outputs),
                Some(RemoteEvent::Failed(error)) => Err(error),
                Some(RemoteEvent::Cancelled) => Err(RemoteError::new(
                    RemoteErrorKind::Cancelled,
                    "the execution was cancelled",
                )),
                Some(RemoteEvent::Dropped { reason }) => Err(RemoteError::new(
                    RemoteErrorKind::Unavailable,
                    format!("the execution was dropped: {reason}"),
                )),
                None => Err(RemoteError::new(
                    RemoteErrorKind::Lost,
                    "the execution's task is gone",
                )),
            };
        }
    }
}

pub(super) fn start(
    link: WireRef,
    call: Call,
    options: &RemoteOptions,
    place: Option<OwnedSemaphorePermit>,
) -> RemoteExecution {
    let (sender, events) = mpsc::channel(options.events_max.max(1));
    let cancel = CancellationToken::new();
    let told = Told {
        events: sender.clone(),
        cancel: cancel.clone(),
        progress_dropped: Arc::default(),
    };
    let execution = RemoteExecution {
        events,
        _cancels: cancel.clone().drop_guard(),
        cancel,
        progress_dropped: Arc::clone(&told.progress_dropped),
    };
    let patience = options.cancel_timeout;
    tokio::spawn(async move {
        let end = run(link, call, told, patience).await;
        drop(place);
        // An error says that nobody wants to know.
        let _ = sender.send(end).await;
    });
    execution
}

/// The server's own deadline comes first, where the wire has one.
const DEADLINE_SLACK: Duration = Duration::from_millis(250);

async fn run(link: WireRef, call: Call, told: Told, patience: Duration) -> RemoteEvent {
    let cancel = told.cancel.clone();
    if cancel.is_cancelled() {
        return RemoteEvent::Cancelled;
    }
    let timeout = call.timeout;
    let mut running = link.run(call, told);
    let expired = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout.saturating_add(DEADLINE_SLACK)).await,
            None => std::future::pending().await,
        }
    };
    let is_expired = tokio::select! {
        end = &mut running => return end,
        () = cancel.cancelled() => false,
        () = expired => true,
    };
    cancel.cancel();
    let end = tokio::time::timeout(patience, running).await;
    match end {
        Ok(RemoteEvent::Cancelled) | Err(_) if is_expired => {
            RemoteEvent::failed(RemoteErrorKind::Deadline, "the execution's time is over")
        }
        Ok(end) => end,
        Err(_) => RemoteEvent::Cancelled,
    }
}
