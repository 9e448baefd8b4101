//! What a node takes, as JSON Schema.

use nodewire_core::{NodeDefinition, NumberRange, Parameter, ParameterKind, Port};
use nodewire_json::Json;
use serde_json::{Map, Value, json};

use super::{ASSET, BYTES, PortType, request::PlainRequest};

/// The JSON Schema, 2020-12, of requests to this node.
#[must_use]
pub fn schema(definition: &NodeDefinition) -> Json {
    let inputs = definition.inputs.iter();
    let parameters = definition.parameters.iter();
    let required: Vec<_> = inputs
        .clone()
        .filter(|port| !port.optional)
        .map(|port| port.name.as_str())
        .collect();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": definition.name,
        "type": "object",
        "properties": {
            "node": {"const": &*definition.uid},
            "inputs": object(inputs.map(|port| (port.name.clone(), input_schema(port))).collect()),
            "parameters": object(parameters.map(|each| (each.name.clone(), parameter_schema(each))).collect()),
            "timeoutMs": {"type": "integer", "minimum": 0},
            "priority": {"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX},
            "callerId": {"type": "string", "maxLength": PlainRequest::TEXT_LENGTH_MAX},
            "traceparent": {"type": "string", "maxLength": PlainRequest::TEXT_LENGTH_MAX},
            "tracestate": {"type": "string", "maxLength": PlainRequest::TRACE_STATE_LENGTH_MAX},
        },
        "additionalProperties": false,
    });
    describe(&mut schema, &definition.description);
    if !required.is_empty() {
        schema["properties"]["inputs"]["required"] = json!(required);
        schema["required"] = json!(["inputs"]);
    }
    schema.into()
}

fn object(properties: Map<String, Value>) -> Value {
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn describe(schema: &mut Value, description: &str) {
    if !description.is_empty() {
        schema["description"] = json!(description);
    }
}

/// One value or a list of them.
pub(crate) fn input_schema(port: &Port) -> Value {
    let one = one_value(&port.kind);
    let mut schema = json!({"anyOf": [one, {"type": "array", "items": one}]});
    describe(&mut schema, &port.description);
    if let Some(default) = &port.default {
        schema["default"] = value_of(default);
    }
    schema
}

fn one_value(kind: &str) -> Value {
    let marked = |member: &str| {
        json!({
            "type": "object",
            "properties": {member: {"type": "string"}},
            "required": [member],
            "additionalProperties": false,
        })
    };
    match PortType::of(kind) {
        PortType::Bytes => {
            let mut bytes = marked(BYTES);
            bytes["properties"][BYTES]["contentEncoding"] = json!("base64");
            bytes
        }
        PortType::Asset => json!({"anyOf": [{"type": "string"}, marked(ASSET)]}),
        PortType::Json => match kind {
            "string" | "number" | "boolean" | "object" | "array" => json!({"type": kind}),
            _ => json!({}),
        },
    }
}

/// What a parameter takes.
pub(crate) fn parameter_schema(parameter: &Parameter) -> Value {
    let mut schema = match &parameter.kind {
        ParameterKind::Number(range) | ParameterKind::Slider(range) => number(*range),
        ParameterKind::Text { .. } | ParameterKind::Color => json!({"type": "string"}),
        ParameterKind::Boolean => json!({"type": "boolean"}),
        ParameterKind::Select(options) => {
            let values: Vec<_> = options
                .iter()
                .map(|option| value_of(&option.value))
                .collect();
            json!({"enum": values})
        }
        ParameterKind::FilePicker => json!({"type": ["string", "null"]}),
    };
    if !parameter.label.is_empty() {
        schema["title"] = json!(parameter.label);
    }
    describe(&mut schema, &parameter.description);
    if !parameter.default.is_null() {
        schema["default"] = value_of(&parameter.default);
    }
    schema
}

fn number(range: NumberRange) -> Value {
    let mut schema = json!({"type": "number"});
    if let Some(min) = range.min {
        schema["minimum"] = json!(min);
    }
    if let Some(max) = range.max {
        schema["maximum"] = json!(max);
    }
    schema
}

/// A number that no decoder can hold becomes `null`: a default is for people.
fn value_of(json: &Json) -> Value {
    json.decode().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema_of(definition: &NodeDefinition) -> Value {
        schema(definition).decode().unwrap()
    }

    #[test]
    fn ports_and_parameters_are_described() {
        let range = NumberRange {
            min: Some(1.0),
            max: Some(10.0),
            ..NumberRange::default()
        };
        let one = Json::from(json!(1));
        let definition = NodeDefinition::builder("n")
            .description("Does it.")
            .input(Port::new("text", "string").description("What."))
            .input(Port::new("more", "any").optional())
            .input(Port::new("data", "bytes").optional())
            .parameter(Parameter::new("count", ParameterKind::Number(range), one))
            .build()
            .unwrap();
        let schema = schema_of(&definition);
        assert_eq!(schema["description"], "Does it.");
        assert_eq!(schema["required"], json!(["inputs"]));
        let inputs = &schema["properties"]["inputs"];
        assert_eq!(inputs["required"], json!(["text"]));
        assert_eq!(inputs["additionalProperties"], json!(false));
        let text = json!({"type": "string"});
        assert_eq!(
            inputs["properties"]["text"],
            json!({"anyOf": [text, {"type": "array", "items": text}], "description": "What."})
        );
        assert_eq!(
            inputs["properties"]["data"]["anyOf"][0]["properties"]["$bytes"]["contentEncoding"],
            "base64"
        );
        assert_eq!(
            schema["properties"]["parameters"]["properties"]["count"],
            json!({"type": "number", "minimum": 1.0, "maximum": 10.0, "default": 1})
        );
    }

    #[test]
    fn a_node_without_required_inputs_requires_none() {
        let definition = NodeDefinition::builder("n").build().unwrap();
        let schema = schema_of(&definition);
        assert_eq!(schema.get("required"), None);
        assert_eq!(schema["properties"]["inputs"].get("required"), None);
    }
}
