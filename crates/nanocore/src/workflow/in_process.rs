//! Nodes in this process, for tests, benches, and whoever wants a node without a server.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures_util::stream::{BoxStream, StreamExt, once};
use nanograph::message::{NodeDefinition, Status};
use nodewire_json::Json;

use super::catalog::{Catalog, Resolved, Server, ServerSet};
use super::graph::GraphNode;
use super::invoker::{Call, NodeInvoker, Report};
use super::object::ObjectWriter;

type Handler = Arc<dyn Fn(Call) -> BoxStream<'static, Report> + Send + Sync>;
type StopHandler = Arc<dyn Fn(&Server, &str) + Send + Sync>;

/// Servers whose nodes are functions here.
#[derive(Clone, Default)]
pub struct InProcess {
    servers: ServerSet,
    handlers: HashMap<(String, String), Handler>,
    on_stop: Option<StopHandler>,
}

impl InProcess {
    /// No servers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a server with its nodes. A handler's stream is what a node server would say.
    #[must_use]
    pub fn server<H>(
        mut self,
        server: Server,
        nodes: impl IntoIterator<Item = (NodeDefinition, H)>,
    ) -> Self
    where
        H: Fn(Call) -> BoxStream<'static, Report> + Send + Sync + 'static,
    {
        let mut definitions = Vec::new();
        for (definition, handler) in nodes {
            self.handlers.insert(
                (server.uid.clone(), definition.uid.clone()),
                Arc::new(handler),
            );
            definitions.push(definition);
        }
        self.servers.insert(server, definitions);
        self
    }

    /// What to do when a server is asked to stop what runs under an instance id.
    #[must_use]
    pub fn on_stop(mut self, handler: impl Fn(&Server, &str) + Send + Sync + 'static) -> Self {
        self.on_stop = Some(Arc::new(handler));
        self
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

impl Catalog for InProcess {
    fn resolve(&self, node: &GraphNode) -> Option<Resolved> {
        self.servers.resolve(node)
    }
}

impl NodeInvoker for InProcess {
    fn invoke(&self, call: Call) -> BoxStream<'static, Report> {
        let key = (call.server.uid.clone(), call.request.node_uid.to_string());
        match self.handlers.get(&key) {
            Some(handler) => handler(call),
            None => {
                let message = format!("Node definition not found: {}", call.request.node_uid);
                once(std::future::ready(Report::error(&message))).boxed()
            }
        }
    }

    fn stop(&self, server: &Arc<Server>, instance_id: &str) {
        if let Some(handler) = &self.on_stop {
            handler(server, instance_id);
        }
    }
}

impl Report {
    /// A node's `complete` with these outputs.
    #[must_use]
    pub fn complete(outputs: &Json) -> Self {
        let mut status = ObjectWriter::new();
        status.string("type", "complete").member("outputs", outputs);
        Self::Status(Status::from_json(status.finish().unwrap_or_default()))
    }

    /// A node's `error` with this message.
    #[must_use]
    pub fn error(message: &str) -> Self {
        let mut status = ObjectWriter::new();
        status.string("type", "error").string("message", message);
        Self::Status(Status::from_json(status.finish().unwrap_or_default()))
    }

    /// What a server says, as it would stand in `status`.
    pub(crate) fn status(status: Json) -> Self {
        Self::Status(Status::from_json(status))
    }

    /// A node's `running` with this message.
    #[must_use]
    pub fn running(message: &str) -> Self {
        let mut status = ObjectWriter::new();
        status.string("type", "running").string("message", message);
        Self::Status(Status::from_json(status.finish().unwrap_or_default()))
    }
}
