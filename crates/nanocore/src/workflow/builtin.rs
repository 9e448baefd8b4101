//! Nodes that need no server: constants and a viewer. spec: nanograph 17.5

use std::sync::{Arc, LazyLock};

use nanograph::message::{NodeDefinition, Parameter, Port};
use nodewire_json::{Json, Kind};

use super::graph::GraphNode;

/// The server uid and package id of the nodes that run in the orchestrator itself.
pub const BUILTIN_SERVER: &str = "builtin";
/// The package of the vendor's default server, which offered `text-input`.
const DEFAULT_SERVER_PACKAGE: &str = "default-node-server";

/// A node that runs in the orchestrator itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// `text-input`: the text of parameter `text`.
    Text,
    /// `number-input`: the number of parameter `number`.
    Number,
    /// `boolean-input`: parameter `boolean`.
    Boolean,
    /// `asset-input`: the reference, or the list of references, of parameter `asset`.
    Asset,
    /// `json-input`: any value of parameter `json`; a list is several values.
    Json,
    /// `viewer`: shows what reaches its input `value`.
    Viewer,
}

impl Builtin {
    pub(crate) const ALL: [Self; 6] = [
        Self::Text,
        Self::Number,
        Self::Boolean,
        Self::Asset,
        Self::Json,
        Self::Viewer,
    ];

    /// Which builtin a graph node names, if any.
    #[must_use]
    pub fn of(node: &GraphNode) -> Option<Self> {
        let is = |wanted: &str| {
            node.server_uid.as_deref() == Some(wanted)
                || node.server_package_id.as_deref() == Some(wanted)
        };
        let builtin = Self::with_uid(&node.uid)?;
        let vendors_text = builtin == Self::Text && is(DEFAULT_SERVER_PACKAGE);
        (is(BUILTIN_SERVER) || vendors_text).then_some(builtin)
    }

    /// The builtin with this definition. It also runs nodes that name none or another server, if no server offers
    /// them. spec: nanograph 14.1
    #[must_use]
    pub fn with_uid(uid: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|builtin| builtin.uid() == uid)
    }

    /// The definition's uid.
    #[must_use]
    pub fn uid(self) -> &'static str {
        match self {
            Self::Text => "text-input",
            Self::Number => "number-input",
            Self::Boolean => "boolean-input",
            Self::Asset => "asset-input",
            Self::Json => "json-input",
            Self::Viewer => "viewer",
        }
    }

    /// The parameter that holds an input node's value, which is also the name of its output.
    #[must_use]
    pub fn parameter(self) -> Option<&'static str> {
        match self {
            Self::Text => Some("text"),
            Self::Number => Some("number"),
            Self::Boolean => Some("boolean"),
            Self::Asset => Some("asset"),
            Self::Json => Some("json"),
            Self::Viewer => None,
        }
    }

    /// What it looks like to a graph.
    #[must_use]
    pub fn definition(self) -> Arc<NodeDefinition> {
        static DEFINITIONS: LazyLock<[Arc<NodeDefinition>; 6]> =
            LazyLock::new(|| Builtin::ALL.map(|builtin| Arc::new(builtin.make_definition())));
        // The order of `ALL` is that of the variants.
        DEFINITIONS[self as usize].clone()
    }

    fn make_definition(self) -> NodeDefinition {
        let mut definition = NodeDefinition::new(self.uid());
        definition.version = "1.0.0".to_owned();
        definition.category = "Built-in".to_owned();
        let port = |name: &str, kind: &str, optional| Port {
            name: name.to_owned(),
            kind: kind.to_owned(),
            optional,
            ..Port::default()
        };
        match self.parameter() {
            Some(name) => {
                definition.outputs = vec![port(name, self.port_type(), false)];
                definition.parameters = vec![self.make_parameter(name)];
            }
            None => definition.inputs = vec![port("value", "any", true)],
        }
        definition
    }

    fn port_type(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Asset => "asset",
            Self::Json | Self::Viewer => "any",
        }
    }

    fn make_parameter(self, name: &str) -> Parameter {
        let (kind, value) = match self {
            Self::Text => ("text", Json::from("")),
            Self::Number => ("number", Json::from(serde_json::Value::from(0))),
            Self::Boolean => ("boolean", Json::from(serde_json::Value::from(false))),
            // No kind of the wire takes one or several references, or any value.
            Self::Asset => ("asset", Json::null()),
            Self::Json | Self::Viewer => ("json", Json::null()),
        };
        let (name, kind) = (name.to_owned(), kind.to_owned());
        Parameter {
            name,
            kind,
            value: value.clone(),
            default: value,
            multiline: self == Self::Text,
            ..Parameter::default()
        }
    }

    /// The outputs of the node as placed: an object, with lists.
    pub(crate) fn outputs(self, node: &GraphNode) -> Vec<(String, Json)> {
        let Some(name) = self.parameter() else {
            return Vec::new();
        };
        let default = || {
            self.definition()
                .parameters
                .first()
                .map(|parameter| parameter.value.clone())
        };
        let value = node
            .param(name)
            .cloned()
            .or_else(default)
            .unwrap_or_default();
        let list = match value.kind() {
            Kind::Array => value,
            Kind::Null => Json::array([]),
            Kind::Bool | Kind::Number | Kind::String | Kind::Object => Json::array([&value]),
        };
        vec![(name.to_owned(), list)]
    }
}
