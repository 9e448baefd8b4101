//! Names of placed nodes.

use std::fmt;
use std::hash::{Hash, Hasher};

use nodewire_json::{Json, Kind};

/// The `nodeId` of a placed node: an integer by convention, but any JSON value is echoed as it came.
///
/// Equal are ids of equal text: `1` and `1.0` differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeId(Json);

impl NodeId {
    /// The value as it stands in messages.
    #[must_use]
    pub fn as_json(&self) -> &Json {
        &self.0
    }

    /// The id as a number, if it is a non-negative integer.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        (self.0.kind() == Kind::Number)
            .then(|| self.0.as_str().parse().ok())
            .flatten()
    }
}

impl From<Json> for NodeId {
    fn from(value: Json) -> Self {
        Self(value)
    }
}

impl From<u64> for NodeId {
    fn from(number: u64) -> Self {
        Self(Json::from(serde_json::Value::from(number)))
    }
}

impl Hash for NodeId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

/// The JSON text: strings with their quotes.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
