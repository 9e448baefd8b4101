//! How the engine reaches nodes: a port that it owns, and others implement.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use nanograph::message::{ExecutionRequest, Status};

use super::catalog::{Catalog, Resolved, Server};
use super::graph::GraphNode;
use super::state::NodeError;

/// Executes nodes. Implemented over connected node servers, and [in process](super::InProcess) for tests and benches.
pub trait NodeInvoker: Catalog {
    /// Executes a node; returns at once, and does nothing before the stream is polled.
    ///
    /// The stream yields what the server says, as it says it. Its end before a terminal status means that the server
    /// was lost. The engine drops the stream when the node has ended for it, which need not stop the execution.
    fn invoke(&self, call: Call) -> BoxStream<'static, Report>;

    /// Whether the code of a server is what it was when the server was looked up. Results of other code are neither
    /// used again nor kept.
    fn has_same_code(&self, server: &Server) -> bool {
        let _ = server;
        true
    }

    /// Whether a server is away, and whoever looks after it brings it back. Nothing is sent to it meanwhile; that it
    /// is back, or given up, is told as [changed](Catalog::changed).
    fn will_be_back(&self, server: &Server) -> bool {
        let _ = server;
        false
    }

    /// Asks a server to stop everything that runs under an instance id; returns at once.
    ///
    /// Whether it stops shows in the streams of the executions concerned.
    fn stop(&self, server: &Arc<Server>, instance_id: &str);
}

impl<C: Catalog + ?Sized> Catalog for Arc<C> {
    fn resolve(&self, node: &GraphNode) -> Option<Resolved> {
        (**self).resolve(node)
    }

    fn absence(&self, node: &GraphNode) -> Option<String> {
        (**self).absence(node)
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        (**self).changed()
    }
}

// All methods: one that is left out would be the trait's default, without a word.
impl<I: NodeInvoker + ?Sized> NodeInvoker for Arc<I> {
    fn invoke(&self, call: Call) -> BoxStream<'static, Report> {
        (**self).invoke(call)
    }

    fn has_same_code(&self, server: &Server) -> bool {
        (**self).has_same_code(server)
    }

    fn will_be_back(&self, server: &Server) -> bool {
        (**self).will_be_back(server)
    }

    fn stop(&self, server: &Arc<Server>, instance_id: &str) {
        (**self).stop(server, instance_id);
    }
}

/// One execution to be made.
#[derive(Debug, Clone)]
pub struct Call {
    /// Where.
    pub server: Arc<Server>,
    /// What.
    pub request: ExecutionRequest,
    /// How long the engine gives it, for servers that can be told.
    pub timeout: Option<Duration>,
    /// Of the run, for servers that can be told: higher goes first.
    pub priority: i32,
}

/// What became known about an execution.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Report {
    /// The server said so.
    Status(Status),
    /// The execution ended without the server saying so, or was never sent.
    Failed(NodeError),
}
