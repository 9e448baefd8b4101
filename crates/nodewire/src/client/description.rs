//! What servers tell of themselves. What a wire cannot tell is `None`.

use std::time::Duration;

use nodewire_json::Json;

use super::plain;
use crate::capability::Wire;

/// A server.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ServerDescription {
    /// How it was found.
    pub wire: Wire,
    /// Its uid, service name, identifier, or the name it has by its configuration; or its address, where it tells none.
    pub name: String,
    /// Which instance of it: its id, or its address where the wire has no instances.
    pub instance: Option<String>,
    /// Its version; that of the software on Nanograph, which has no place for it, and where it is none of ours.
    pub version: Option<String>,
    /// There and back.
    pub round_trip: Option<Duration>,
    /// Its nodes; empty where it is none of ours and the wire tells nothing of them.
    pub nodes: Vec<NodeDescription>,
    /// Whether nodes can be executed there by this client.
    pub is_callable: bool,
}

impl ServerDescription {
    pub(super) const fn new(wire: Wire, name: String) -> Self {
        Self {
            wire,
            name,
            instance: None,
            version: None,
            round_trip: None,
            nodes: Vec::new(),
            is_callable: true,
        }
    }

    /// One that is found at an address, and may tell its name.
    pub(super) fn at(wire: Wire, name: Option<String>, address: String) -> Self {
        match name.filter(|name| !name.is_empty()) {
            Some(name) => Self {
                instance: Some(address),
                ..Self::new(wire, name)
            },
            None => Self::new(wire, address),
        }
    }
}

/// A node, or an endpoint of a NATS service that has none.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct NodeDescription {
    /// Its uid; the endpoint's name where it is no node.
    pub uid: String,
    /// For people.
    pub name: Option<String>,
    /// Of the node.
    pub version: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// What goes in.
    pub inputs: Option<Vec<PortDescription>>,
    /// What comes out.
    pub outputs: Option<Vec<PortDescription>>,
    /// What can be set.
    pub parameters: Option<Vec<ParameterDescription>>,
    /// JSON Schema of its requests.
    pub schema: Option<Json>,
    /// Its subject, or command number.
    pub address: Option<String>,
    /// What it does and has done.
    pub load: Option<Load>,
}

/// A port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortDescription {
    /// Key in inputs and outputs.
    pub name: String,
    /// Such as `string`, `bytes`, `asset:image`.
    pub kind: String,
    /// Whether it may be left out; `None` where the wire does not tell.
    pub optional: Option<bool>,
}

/// A parameter.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ParameterDescription {
    /// Key.
    pub name: String,
    /// Such as `number`, `text`, `select`.
    pub kind: String,
    /// What it is unless set.
    pub default: Json,
}

/// What a node does and has done, since its server started. Times are in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the counters are those of the executor")]
pub struct Load {
    pub running: Option<u64>,
    pub waiting: Option<u64>,
    pub completed: Option<u64>,
    pub failed: Option<u64>,
    pub cancelled: Option<u64>,
    /// For any reason.
    pub dropped: Option<u64>,
    /// For any reason.
    pub refused: Option<u64>,
    pub run_mean_us: Option<u64>,
    pub run_p50_us: Option<u64>,
    pub run_p99_us: Option<u64>,
}

impl Load {
    /// Reads the statistics of [`plain`](crate::plain::stats).
    pub(super) fn from_stats(stats: &Json) -> Option<Self> {
        let accepted = plain::number(stats, "accepted");
        accepted?;
        let times = stats.get("runTimeUs").unwrap_or_default();
        Some(Self {
            running: plain::number(stats, "running"),
            waiting: plain::number(stats, "waiting"),
            completed: plain::number(stats, "completed"),
            failed: plain::number(stats, "failed"),
            cancelled: plain::number(stats, "cancelled"),
            dropped: sum(stats, "dropped"),
            refused: sum(stats, "refused"),
            run_mean_us: plain::number(&times, "mean"),
            run_p50_us: plain::number(&times, "p50"),
            run_p99_us: plain::number(&times, "p99"),
        })
    }
}

fn sum(stats: &Json, key: &str) -> Option<u64> {
    let counts = stats.get(key)?.entries()?;
    let counts = counts
        .iter()
        .filter_map(|(_, count)| count.decode::<u64>().ok());
    Some(counts.fold(0, u64::saturating_add))
}

impl NodeDescription {
    pub(super) fn new(uid: impl Into<String>) -> Self {
        Self {
            uid: uid.into(),
            ..Self::default()
        }
    }

    /// Reads a definition of [`plain`](crate::plain::definition), or what has some of its members.
    pub(super) fn from_definition(definition: &Json) -> Option<Self> {
        let text = |key: &str| plain::text(definition, key);
        Some(Self {
            uid: text("uid")?,
            name: text("name"),
            version: text("version"),
            description: text("description").filter(|text| !text.is_empty()),
            inputs: definition
                .get("inputs")
                .and_then(|ports| list(&ports, port)),
            outputs: definition
                .get("outputs")
                .and_then(|ports| list(&ports, port)),
            parameters: definition
                .get("parameters")
                .and_then(|parameters| list(&parameters, parameter)),
            ..Self::default()
        })
    }

