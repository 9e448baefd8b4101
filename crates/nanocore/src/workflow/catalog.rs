//! Which server offers which node, and which one a graph node goes to. spec: nanograph 14.1

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use nanograph::message::NodeDefinition;

use super::asset_links::AssetStyle;
use super::graph::GraphNode;
use crate::assets::ForeignAssets;

/// Where nodes are looked up.
pub trait Catalog: Send + Sync {
    /// The server that would run the node now; `None` if no server offers it.
    fn resolve(&self, node: &GraphNode) -> Option<Resolved>;

    /// Why no server offers the node, for people: which could, what they are up to, and what to do. `None` if nobody
    /// knows, which is the default.
    fn absence(&self, _node: &GraphNode) -> Option<String> {
        None
    }

    /// Resolves once what is offered may be other than when this was called. By default it never is.
    fn changed(&self) -> BoxFuture<'static, ()> {
        std::future::pending().boxed()
    }
}

/// A node server, as far as the planning of a run needs to know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// Identifies the installation.
    pub uid: String,
    /// Identifies the package it was installed from.
    pub package_id: Option<String>,
    /// The group of servers it shares assets with; `None` is the orchestrator's own.
    pub domain: Option<String>,
    /// How its nodes want single values.
    pub input_style: InputStyle,
    /// The most executions at a time; `None` for the run's limit.
    pub max_in_flight: Option<usize>,
    /// Changes with the code of its nodes; results of an earlier one are not used again. `None` if nobody knows: then
    /// none of its results is used again.
    pub code_epoch: Option<String>,
    /// How its nodes name assets; `None` if nobody knows: then references reach them as they are.
    pub asset_style: Option<AssetStyle>,
    /// Where its assets are, if not in the orchestrator's store.
    pub assets: Option<ForeignAssets>,
}

/// How a node wants an input of one element. spec: nanograph 14.4
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InputStyle {
    /// As a list of one.
    #[default]
    List,
    /// As the element itself.
    Scalar,
}

/// A graph node's definition and the server that runs it.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What the server announced.
    pub definition: Arc<NodeDefinition>,
    /// The server.
    pub server: Arc<Server>,
    /// The graph names another server and another package than this one.
    pub substituted: bool,
}

/// A set of servers and what they offer, in memory.
#[derive(Debug, Clone, Default)]
pub struct ServerSet {
    // Ordered, so that equal choices are the same every time.
    servers: BTreeMap<String, Offers>,
}

#[derive(Debug, Clone)]
struct Offers {
    server: Arc<Server>,
    definitions: HashMap<String, Arc<NodeDefinition>>,
}

impl ServerSet {
    /// Adds a server, or replaces what it offers.
    pub fn insert(
        &mut self,
        server: Server,
        definitions: impl IntoIterator<Item = NodeDefinition>,
    ) {
        let definitions = definitions
            .into_iter()
            .map(|one| (one.uid.clone(), Arc::new(one)))
            .collect();
        self.servers.insert(
            server.uid.clone(),
            Offers {
                server: Arc::new(server),
                definitions,
            },
        );
    }

    /// Removes a server; whether it was there.
    pub fn remove(&mut self, server_uid: &str) -> bool {
        self.servers.remove(server_uid).is_some()
    }

    /// As [`Catalog::resolve`]; among equals the server with the lowest `load` is taken.
    pub fn resolve_by_load(
        &self,
        node: &GraphNode,
        load: impl Fn(&Server) -> u64,
    ) -> Option<Resolved> {
        if let Some(found) = self.named(node) {
            return Some(found);
        }
        let offering = || {
            self.servers
                .values()
                .filter(|offers| offers.definitions.contains_key(&node.uid))
        };
        let package = node.server_package_id.as_deref();
        let same_package =
            |offers: &&Offers| package.is_some() && offers.server.package_id.as_deref() == package;
        let domain = node
            .extra
            .iter()
            .find(|(key, _)| key == "domain")
            .and_then(|(_, value)| value.decode().ok());
        let rank = |offers: &&Offers| (offers.server.domain != domain, load(&offers.server));
        if let Some(offers) = offering().filter(same_package).min_by_key(rank) {
            return offers.resolved(&node.uid, false);
        }
        let named_another = package.is_some() || node.server_uid.is_some();
        offering()
            .min_by_key(rank)?
            .resolved(&node.uid, named_another)
    }

    fn named(&self, node: &GraphNode) -> Option<Resolved> {
        self.servers
            .get(node.server_uid.as_deref()?)?
            .resolved(&node.uid, false)
    }
}

impl Offers {
    fn resolved(&self, node_uid: &str, substituted: bool) -> Option<Resolved> {
        let definition = self.definitions.get(node_uid)?.clone();
        Some(Resolved {
            definition,
            server: self.server.clone(),
            substituted,
        })
    }
}

impl Catalog for ServerSet {
    fn resolve(&self, node: &GraphNode) -> Option<Resolved> {
        self.resolve_by_load(node, |_| 0)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uid)
    }
}
