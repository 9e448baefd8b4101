//! What a node is: its name, ports and parameters. No wire's casing; the wires own their messages.

use std::collections::HashSet;
use std::sync::Arc;

use nodewire_json::Json;

use crate::parameter::Parameter;

/// Static description of a node, checked by [`NodeDefinition::builder`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct NodeDefinition {
    /// Names the node on every wire.
    pub uid: Arc<str>,
    /// For people.
    pub name: String,
    /// For people; `/` separates levels. May be empty.
    pub category: String,
    /// Of the node, not of the server; `0.0.0` by default.
    pub version: String,
    /// For people. May be empty.
    pub description: String,
    /// What goes in.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Port>,
    /// What is set per placed node.
    pub parameters: Vec<Parameter>,
    /// How many run and wait at once.
    pub limits: NodeLimits,
}

/// Bounds of one node; what is `None` follows the executor's configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeLimits {
    /// Executions running at once, at least 1.
    pub concurrency: Option<usize>,
    /// Executions waiting for their turn; 0 refuses whatever cannot start at once.
    pub queue: Option<usize>,
}

/// A named, typed place where lists of values go in or out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Port {
    /// Key in inputs and outputs.
    pub name: String,
    /// Such as `string`, `number`, `boolean`, `any`, `asset`, `asset:image`.
    pub kind: String,
    /// Whether an execution may leave it out.
    pub optional: bool,
    /// For people. May be empty.
    pub description: String,
    /// How much travels through it, if the author says.
    pub size_hint: Option<SizeHint>,
    /// What an input takes when nothing is given: one list of values.
    pub default: Option<Json>,
}

/// How much data a port is expected to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeHint {
    /// A few values.
    Small,
    /// Kilobytes.
    Medium,
    /// Megabytes.
    Large,
    /// Better passed as an asset.
    ExtraLarge,
}

/// Why a definition was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// The uid is empty or longer than [`NodeDefinition::UID_LENGTH_MAX`] bytes.
    #[error("a node uid has 1 to 256 bytes; this one has {0}")]
    BadUid(usize),
    /// A port or parameter without a name.
    #[error("node `{0}` has a port or parameter without a name")]
    EmptyName(String),
    /// Two inputs, two outputs or two parameters with the same name.
    #[error("node `{uid}` has two {what} named `{name}`")]
    DuplicateName {
        /// The node.
        uid: String,
        /// `inputs`, `outputs` or `parameters`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A limit that can never be met.
    #[error("node `{0}` has a concurrency of 0; at least one execution must be able to run")]
    ZeroConcurrency(String),
}

impl NodeDefinition {
    /// Longest uid in bytes.
    pub const UID_LENGTH_MAX: usize = 256;

    /// Starts a definition; everything but the uid has a default.
    pub fn builder(uid: impl Into<String>) -> NodeDefinitionBuilder {
        let uid = uid.into();
        NodeDefinitionBuilder {
            definition: Self {
                name: uid.clone(),
                uid: uid.into(),
                category: String::new(),
                version: "0.0.0".to_owned(),
                description: String::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                parameters: Vec::new(),
                limits: NodeLimits::default(),
            },
        }
    }

    /// The input with this name.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&Port> {
        self.inputs.iter().find(|port| port.name == name)
    }

    /// The output with this name.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<&Port> {
        self.outputs.iter().find(|port| port.name == name)
    }

    /// The parameter with this name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }

    fn check(&self) -> Result<(), DefinitionError> {
        if self.uid.is_empty() || self.uid.len() > Self::UID_LENGTH_MAX {
            return Err(DefinitionError::BadUid(self.uid.len()));
        }
        if self.limits.concurrency == Some(0) {
            return Err(DefinitionError::ZeroConcurrency(self.uid.to_string()));
        }
        self.check_names("inputs", self.inputs.iter().map(|port| port.name.as_str()))?;
        self.check_names(
            "outputs",
            self.outputs.iter().map(|port| port.name.as_str()),
        )?;
        self.check_names(
            "parameters",
            self.parameters
                .iter()
                .map(|parameter| parameter.name.as_str()),
        )
    }

    fn check_names<'a>(
        &self,
        what: &'static str,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<(), DefinitionError> {
        let mut seen = HashSet::new();
        for name in names {
            if name.is_empty() {
                return Err(DefinitionError::EmptyName(self.uid.to_string()));
            }
            if !seen.insert(name) {
                return Err(DefinitionError::DuplicateName {
                    uid: self.uid.to_string(),
                    what,
                    name: name.to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Builds a [`NodeDefinition`].
#[derive(Debug, Clone)]
#[must_use]
pub struct NodeDefinitionBuilder {
    definition: NodeDefinition,
}

impl NodeDefinitionBuilder {
    /// Sets the name for people; the uid by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.definition.name = name.into();
        self
    }

    /// Sets the category.
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.definition.category = category.into();
        self
    }

    /// Sets the version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.definition.version = version.into();
        self
    }

    /// Sets the description.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.definition.description = description.into();
        self
    }

    /// Adds an input.
    pub fn input(mut self, port: Port) -> Self {
        self.definition.inputs.push(port);
        self
    }

    /// Adds an output.
    pub fn output(mut self, port: Port) -> Self {
        self.definition.outputs.push(port);
        self
    }

    /// Adds a parameter.
    pub fn parameter(mut self, parameter: Parameter) -> Self {
        self.definition.parameters.push(parameter);
        self
    }

    /// Bounds how many executions run at once.
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.definition.limits.concurrency = Some(concurrency);
        self
    }

    /// Bounds how many executions wait.
    pub fn queue(mut self, queue: usize) -> Self {
        self.definition.limits.queue = Some(queue);
        self
    }

    /// The definition, if it makes sense.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub fn build(self) -> Result<NodeDefinition, DefinitionError> {
        self.definition.check()?;
        Ok(self.definition)
    }
}

impl Port {
    /// A port of this name and type that must be given.
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            optional: false,
            description: String::new(),
            size_hint: None,
            default: None,
        }
    }

    /// May be left out.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Takes this value when nothing is given, and so may be left out. An array is a list of values.
    #[must_use]
    pub fn default_value(mut self, default: Json) -> Self {
        self.default = Some(default);
        self.optional()
    }

    /// Sets the description.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Says how much travels through it.
    #[must_use]
    pub fn size_hint(mut self, hint: SizeHint) -> Self {
        self.size_hint = Some(hint);
        self
    }
}
