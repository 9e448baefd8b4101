//! Values, and the named lists of them that go into and come out of a node.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use nodewire_json::Json;

/// One value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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

macro_rules! port_map {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name(BTreeMap<String, PortValue>);

        impl $name {
            /// No ports.
            #[must_use]
            pub const fn new() -> Self {
                Self(BTreeMap::new())
            }

            /// Sets a port's values and gives back the map, for chains.
            #[must_use]
            pub fn with(mut self, port: impl Into<String>, value: impl Into<PortValue>) -> Self {
                self.insert(port, value);
                self
            }

            /// Sets a port's values.
            pub fn insert(&mut self, port: impl Into<String>, value: impl Into<PortValue>) {
                self.0.insert(port.into(), value.into());
            }

            /// A port's values; `None` if it was left out.
            #[must_use]
            pub fn get(&self, port: &str) -> Option<&PortValue> {
                self.0.get(port)
            }

            /// A port's first value.
            #[must_use]
            pub fn first(&self, port: &str) -> Option<&Value> {
                self.0.get(port)?.values().first()
            }

            /// All ports, by name.
            pub fn iter(&self) -> impl Iterator<Item = (&str, &PortValue)> {
                self.0.iter().map(|(name, value)| (name.as_str(), value))
            }

            /// How many ports are set.
            #[must_use]
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether no port is set.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl IntoIterator for $name {
            type Item = (String, PortValue);
            type IntoIter = std::collections::btree_map::IntoIter<String, PortValue>;

            fn into_iter(self) -> Self::IntoIter {
                self.0.into_iter()
            }
        }

        impl FromIterator<(String, PortValue)> for $name {
            fn from_iter<I: IntoIterator<Item = (String, PortValue)>>(ports: I) -> Self {
                Self(ports.into_iter().collect())
            }
        }
    };
}

port_map! {
    /// What goes into an execution, by port name.
    Inputs
}
port_map! {
    /// What comes out of an execution, by port name.
    Outputs
}

/// The parameters of an execution, by name: only those that were set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters(BTreeMap<String, Json>);

impl Parameters {
    /// None set.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Sets a parameter and gives back the map, for chains.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Json>) -> Self {
        self.insert(name, value);
        self
    }

    /// Sets a parameter.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Json>) {
        self.0.insert(name.into(), value.into());
    }

    /// A parameter's value; `None` if it was not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    /// All that were set, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl FromIterator<(String, Json)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (String, Json)>>(parameters: I) -> Self {
        Self(parameters.into_iter().collect())
    }
}
