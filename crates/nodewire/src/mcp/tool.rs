//! A node as a tool.

use std::sync::Arc;

use nodewire_core::NodeDefinition;
use rmcp::model::{JsonObject, MetaObject, Tool};
use serde_json::{Map, Value, json};

use crate::plain;

/// The longest name of a tool in bytes.
const NAME_LENGTH_MAX: usize = 128;

/// What a member of `arguments` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    /// The input at this place of the definition.
    Input(usize),
    /// The parameter at this place of the definition.
    Parameter(usize),
}

/// What a node's uid becomes as the name of a tool.
pub(super) fn name(uid: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    uid.chars()
        .take(NAME_LENGTH_MAX)
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}

/// The members of `arguments`: inputs, then parameters, each in the definition's order.
pub(super) fn arguments(definition: &NodeDefinition) -> Vec<(String, Argument)> {
    let inputs = definition.inputs.iter().enumerate();
    let mut arguments: Vec<_> = inputs
        .map(|(i, port)| (port.name.clone(), Argument::Input(i)))
        .collect();
    for (i, parameter) in definition.parameters.iter().enumerate() {
        let mut name = parameter.name.clone();
        while is_taken(definition, i, &name) {
            name.insert_str(0, "parameter_");
        }
        arguments.push((name, Argument::Parameter(i)));
    }
    arguments
}

/// The node as a tool of this name, whose arguments are those of [`arguments`].
pub(super) fn tool(
    name: String,
    definition: &NodeDefinition,
    arguments: &[(String, Argument)],
) -> Tool {
    let description = match definition.description.as_str() {
        "" => None,
        text => Some(text.to_owned().into()),
    };
    let mut meta = MetaObject::new();
    for (key, value) in [
        ("nodewire/node", &*definition.uid),
        ("nodewire/version", definition.version.as_str()),
        ("nodewire/category", definition.category.as_str()),
    ] {
        meta.insert(key.to_owned(), json!(value));
    }
    Tool::new_with_raw(name, description, input_schema(definition, arguments))
        .with_title(definition.name.clone())
        .with_raw_output_schema(output_schema(definition))
        .with_meta(meta)
}

/// Whether an input, or another parameter than this one, has the name.
fn is_taken(definition: &NodeDefinition, parameter: usize, name: &str) -> bool {
    let mut others = definition.parameters.iter().enumerate();
    definition.input(name).is_some() || others.any(|(i, it)| i != parameter && it.name == name)
}

fn input_schema(definition: &NodeDefinition, arguments: &[(String, Argument)]) -> Arc<JsonObject> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, argument) in arguments {
        let schema = match *argument {
            Argument::Input(i) => {
                let port = &definition.inputs[i];
                if !port.optional {
                    required.push(name.as_str());
                }
                plain::input_schema(port)
            }
            Argument::Parameter(i) => plain::parameter_schema(&definition.parameters[i]),
        };
        properties.insert(name.clone(), schema);
    }
    object(json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    }))
}

/// Every output may be left out, as any may end without one.
fn output_schema(definition: &NodeDefinition) -> Arc<JsonObject> {
    let outputs = definition.outputs.iter();
    let properties: Map<_, _> = outputs
        .map(|port| {
            let mut schema = json!({"type": "array", "items": output_value(&port.kind)});
            if !port.description.is_empty() {
                schema["description"] = json!(port.description);
            }
            (port.name.clone(), schema)
        })
        .collect();
    object(json!({"type": "object", "properties": properties}))
}

/// What is not a number is `null`, and so may anything be.
fn output_value(kind: &str) -> Value {
    let marked = |member: &str, kind: &str| json!({"type": "object", "properties": {member: {"type": kind}}, "required": [member]});
    match kind {
        "string" | "number" | "boolean" | "object" | "array" => json!({"type": [kind, "null"]}),
        "bytes" => json!({"anyOf": [marked("$content", "integer"), marked("$asset", "string")]}),
        _ if kind == "asset" || kind.starts_with("asset:") => marked("$asset", "string"),
        _ => json!({}),
    }
}

/// What is made here is an object.
fn object(mut schema: Value) -> Arc<JsonObject> {
    let members = schema.as_object_mut().map(std::mem::take);
    Arc::new(members.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use nodewire_core::{Parameter, ParameterKind, Port};
    use nodewire_json::Json;

    use super::*;

    #[test]
    fn names_have_what_clients_allow() {
        assert_eq!(name("wait/here"), "wait_here");
        assert_eq!(name("a.b-c_D9"), "a.b-c_D9");
        assert_eq!(name("größe"), "gr__e");
        assert_eq!(name(&"x".repeat(200)).len(), 128);
    }

    #[test]
    fn inputs_and_parameters_are_one_object() {
        let text = || ParameterKind::Text { multiline: false };
        let parameter = |name: &str| Parameter::new(name, text(), Json::from(""));
        let definition = NodeDefinition::builder("n")
            .input(Port::new("a", "string"))
            .input(Port::new("b", "bytes").optional())
            .output(Port::new("out", "number"))
            .parameter(parameter("a"))
            .parameter(parameter("c"))
            .build()
            .unwrap();
        let arguments = arguments(&definition);
        let names: Vec<_> = arguments.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "parameter_a", "c"]);
        assert_eq!(arguments[2].1, Argument::Parameter(0));
        let tool = tool("n".to_owned(), &definition, &arguments);
        let input = serde_json::to_value(&tool.input_schema).unwrap();
        assert_eq!(input["required"], json!(["a"]));
        assert_eq!(input["additionalProperties"], false);
        assert_eq!(input["properties"]["parameter_a"]["type"], "string");
        let output = serde_json::to_value(&tool.output_schema).unwrap();
        let items = &output["properties"]["out"]["items"];
        assert_eq!(items, &json!({"type": ["number", "null"]}));
    }
}
