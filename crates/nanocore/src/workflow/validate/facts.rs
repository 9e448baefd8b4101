//! What is known of a placed node: its definition, its server, how it will run.

use std::sync::Arc;

use nanograph::message::{NodeDefinition, NodeKind, Port};

use crate::workflow::builtin::Builtin;
use crate::workflow::catalog::{Catalog, Resolved, Server};
use crate::workflow::graph::{GraphNode, SavedPort};

/// What is known of a node that will run.
#[derive(Debug)]
pub(crate) struct NodeFacts {
    pub(crate) definition: Arc<NodeDefinition>,
    /// How it will run; `None` if nobody offers it.
    pub(crate) role: Option<Role>,
    /// Another server than the named one, or a builtin that is not named, will run it.
    pub(crate) substituted: bool,
    /// Nobody announced the definition: it is made of the ports that the graph was saved with.
    pub(crate) from_graph: bool,
    /// Why nobody offers it, if that is known.
    pub(crate) absence: Option<String>,
}

/// How a node runs.
#[derive(Debug, Clone)]
pub(crate) enum Role {
    /// On a node server.
    Remote(Arc<Server>),
    /// Here.
    Builtin(Builtin),
    /// Not at all; a user interface shows what reaches it. spec: nanograph 17.5
    Client,
    /// Not at all; what reaches it is passed on. spec: nanograph 17.5
    Muted,
    /// Not at all; the graph says what it makes.
    Pinned,
    /// Not at all; an earlier run has what it makes.
    Reused,
}

impl NodeFacts {
    pub(super) fn look_up(node: &GraphNode, catalog: &dyn Catalog, is_finished: bool) -> Self {
        let mut facts = Self::of(node, catalog);
        if is_finished {
            facts.role = Some(Role::Reused);
        } else if node.pin.is_some() && !node.muted {
            facts.role = Some(Role::Pinned);
        }
        facts
    }

    fn of(node: &GraphNode, catalog: &dyn Catalog) -> Self {
        if let Some(builtin) = Builtin::of(node) {
            return Self::builtin(node, builtin, false);
        }
        // One that a user interface shows needs nobody to run it.
        let stands_in = || Builtin::with_uid(&node.uid).filter(|_| !node.client);
        match catalog.resolve(node) {
            Some(resolved) => Self::announced(node, resolved),
            None => match stands_in() {
                Some(builtin) => Self::builtin(node, builtin, true),
                None => Self::unknown(node, catalog),
            },
        }
    }

    fn builtin(node: &GraphNode, builtin: Builtin, substituted: bool) -> Self {
        let role = if node.muted {
            Role::Muted
        } else {
            Role::Builtin(builtin)
        };
        Self {
            definition: builtin.definition(),
            role: Some(role),
            substituted,
            from_graph: false,
            absence: None,
        }
    }

    fn announced(node: &GraphNode, resolved: Resolved) -> Self {
        let client = node.client || resolved.definition.kind == NodeKind::Client;
        let role = match (node.muted, client) {
            (true, _) => Role::Muted,
            (false, true) => Role::Client,
            (false, false) => Role::Remote(resolved.server),
        };
        Self {
            definition: resolved.definition,
            role: Some(role),
            substituted: resolved.substituted,
            from_graph: false,
            absence: None,
        }
    }

    fn unknown(node: &GraphNode, catalog: &dyn Catalog) -> Self {
        let role = match (node.muted, node.client) {
            (true, _) => Some(Role::Muted),
            (false, true) => Some(Role::Client),
            (false, false) => None,
        };
        // Nobody needs to know of a node that needs nobody.
        let absence = match role {
            Some(_) => None,
            None => catalog.absence(node),
        };
        Self {
            definition: Arc::new(saved_definition(node)),
            role,
            substituted: false,
            from_graph: true,
            absence,
        }
    }

    pub(crate) fn input(&self, name: &str) -> Option<&Port> {
        self.definition.inputs.iter().find(|port| port.name == name)
    }

    pub(crate) fn output(&self, name: &str) -> Option<&Port> {
        self.definition
            .outputs
            .iter()
            .find(|port| port.name == name)
    }

    /// Whether its outputs are there without anything reaching it.
    pub(crate) fn is_given(&self) -> bool {
        matches!(self.role, Some(Role::Pinned | Role::Reused))
    }

    /// The server it runs on, if it does.
    pub(crate) fn server(&self) -> Option<&Arc<Server>> {
        match self.role.as_ref()? {
            Role::Remote(server) => Some(server),
            Role::Builtin(_) | Role::Client | Role::Muted | Role::Pinned | Role::Reused => None,
        }
    }
}

/// The graph's own record of a node, where no server announces it. spec: nanograph 17.1
fn saved_definition(node: &GraphNode) -> NodeDefinition {
    let mut definition = NodeDefinition::new(node.uid.as_str());
    // Whether an input may be left out was not saved.
    let port = |saved: &SavedPort, optional| {
        let (name, kind) = (saved.name.clone(), saved.kind.clone());
        Port {
            name,
            kind,
            optional,
            ..Port::default()
        }
    };
    definition.inputs = node.inputs.iter().map(|saved| port(saved, true)).collect();
    definition.outputs = node
        .outputs
        .iter()
        .map(|saved| port(saved, false))
        .collect();
    if let Some(version) = &node.version {
        definition.version.clone_from(version);
    }
    definition
}
