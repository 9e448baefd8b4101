//! Values between the wire's JSON and the core. spec: nanograph 7.5

use nanograph::message::ExecutionRequest;
use nodewire_core::{Inputs, NodeError, Outputs, Parameters, PortValue, Value};
use nodewire_json::Json;

/// A request's inputs: each port's list, or the bare value if that is what was sent.
pub(super) fn inputs(request: &ExecutionRequest) -> Inputs {
    let entries = request.inputs.entries().unwrap_or_default();
    entries
        .into_iter()
        .map(|(port, value)| (port, port_value(value)))
        .collect()
}

fn port_value(json: Json) -> PortValue {
    match json.elements() {
        Some(elements) => PortValue::List(elements.into_iter().map(Value::Json).collect()),
        None => PortValue::Single(Value::Json(json)),
    }
}

/// A request's parameters, by name. spec: nanograph 7.2
///
/// # Errors
/// If the graph node has none: it was not written by an orchestrator (spec: nanograph 5.3).
pub(super) fn parameters(request: &ExecutionRequest) -> Result<Parameters, NodeError> {
    let list = request
        .parameters()
        .and_then(Json::elements)
        .ok_or_else(|| {
            NodeError::invalid_input("payload.graphNode.parameters is missing or no array")
        })?;
    Ok(list.iter().filter_map(parameter).collect())
}

fn parameter(json: &Json) -> Option<(String, Json)> {
    let (mut name, mut value) = (None, None);
    for (key, member) in json.entries()? {
        match key.as_str() {
            "name" => name = member.decode::<String>().ok(),
            "value" => value = Some(member),
            _ => {}
        }
    }
    Some((name?, value?))
}

/// `outputs`: one list per port, as standard JSON. `NaN` and infinities become `null` (spec: nanograph N7).
pub(super) fn outputs(outputs: &Outputs) -> Json {
    Json::object(outputs.iter().map(|(port, value)| (port, port_json(value))))
}

fn port_json(value: &PortValue) -> Json {
    match value {
        PortValue::Single(value) => value_json(value),
        PortValue::List(values) => {
            let values: Vec<_> = values.iter().map(value_json).collect();
            Json::array(&values)
        }
    }
}

fn value_json(value: &Value) -> Json {
    match value {
        Value::Json(json) => json.to_strict(),
        Value::Asset(asset) => Json::from(asset.as_str()),
        // `assets::store_bytes` has replaced bytes by assets before; what is left has no form on this wire.
        Value::Bytes(_) => Json::null(),
    }
}
