//! Definitions of nodes and their ports. spec: nanograph 7

use nodewire_json::{Json, Kind};

use super::text::ObjectWriter;
use super::{MessageError, Parameter, fields};

/// Static description of a node.
///
/// Read leniently, since peers send what authors wrote: every field but `uid` has a default.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeDefinition {
    /// Names the node type.
    pub uid: String,
    /// For people; the uid by default.
    pub name: String,
    /// For people; `/` separates levels.
    pub category: String,
    /// Of the node type; `0.0.0` by default.
    pub version: String,
    /// For people; may be empty.
    pub description: String,
    /// Who executes it.
    pub kind: NodeKind,
    /// What goes in.
    pub inputs: Vec<Port>,
    /// What comes out.
    pub outputs: Vec<Port>,
    /// What can be set.
    pub parameters: Vec<Parameter>,
    /// True by default.
    pub active: bool,
    /// False by default.
    pub muted: bool,
    /// The definition as it was received, with every key this type does not know. `null` if it was made here; then
    /// [`Self::to_json`] writes the fields.
    pub raw: Json,
}

/// Who executes a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NodeKind {
    /// A node server.
    #[default]
    Server,
    /// A user interface.
    Client,
}

/// A place where values go in or out. spec: nanograph 7.1
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Port {
    /// Key in `inputs` and `outputs`.
    pub name: String,
    /// Such as `string`, `number`, `any`, `asset:image`; free text.
    pub kind: String,
    /// Whether it need not be linked.
    pub optional: bool,
    /// Whether it must not be linked across domains.
    pub prevent_cross_domain: bool,
    /// How large values will be.
    pub size_hint: Option<SizeHint>,
    /// For people; may be empty.
    pub description: String,
}

/// Expected transfer size of a port's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say all that is known")]
pub enum SizeHint {
    Small,
    Medium,
    Large,
    XLarge,
}

impl NodeDefinition {
    /// A definition with defaults for all but the uid.
    pub fn new(uid: impl Into<String>) -> Self {
        let uid = uid.into();
        Self {
            name: uid.clone(),
            uid,
            category: String::new(),
            version: String::from("0.0.0"),
            description: String::new(),
            kind: NodeKind::Server,
            inputs: Vec::new(),
            outputs: Vec::new(),
            parameters: Vec::new(),
            active: true,
            muted: false,
            raw: Json::null(),
        }
    }

    /// Reads a definition as a peer announces it.
    ///
    /// # Errors
    /// If it is no object, or has no string `uid`.
    pub fn from_json(raw: Json) -> Result<Self, MessageError> {
        if raw.kind() != Kind::Object {
            return Err(MessageError::WrongType {
                field: "nodeDefinitions[]",
                expected: "an object",
            });
        }
        let uid = raw
            .get("uid")
            .ok_or(MessageError::Missing { field: "uid" })?;
        let uid = fields::string(&uid).ok_or(MessageError::WrongType {
            field: "uid",
            expected: "a string",
        })?;
        let mut definition = Self::new(uid);
        for (key, value) in fields::entries(&raw) {
            definition.set(&key, &value);
        }
        definition.raw = raw;
        Ok(definition)
    }

    fn set(&mut self, key: &str, value: &Json) {
        match key {
            "name" => replace(&mut self.name, fields::string(value)),
            "category" => replace(&mut self.category, fields::string(value)),
            "version" => replace(&mut self.version, fields::string(value)),
            "description" => replace(&mut self.description, fields::string(value)),
            "type" => self.kind = NodeKind::from_word(value),
            "inputs" => self.inputs = fields::list(value, |port| Port::from_json(&port)),
            "outputs" => self.outputs = fields::list(value, |port| Port::from_json(&port)),
            "parameters" => {
                self.parameters = fields::list(value, |parameter| Parameter::from_json(&parameter))
            }
            "active" => replace(&mut self.active, fields::boolean(value)),
            "muted" => replace(&mut self.muted, fields::boolean(value)),
            _ => {}
        }
    }

    /// The definition as it was received, or else written from the fields.
    #[must_use]
    pub fn to_json(&self) -> Json {
        if !self.raw.is_null() {
            return self.raw.clone();
        }
        let mut out = String::with_capacity(512);
        self.write(&mut out);
        Json::parse(out).unwrap_or_default()
    }

    pub(crate) fn write(&self, out: &mut String) {
        if !self.raw.is_null() {
            out.push_str(self.raw.as_str());
            return;
        }
        let mut object = ObjectWriter::new(out);
        object.string("uid", &self.uid);
        object.string("name", &self.name);
        object.string("category", &self.category);
        object.string("version", &self.version);
        object.string_unless_empty("description", &self.description);
        object.array("inputs", &self.inputs, |out, port| port.write(out));
        object.array("outputs", &self.outputs, |out, port| port.write(out));
        object.array("parameters", &self.parameters, |out, parameter| {
            parameter.write(out)
        });
        if !self.active {
            object.raw("active", "false");
        }
        object.flag("muted", self.muted);
        object.string("type", self.kind.as_str());
        object.end();
    }
}

impl NodeKind {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }

    fn from_word(value: &Json) -> Self {
        if value.as_str() == "\"client\"" {
            Self::Client
        } else {
            Self::Server
        }
    }
}

impl Port {
    /// Reads an object; `None` if this is none.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let mut port = Self::default();
        for (key, value) in json.entries()? {
            match key.as_str() {
                "name" => replace(&mut port.name, fields::string(&value)),
                "type" => replace(&mut port.kind, fields::string(&value)),
                "optional" => replace(&mut port.optional, fields::boolean(&value)),
                "preventCrossDomain" => {
                    replace(&mut port.prevent_cross_domain, fields::boolean(&value))
                }
                "sizeHint" => port.size_hint = SizeHint::from_word(&value),
                "description" => replace(&mut port.description, fields::string(&value)),
                _ => {}
            }
        }
        Some(port)
    }

    fn write(&self, out: &mut String) {
        let mut object = ObjectWriter::new(out);
        object.string("name", &self.name);
        object.string("type", &self.kind);
        object.flag("optional", self.optional);
        object.flag("preventCrossDomain", self.prevent_cross_domain);
        if let Some(hint) = self.size_hint {
            object.string("sizeHint", hint.as_str());
        }
        object.string_unless_empty("description", &self.description);
        object.end();
    }
}

impl SizeHint {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
            Self::XLarge => "xlarge",
        }
    }

    fn from_word(value: &Json) -> Option<Self> {
        match value.as_str() {
            "\"small\"" => Some(Self::Small),
            "\"medium\"" => Some(Self::Medium),
            "\"large\"" => Some(Self::Large),
            "\"xlarge\"" => Some(Self::XLarge),
            _ => None,
        }
    }
}

fn replace<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