    /// The names of its inputs, where they are known: by the definition, or else by the schema.
    #[must_use]
    pub fn input_names(&self) -> Option<Vec<String>> {
        let told = self.inputs.as_ref();
        let told = told.map(|ports| ports.iter().map(|port| port.name.clone()).collect());
        told.or_else(|| self.schema_names("inputs"))
    }

    /// The names of its parameters, in the same way.
    #[must_use]
    pub fn parameter_names(&self) -> Option<Vec<String>> {
        let told = self.parameters.as_ref();
        let told = told.map(|all| all.iter().map(|each| each.name.clone()).collect());
        told.or_else(|| self.schema_names("parameters"))
    }

    /// The type of an input, where it is known: by the definition, or else by the schema.
    #[must_use]
    pub fn input_kind(&self, port: &str) -> Option<String> {
        let mut ports = self.inputs.iter().flatten();
        let found = ports.find(|other| other.name == port);
        let found = found.map(|port| port.kind.clone());
        found.or_else(|| self.schema_type("inputs", port))
    }

    /// Whether a parameter takes a text as it is.
    #[must_use]
    pub fn is_text_parameter(&self, name: &str) -> bool {
        let mut parameters = self.parameters.iter().flatten();
        match parameters.find(|other| other.name == name) {
            Some(parameter) => matches!(parameter.kind.as_str(), "text" | "color" | "filepicker"),
            None => self.schema_type("parameters", name).as_deref() == Some("string"),
        }
    }

    /// None, where the schema says what a request has, but nothing of this group.
    fn schema_names(&self, group: &str) -> Option<Vec<String>> {
        let groups = self.schema.as_ref()?.get("properties")?;
        let named = groups.get(group).and_then(|group| group.get("properties"));
        let entries = named.and_then(|named| named.entries()).unwrap_or_default();
        let names = entries.iter().map(|(name, _)| name.to_string());
        Some(names.collect())
    }

    fn schema_type(&self, group: &str, name: &str) -> Option<String> {
        let group = self.schema.as_ref()?.get("properties")?.get(group)?;
        let schema = group.get("properties")?.get(name)?;
        let first = schema.get("anyOf").and_then(|any| any.elements());
        let one = first
            .and_then(|any| any.into_iter().next())
            .unwrap_or(schema);
        let members = one.get("properties").unwrap_or_default();
        if members.get("$bytes").is_some() {
            return Some("bytes".to_owned());
        }
        plain::text(&one, "type")
    }
}

fn list<T>(json: &Json, read: impl Fn(&Json) -> Option<T>) -> Option<Vec<T>> {
    let elements = json.elements()?;
    Some(elements.iter().filter_map(read).collect())
}

fn port(json: &Json) -> Option<PortDescription> {
    Some(PortDescription {
        name: plain::text(json, "name")?,
        kind: plain::text(json, "type").unwrap_or_default(),
        optional: json.get("optional").and_then(|value| value.decode().ok()),
    })
}

fn parameter(json: &Json) -> Option<ParameterDescription> {
    Some(ParameterDescription {
        name: plain::text(json, "name")?,
        kind: plain::text(json, "type").unwrap_or_default(),
        default: json.get("default").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_the_schema_where_there_is_no_definition() {
        let schema = r#"{"properties": {"inputs": {"properties": {
            "text": {"anyOf": [{"type": "string"}, {"type": "array"}]},
            "data": {"anyOf": [{"type": "object", "properties": {"$bytes": {"type": "string"}}}]}}},
            "parameters": {"properties": {"prefix": {"type": "string"}, "n": {"type": "number"}}}}}"#;
        let node = NodeDescription {
            schema: Some(Json::parse(schema).unwrap()),
            ..NodeDescription::new("n")
        };
        assert_eq!(node.input_kind("text").as_deref(), Some("string"));
        assert_eq!(node.input_kind("data").as_deref(), Some("bytes"));
        assert_eq!(node.input_kind("none"), None);
        assert!(node.is_text_parameter("prefix") && !node.is_text_parameter("n"));
        assert_eq!(node.input_names().unwrap(), ["text", "data"]);
        assert_eq!(node.parameter_names().unwrap(), ["prefix", "n"]);
        assert_eq!(NodeDescription::new("n").input_names(), None);
    }

    #[test]
    fn statistics_are_read_with_their_sums() {
        let stats = r#"{"accepted": 9, "completed": 4, "failed": 1, "cancelled": 1, "running": 2, "waiting": 1,
            "dropped": {"shutdown": 1, "deadline_passed": 2}, "refused": {"queue_full": 5},
            "runTimeUs": {"mean": 7, "p50": 6, "p99": 12}}"#;
        let load = Load::from_stats(&Json::parse(stats).unwrap()).unwrap();
        assert_eq!((load.dropped, load.refused), (Some(3), Some(5)));
        assert_eq!((load.running, load.run_p99_us), (Some(2), Some(12)));
        assert_eq!(Load::from_stats(&Json::null()), None);
    }
}
