//! A placed node.

use nodewire_json::Json;

use super::exec::Exec;

/// A node placed in a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphNode {
    /// Unique in the graph.
    pub id: u64,
    /// Which definition.
    pub uid: String,
    /// A label of this placed node, for people and for the command line; unique if it is used to find the node.
    pub name: Option<String>,
    /// The definition's version when the graph was saved.
    pub version: Option<String>,
    /// Input ports as of saving; the live definition wins.
    pub inputs: Vec<SavedPort>,
    /// Output ports as of saving; the live definition wins.
    pub outputs: Vec<SavedPort>,
    /// Parameter values by name.
    pub params: Vec<GraphParam>,
    /// Constants for inputs without link: port to list.
    pub values: Vec<(String, Json)>,
    /// Outputs that count instead of executing the node: an object from port to list.
    pub pin: Option<Json>,
    /// Bypassed: does not run, passes its inputs on.
    pub muted: bool,
    /// Whether it takes part at all.
    pub active: bool,
    /// Shown by a user interface instead of run by a server (`"type": "client"`).
    pub client: bool,
    /// The server it was placed from.
    pub server_uid: Option<String>,
    /// That server's package.
    pub server_package_id: Option<String>,
    /// How it is to be executed.
    pub exec: Exec,
    /// Keys without meaning here, in file order.
    pub extra: Vec<(String, Json)>,
}

impl GraphNode {
    /// An active node of the definition `uid`.
    #[must_use]
    pub fn new(id: u64, uid: impl Into<String>) -> Self {
        Self {
            id,
            uid: uid.into(),
            active: true,
            ..Self::default()
        }
    }

    /// The value the graph gives to a parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&Json> {
        self.params
            .iter()
            .rfind(|param| param.name == name)
            .map(|param| &param.value)
    }

    /// Gives a value to a parameter.
    pub fn set_param(&mut self, name: &str, value: Json) {
        match self.params.iter_mut().rfind(|param| param.name == name) {
            Some(param) => param.value = value,
            None => self.params.push(GraphParam {
                name: name.to_owned(),
                kind: None,
                value,
                extra: Vec::new(),
            }),
        }
    }

    /// The constant for an input.
    #[must_use]
    pub fn value(&self, port: &str) -> Option<&Json> {
        self.values
            .iter()
            .rfind(|(name, _)| name == port)
            .map(|(_, value)| value)
    }

    /// Gives a constant, a list, to an input.
    pub fn set_value(&mut self, port: &str, list: Json) {
        match self.values.iter_mut().rfind(|(name, _)| name == port) {
            Some((_, value)) => *value = list,
            None => self.values.push((port.to_owned(), list)),
        }
    }

    /// How messages call this node: its id and its label, or else its definition.
    pub(crate) fn title(&self) -> String {
        format!(
            "node {} ({})",
            self.id,
            self.name.as_deref().unwrap_or(&self.uid)
        )
    }
}

/// A port as the graph was saved with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedPort {
    /// The port's name.
    pub name: String,
    /// The port's type; empty if the file has none.
    pub kind: String,
    /// Keys without meaning here.
    pub extra: Vec<(String, Json)>,
}

/// A parameter's value in a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphParam {
    /// The parameter's name.
    pub name: String,
    /// The parameter's kind as of saving.
    pub kind: Option<String>,
    /// Its value.
    pub value: Json,
    /// Keys without meaning here.
    pub extra: Vec<(String, Json)>,
}
