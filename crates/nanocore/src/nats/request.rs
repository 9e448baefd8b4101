//! From the engine's request to the binding's. The form is in `nodewire::nats` and `nodewire::plain`.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use nanograph::message::{ExecutionRequest, NodeDefinition};
use nodewire_json::{Json, Kind};

use crate::workflow::ObjectWriter;

const EXECUTION: &str = "Nodewire-Execution";
const PRIORITY: &str = "Nodewire-Priority";
const STREAM: &str = "Nodewire-Stream";
const TIMEOUT_MS: &str = "Nodewire-Timeout-Ms";
const TRACE_PARENT: &str = "traceparent";
const TRACE_STATE: &str = "tracestate";
/// The member that marks a reference to an asset.
pub(super) const ASSET: &str = "$asset";

/// What goes with a step beside its values.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Terms {
    /// The step's time limit.
    pub(super) timeout: Option<Duration>,
    /// Of the run.
    pub(super) priority: i32,
}

/// The body: inputs and parameters.
pub(super) fn body(request: &ExecutionRequest, definition: &NodeDefinition) -> Bytes {
    let mut body = ObjectWriter::with_capacity(request.inputs.as_str().len() + 64);
    body.text_member("inputs", &inputs(&request.inputs, definition));
    body.text_member("parameters", &parameters(request.parameters(), definition));
    body.into_text().into()
}

/// The headers of the execution `id`.
pub(super) fn headers(id: &str, request: &ExecutionRequest, terms: Terms) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(STREAM, "1");
    headers.insert(EXECUTION, id);
    if let Some(timeout) = terms.timeout {
        // Not less than the engine's own limit, which is to be the one that is told.
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        headers.insert(TIMEOUT_MS, timeout_ms.saturating_add(1).to_string());
    }
    if terms.priority != 0 {
        headers.insert(PRIORITY, terms.priority.to_string());
    }
    if let Some(parent) = &request.trace_parent {
        headers.insert(TRACE_PARENT, parent.to_string());
        if let Some(state) = &request.trace_state {
            headers.insert(TRACE_STATE, state.to_string());
        }
    }
    headers
}

/// Bytes of headers on the wire: the version's line, then `name: value` lines, then an empty one.
pub(super) fn headers_bytes(headers: &HeaderMap) -> usize {
    let line = |name: &async_nats::HeaderName, value: &async_nats::HeaderValue| {
        let name: &str = name.as_ref();
        name.len() + value.as_str().len() + ": \r\n".len()
    };
    let lines = headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| line(name, value)));
    "NATS/1.0\r\n\r\n".len() + lines.sum::<usize>()
}

/// The inputs with references to assets marked as such.
fn inputs(inputs: &Json, definition: &NodeDefinition) -> String {
    if inputs.kind() != Kind::Object {
        return "{}".to_owned();
    }
    let takes_assets = |port: &str| {
        let port = definition.inputs.iter().find(|known| known.name == port);
        port.is_some_and(|port| names_assets(&port.kind))
    };
    let entries = inputs.entries().unwrap_or_default();
    if !entries.iter().any(|(port, _)| takes_assets(port)) {
        return inputs.as_str().to_owned();
    }
    let mut object = ObjectWriter::with_capacity(inputs.as_str().len() + 64);
    for (port, value) in &entries {
        if !takes_assets(port) {
            object.member(port, value);
        } else if let Some(elements) = value.elements() {
            let marked: Vec<Json> = elements.into_iter().map(marked).collect();
            object.member(port, &Json::array(&marked));
        } else {
            object.member(port, &marked(value.clone()));
        }
    }
    object.into_text()
}

/// The types at which the binding reads references.
fn names_assets(kind: &str) -> bool {
    kind == "asset" || kind.starts_with("asset:")
}

fn marked(value: Json) -> Json {
    if value.kind() == Kind::String {
        return Json::object([(ASSET, value)]);
    }
    value
}

/// From the graph node's list of parameters to an object. What the node does not have is left out: a graph may be older
/// than the node, and the binding refuses what is unknown. spec: nanograph 17.4
fn parameters(list: Option<&Json>, definition: &NodeDefinition) -> String {
    let is_known = |name: &str| definition.parameters.iter().any(|known| known.name == name);
    let mut object = ObjectWriter::new();
    for parameter in list.and_then(Json::elements).unwrap_or_default() {
        let name = parameter.get("name");
        let name = name.as_ref().and_then(Json::string);
        if let (Some(name), Some(value)) = (name, parameter.get("value"))
            && is_known(&name)
        {
            object.member(&name, &value);
        }
    }
    object.into_text()
}

#[cfg(test)]
mod tests {
    use nanograph::message::{NodeId, Parameter, Port};

    use super::*;

    #[test]
    fn values_go_as_they_are_and_references_marked() {
        let port = |name: &str, kind: &str| Port {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..Port::default()
        };
        let definition = NodeDefinition {
            inputs: vec![port("n", "any"), port("image", "asset:image")],
            parameters: vec![Parameter {
                name: "p".to_owned(),
                ..Parameter::default()
            }],
            ..NodeDefinition::new("x")
        };
        let json = |text: &'static str| Json::parse(text).unwrap();
        let request = ExecutionRequest::new(
            "run",
            NodeId::from(1),
            "x",
            json(r#"{"n": [NaN, "sha256:00"], "image": ["sha256:00", 1]}"#),
            json(
                r#"{"id": 1, "parameters": [{"name": "p", "value": 1.0}, {"name": "none"}, {"name": "gone", "value": 1}, 7]}"#,
            ),
        );
        assert_eq!(
            body(&request, &definition),
            r#"{"inputs": {"n": [NaN, "sha256:00"], "image": [{"$asset": "sha256:00"}, 1]}, "parameters": {"p": 1.0}}"#
        );
        let terms = Terms {
            timeout: Some(Duration::from_millis(1500)),
            priority: -3,
        };
        let headers = headers("id-1", &request, terms);
        let value = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
        assert_eq!(value(TIMEOUT_MS).as_deref(), Some("1501"));
        assert_eq!(value(PRIORITY).as_deref(), Some("-3"));
        assert_eq!(value(EXECUTION).as_deref(), Some("id-1"));
        assert_eq!(value(TRACE_PARENT), None);
        assert!(headers_bytes(&headers) > 60);
    }
}
