//! Inputs and parameters that a node does not have.

use std::fmt;

use crate::definition::NodeDefinition;
use crate::request::ExecutionRequest;

/// Characters of a name that are shown.
const NAME_LENGTH_SHOWN: usize = 60;

/// Names that are shown of those that a node has.
const NAMES_SHOWN_MAX: usize = 32;

/// An input or a parameter that a node does not have. Shown, it names those that the node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownArgument {
    /// The node's uid.
    pub node: String,
    /// What it was given as.
    pub kind: ArgumentKind,
    /// Its name; the first 60 characters of it.
    pub name: String,
    /// All names of this kind that the node has.
    pub known: Vec<String>,
}

/// What a value is given to a node as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArgumentKind {
    /// As an input.
    Input,
    /// As a parameter.
    Parameter,
    /// As either, on a wire that does not tell them apart.
    Argument,
}

impl UnknownArgument {
    /// This one, of a node that has `known`.
    pub fn new<'a>(
        node: &str,
        kind: ArgumentKind,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            node: node.to_owned(),
            kind,
            name: name.chars().take(NAME_LENGTH_SHOWN).collect(),
            known: known.into_iter().map(str::to_owned).collect(),
        }
    }

    /// The first one in a request to the node with this definition.
    pub(crate) fn find(request: &ExecutionRequest, definition: &NodeDefinition) -> Option<Self> {
        let mut inputs = request.inputs.iter().map(|(name, _)| name);
        if let Some(name) = inputs.find(|name| definition.input(name).is_none()) {
            let known = definition.inputs.iter().map(|port| port.name.as_str());
            return Some(Self::new(&definition.uid, ArgumentKind::Input, name, known));
        }
        let mut parameters = request.parameters.iter().map(|(name, _)| name);
        let name = parameters.find(|name| definition.parameter(name).is_none())?;
        let known = definition.parameters.iter();
        let known = known.map(|parameter| parameter.name.as_str());
        Some(Self::new(
            &definition.uid,
            ArgumentKind::Parameter,
            name,
            known,
        ))
    }
}

impl std::error::Error for UnknownArgument {}

impl ArgumentKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Parameter => "parameter",
            Self::Argument => "argument",
        }
    }
}

impl fmt::Display for UnknownArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, word, name) = (&self.node, self.kind.word(), &self.name);
        write!(f, "node `{node}` has no {word} `{name}`")?;
        if self.known.is_empty() {
            return f.write_str("; it has none");
        }
        write!(f, "; it has ")?;
        for (i, known) in self.known.iter().take(NAMES_SHOWN_MAX).enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}`{known}`")?;
        }
        match self.known.len().saturating_sub(NAMES_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(known: &[&str]) -> String {
        let known = known.iter().copied();
        UnknownArgument::new("n", ArgumentKind::Parameter, "x", known).to_string()
    }

    #[test]
    fn it_names_what_there_is() {
        assert_eq!(shown(&[]), "node `n` has no parameter `x`; it has none");
        assert_eq!(
            shown(&["a", "b"]),
            "node `n` has no parameter `x`; it has `a`, `b`"
        );
        let many = shown(&["a"; NAMES_SHOWN_MAX + 2]);
        assert!(many.ends_with(" and 2 more"), "{many}");
        let long = UnknownArgument::new("n", ArgumentKind::Input, &"é".repeat(1000), []);
        assert_eq!(long.name.chars().count(), NAME_LENGTH_SHOWN);
    }
}
