//! Notes when nodes are executed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::BoxStream;
use nanocore::workflow::{Call, Catalog, GraphNode, NodeInvoker, Report, Resolved, Server};

/// The same nodes, with a note of when each is executed.
#[derive(Debug)]
pub struct Timed<I> {
    nodes: I,
    executed_at: Mutex<Vec<Instant>>,
}

impl<I> Timed<I> {
    /// Nothing noted yet.
    pub const fn new(nodes: I) -> Self {
        Self {
            nodes,
            executed_at: Mutex::new(Vec::new()),
        }
    }

    /// The nodes.
    pub const fn nodes(&self) -> &I {
        &self.nodes
    }

    pub(super) fn forget(&self) {
        self.with(Vec::clear);
    }

    pub(super) fn between(&self) -> Vec<Duration> {
        self.with(|times| times.windows(2).map(|pair| pair[1] - pair[0]).collect())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<Instant>) -> T) -> T {
        work(
            &mut self
                .executed_at
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl<I: Catalog> Catalog for Timed<I> {
    fn resolve(&self, node: &GraphNode) -> Option<Resolved> {
        self.nodes.resolve(node)
    }
}

impl<I: NodeInvoker> NodeInvoker for Timed<I> {
    fn invoke(&self, call: Call) -> BoxStream<'static, Report> {
        self.with(|times| times.push(Instant::now()));
        self.nodes.invoke(call)
    }

    fn stop(&self, server: &Arc<Server>, instance_id: &str) {
        self.nodes.stop(server, instance_id);
    }
}
