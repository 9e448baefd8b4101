//! What a server needs from whoever executes nodes.

use std::sync::Arc;

use tokio::sync::watch;

use super::Replies;
use crate::message::{ExecutionRequest, NodeDefinition};

/// Executes nodes for a [`Server`](super::Server).
pub trait Backend: Send + Sync + 'static {
    /// Stops an execution.
    type Handle: StopHandle;

    /// The nodes there are now, in the order in which they are announced.
    fn definitions(&self) -> Vec<NodeDefinition>;

    /// Changes whenever [`Self::definitions`] would give something new. The server then waits until no more changes
    /// come for a while and tells all clients.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Starts an execution and returns at once; it must not block. All answers go through `replies`, also that the node
    /// is unknown ([`Replies::not_found`]), and may be complete before this returns.
    fn execute(&self, request: ExecutionRequest, replies: Replies) -> Self::Handle;
}

/// Tells an execution to stop. Kept until the execution's terminal status; cheap to clone.
pub trait StopHandle: Clone + Send + Sync + 'static {
    /// Asks the execution to stop, and must not block. May be called repeatedly, and after the execution is over.
    fn stop(&self);
}

/// For executions that cannot be stopped.
impl StopHandle for () {
    fn stop(&self) {}
}

impl<H: StopHandle> StopHandle for Option<H> {
    fn stop(&self) {
        if let Some(handle) = self {
            handle.stop();
        }
    }
}

impl<B: Backend> Backend for Arc<B> {
    type Handle = B::Handle;

    fn definitions(&self) -> Vec<NodeDefinition> {
        B::definitions(self)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        B::changes(self)
    }

    fn execute(&self, request: ExecutionRequest, replies: Replies) -> Self::Handle {
        B::execute(self, request, replies)
    }
}
