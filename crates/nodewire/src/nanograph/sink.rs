//! An execution's events as statuses, and a stop as a cancellation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use ::nanograph::message::Progress as WireProgress;
use ::nanograph::server::{Replies, StopHandle};
use nodewire_core::{
    Assets, BoxFuture, CancelHandle, EventSink, ExecutionEvent, ExecutionId, ExecutionRequest,
    Executor, NodeError, Outputs, Progress,
};

use tokio::sync::Notify;

use super::{Transfers, assets, values};
use crate::oversize;

/// Turns the events of one execution into statuses.
pub(super) struct ReplySink {
    replies: Replies,
    assets: Assets,
    transfers: Transfers,
    /// A preview whose bytes are being stored. The next one waits for it, so that what is held is bounded.
    is_storing: AtomicBool,
    stored: Notify,
    this: Weak<Self>,
}

impl ReplySink {
    pub(super) fn new(replies: Replies, assets: Assets, transfers: Transfers) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            replies,
            assets,
            transfers,
            is_storing: AtomicBool::new(false),
            stored: Notify::new(),
            this: Weak::clone(this),
        })
    }

    /// Hands the request over; a refusal becomes the answer.
    pub(super) fn submit(
        self: Arc<Self>,
        executor: &Executor,
        request: ExecutionRequest,
    ) -> Option<CancelHandle> {
        let sink: Arc<dyn EventSink> = Arc::<Self>::clone(&self);
        match executor.submit_to(request, sink) {
            Ok(cancel) => Some(cancel),
            Err(refusal) => {
                self.replies.error(&refusal.to_string());
                None
            }
        }
    }

    pub(super) fn cancelled(&self) {
        self.replies.cancelled();
    }

    pub(super) fn error(&self, error: &NodeError) {
        self.replies.error(error.message());
    }

    fn complete(&self, outputs: Outputs) {
        if !assets::has_bytes(&outputs) {
            self.replies.complete(&values::outputs(&outputs));
            return;
        }
        self.after_storing(outputs, |this, stored| match stored {
            Ok(outputs) => drop(this.replies.complete(&values::outputs(&outputs))),
            Err(error) => this.error(&error),
        });
    }

    /// A preview; the replies refuse one whose bytes are stored too late.
    fn partial(&self, outputs: Outputs) {
        if !assets::has_bytes(&outputs) {
            // The server counts what it has no room for.
            let _ = self.replies.partial(None, &values::outputs(&outputs));
            return;
        }
        // The caller has it, so it can be had.
        let Some(this) = self.this.upgrade() else {
            return;
        };
        let storing = Storing::begin(this);
        self.after_storing(outputs, move |this, stored| {
            match stored {
                Ok(outputs) => drop(this.replies.partial(None, &values::outputs(&outputs))),
                Err(error) => {
                    tracing::warn!(%error, "a preview is lost: its bytes cannot be stored");
                }
            }
            drop(storing);
        });
    }

    fn after_storing(
        &self,
        outputs: Outputs,
        tell: impl FnOnce(&Self, Result<Outputs, NodeError>) + Send + 'static,
    ) {
        // The caller has it, so it can be had.
        let Some(this) = self.this.upgrade() else {
            return;
        };
        self.transfers.run(async move {
            let stored = oversize::keep_bytes(outputs, 0, &this.assets).await;
            tell(&this, stored);
        });
    }

    fn running(&self, progress: &Progress) {
        let steps = progress
            .step
            .zip(progress.total)
            .map(|(step, total)| WireProgress { step, total });
        let message = (!progress.message.is_empty()).then_some(progress.message.as_str());
        // The server counts what it has no room for.
        let _ = self.replies.running(message, steps);
    }
}

impl EventSink for ReplySink {
    fn deliver(&self, _id: ExecutionId, event: ExecutionEvent) {
        match event {
            ExecutionEvent::Accepted => {}
            ExecutionEvent::Started => self.replies.started(),
            ExecutionEvent::Progress(progress) => self.running(&progress),
            ExecutionEvent::Partial(outputs) => self.partial(outputs),
            ExecutionEvent::Completed(outputs) => self.complete(outputs),
            ExecutionEvent::Failed(error) => {
                tracing::debug!(error = ?error, "execution failed");
                self.error(&error);
            }
            ExecutionEvent::Cancelled { .. } => self.cancelled(),
            ExecutionEvent::Dropped(reason) => {
                self.replies
                    .error(&format!("the execution was dropped: {reason}"));
            }
        }
    }

    fn has_room(&self) -> bool {
        !self.is_storing.load(Ordering::Acquire) && self.replies.has_room()
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            loop {
                let stored = self.stored.notified();
                if !self.is_storing.load(Ordering::Acquire) {
                    break;
                }
                stored.await;
            }
            self.replies.room().await;
        })
    }
}

/// While the bytes of a preview are stored. It ends with its task, however that ends: a store may panic.
struct Storing(Arc<ReplySink>);

impl Storing {
    fn begin(sink: Arc<ReplySink>) -> Self {
        sink.is_storing.store(true, Ordering::Release);
        Self(sink)
    }
}

impl Drop for Storing {
    fn drop(&mut self) {
        self.0.is_storing.store(false, Ordering::Release);
        self.0.stored.notify_waiters();
    }
}

/// Stops an execution, if it was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Stop(Option<CancelHandle>);

impl Stop {
    /// There is nothing to stop.
    pub(super) fn nothing() -> Self {
        Self(None)
    }

    /// What was submitted, if it was accepted.
    pub(super) fn of(cancel: Option<CancelHandle>) -> Self {
        Self(cancel)
    }
}

impl StopHandle for Stop {
    fn stop(&self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}
