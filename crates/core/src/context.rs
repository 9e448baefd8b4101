//! What a handler is given.

use std::sync::Arc;
use std::time::Instant;

use crate::assets::Assets;
use crate::event::{ExecutionId, Progress};
use crate::running::{Running, SlotGuard};
use crate::value::{Inputs, Outputs, Parameters};

/// An execution as its handler sees it. Cheap to clone; may be used from several tasks.
#[derive(Debug, Clone)]
pub struct Context {
    running: Arc<Running>,
}

impl Context {
    pub(crate) fn new(running: Arc<Running>) -> Self {
        Self { running }
    }

    /// The execution's id.
    #[must_use]
    pub fn id(&self) -> ExecutionId {
        self.running.id
    }

    /// What goes in. References to assets at inputs of type `bytes` are replaced by what they refer to.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        self.running.inputs()
    }

    /// The parameters that were set.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.running.request.parameters
    }

    /// When time runs out.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.running.request.deadline
    }

    /// W3C `traceparent` for whatever this execution calls: of the execution's own span where it is traced, else what
    /// the wire brought.
    #[must_use]
    pub fn trace_parent(&self) -> Option<&str> {
        self.running.trace_parent()
    }

    /// W3C `tracestate`, if the wire brought one. To be passed on beside [`Self::trace_parent`].
    #[must_use]
    pub fn trace_state(&self) -> Option<&str> {
        self.running.request.trace_state.as_deref()
    }

    /// The caller's own name for this execution.
    #[must_use]
    pub fn caller_id(&self) -> &str {
        &self.running.request.caller_id
    }

    /// Content kept elsewhere.
    #[must_use]
    pub fn assets(&self) -> &Assets {
        &self.running.assets
    }

    /// Whether the handler should stop: it was cancelled, its deadline passed, or the execution has ended already.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.running.is_stopping()
    }

    /// Completes when the handler should stop; at once if it should already. A task that outlives the handler learns
    /// here of the execution's end, too.
    ///
    /// # Cancel safety
    /// Safe to drop at any time.
    pub async fn cancelled(&self) {
        self.running.stopping().await;
    }

    /// Tells how far the execution is. Never waits: where the receiver has no room it is dropped and counted.
    pub fn progress(&self, step: u64, total: u64, message: impl Into<String>) {
        self.report(Progress {
            step: Some(step),
            total: Some(total),
            message: message.into(),
        });
    }

    /// Tells what the execution is doing.
    pub fn message(&self, message: impl Into<String>) {
        self.report(Progress {
            message: message.into(),
            ..Progress::default()
        });
    }

    /// As [`Self::progress`], with whatever is known.
    pub fn report(&self, progress: Progress) {
        self.running.report(progress);
    }

    /// Sends outputs ahead of the end; waits while the receiver has no room.
    ///
    /// # Cancel safety
    /// Nothing is sent if dropped before completion.
    pub async fn partial(&self, outputs: Outputs) {
        self.running.partial(outputs).await;
    }

    /// Keeps this execution's place in the node's concurrency limit occupied until the guard is dropped.
    ///
    /// For work that outlives an abandoned handler, such as a thread that cannot be stopped.
    #[must_use]
    pub fn hold_slot(&self) -> SlotGuard {
        SlotGuard::further(Arc::clone(&self.running))
    }
}
