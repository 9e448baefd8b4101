//! Values, and the named lists of them that go into and come out of a node.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use nodewire_json::Json;

/// One value. A closed set, so that every wire decides about each.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// JSON, kept as text until someone looks inside.
    Json(Json),
    /// Bytes, never copied or encoded on wires that can carry them.
    Bytes(Bytes),
    /// A reference to content kept elsewhere.
    Asset(AssetRef),
}

/// Names content kept in an asset store. The text is the store's; see the wires for its forms.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct AssetRef(String);

impl AssetRef {
    /// Takes a reference as it is; whoever resolves it checks its form.
    pub fn new(reference: impl Into<String>) -> Self {
        Self(reference.into())
    }

    /// The reference's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AssetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        Self::Json(json)
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<AssetRef> for Value {
    fn from(asset: AssetRef) -> Self {
        Self::Asset(asset)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Json(Json::from(text))
    }
}

/// What the values of one port are.
///
/// On every wire a port carries a list: one value is a list of one. Peers may also send a bare value;
/// [`PortValue::Single`] keeps that difference for nodes that pass values on.
#[derive(Debug, Clone, PartialEq)]
pub enum PortValue {
    /// A bare value, as some peers write one.
    Single(Value),
    /// A list of values.
    List(Vec<Value>),
}

impl PortValue {
    /// The values in order.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        match self {
            Self::Single(value) => std::slice::from_ref(value),
            Self::List(values) => values,
        }
    }

    /// The values in order, owned.
    #[must_use]
    pub fn into_values(self) -> Vec<Value> {
        match self {
            Self::Single(value) => vec![value],
            Self::List(values) => values,
        }
    }
}

impl<V: Into<Value>> From<V> for PortValue {
    fn from(value: V) -> Self {
        Self::List(vec![value.into()])
    }
}

impl From<Vec<Value>> for PortValue {
    fn from(values: Vec<Value>) -> Self {
        Self::List(values)
    }
}

macro_rules! named_map {
    ($(#[$doc:meta])* $name:ident, $value:ty) => {
        $(#[$doc])*
        ///
        /// Keeps the order of insertion, which does not count in comparisons. Made for the few names a node has: a
        /// name is found by looking at one after the other. Names may share the memory of the message they came in.
        #[derive(Debug, Clone, Default)]
        pub struct $name(Vec<(ByteString, $value)>);

        impl $name {
            /// None set.
            #[must_use]
            pub const fn new() -> Self {
                Self(Vec::new())
            }

            /// Sets one and gives back the map, for chains.
            #[must_use]
            pub fn with(mut self, name: impl Into<ByteString>, value: impl Into<$value>) -> Self {
                self.insert(name, value);
                self
            }

            /// Sets one, in the place of what had the name before.
            pub fn insert(&mut self, name: impl Into<ByteString>, value: impl Into<$value>) {
                let (name, value) = (name.into(), value.into());
                match self.0.iter_mut().find(|(other, _)| *other == name) {
                    Some((_, place)) => *place = value,
                    None => self.0.push((name, value)),
                }
            }

            /// The one with this name; `None` if it was left out.
            #[must_use]
            pub fn get(&self, name: &str) -> Option<&$value> {
                self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value)
            }

            /// All, in order of insertion.
            pub fn iter(&self) -> impl Iterator<Item = (&str, &$value)> {
                self.0.iter().map(|(name, value)| (&**name, value))
            }

            /// How many are set.
            #[must_use]
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether none is set.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
            }
        }

        impl IntoIterator for $name {
            type Item = (ByteString, $value);
            type IntoIter = std::vec::IntoIter<(ByteString, $value)>;

            fn into_iter(self) -> Self::IntoIter {
                self.0.into_iter()
            }
        }

        /// Where a name comes twice, the last one counts.
        impl<N: Into<ByteString>> FromIterator<(N, $value)> for $name {
            fn from_iter<I: IntoIterator<Item = (N, $value)>>(items: I) -> Self {
                let mut map = Self::new();
                for (name, value) in items {
                    map.insert(name, value);
                }
                map
            }
        }
    };
}

named_map! {
    /// What goes into an execution, by port name.
    Inputs, PortValue
}
named_map! {
    /// What comes out of an execution, by port name.
    Outputs, PortValue
}
named_map! {
    /// The parameters of an execution, by name: only those that were set.
    Parameters, Json
}

impl Inputs {
    /// A port's first value.
    #[must_use]
    pub fn first(&self, port: &str) -> Option<&Value> {
        self.get(port)?.values().first()
    }
}

impl Outputs {
    /// A port's first value.
    #[must_use]
    pub fn first(&self, port: &str) -> Option<&Value> {
        self.get(port)?.values().first()
    }
}
