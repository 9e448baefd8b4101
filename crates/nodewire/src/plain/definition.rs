//! A node's definition, as JSON.

use nodewire_core::{NodeDefinition, ParameterKind, Port};
use nodewire_json::Json;
use serde_json::{Value, json};

/// A node's definition: who it is, its ports and its parameters. For people and tools; requests are described by
/// [`schema`](super::schema()).
#[must_use]
pub fn definition(definition: &NodeDefinition) -> Json {
    let ports = |ports: &[Port]| ports.iter().map(port_json).collect::<Vec<_>>();
    let parameters = definition.parameters.iter();
    let parameters: Vec<_> = parameters
        .map(|parameter| {
            json!({
                "name": parameter.name,
                "type": parameter.kind.name(),
                "default": parameter.default.decode::<Value>().unwrap_or_default(),
                "label": parameter.label,
                "description": parameter.description,
                "options": options(&parameter.kind),
            })
        })
        .collect();
    let definition = json!({
        "uid": &*definition.uid,
        "name": definition.name,
        "category": definition.category,
        "version": definition.version,
        "description": definition.description,
        "inputs": ports(&definition.inputs),
        "outputs": ports(&definition.outputs),
        "parameters": parameters,
    });
    definition.into()
}

fn port_json(port: &Port) -> Value {
    json!({
        "name": port.name,
        "type": port.kind,
        "optional": port.optional,
        "description": port.description,
    })
}

fn options(kind: &ParameterKind) -> Value {
    let ParameterKind::Select(options) = kind else {
        return Value::Null;
    };
    let options = options.iter();
    options
        .map(|option| json!({"value": option.value.decode::<Value>().unwrap_or_default(), "label": option.label}))
        .collect()
}
