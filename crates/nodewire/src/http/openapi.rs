//! The wire's routes as OpenAPI 3.1.

use nodewire_core::{NodeDefinition, Port};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::plain;
use crate::server::{Identity, SOFTWARE};

/// The document about this server and its nodes.
pub(super) fn document(
    identity: &Identity,
    definitions: &[NodeDefinition],
    has_token: bool,
) -> Value {
    let mut paths = fixed_paths();
    for definition in definitions {
        let uid = utf8_percent_encode(&definition.uid, NON_ALPHANUMERIC);
        paths.insert(format!("/nodes/{uid}/execute"), execute(definition));
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": identity.name(),
            "version": identity.version(),
            "description": format!("Nodes, served by {SOFTWARE}."),
        },
        "paths": paths,
        "components": {"schemas": {"Error": error()}},
    });
    if has_token {
        document["components"]["securitySchemes"] =
            json!({"token": {"type": "http", "scheme": "bearer"}});
        document["security"] = json!([{"token": []}]);
    }
    document
}

fn fixed_paths() -> Map<String, Value> {
    let get =
        |summary: &str| json!({"get": {"summary": summary, "responses": responses(json!({}))}});
    let mut node = get("One node");
    node["parameters"] = json!([
        {"name": "uid", "in": "path", "required": true, "schema": {"type": "string"}}
    ]);
    let mut health = get("Whether the server serves");
    health["get"]["security"] = json!([]);
    [
        (
            "/nodes",
            get("All nodes, with the JSON Schema of their requests"),
        ),
        ("/nodes/{uid}", node),
        ("/openapi.json", get("This document")),
        ("/stats", get("What was done, in numbers")),
        ("/healthz", health),
    ]
    .map(|(path, item)| (path.to_owned(), item))
    .into_iter()
    .collect()
}

fn execute(definition: &NodeDefinition) -> Value {
    let schema: Value = plain::schema(definition).decode().unwrap_or_default();
    let needs_body = schema.get("required").is_some();
    let tags = Some(&definition.category).filter(|category| !category.is_empty());
    json!({
        "post": {
            "operationId": format!("execute {}", definition.uid),
            "summary": definition.name,
            "description": definition.description,
            "tags": Vec::from_iter(tags),
            "parameters": [
                {"name": "Request-Timeout-Ms", "in": "header", "schema": {"type": "integer", "minimum": 0}},
                {"name": "traceparent", "in": "header", "schema": {"type": "string"}},
                {"name": "tracestate", "in": "header", "schema": {"type": "string"}},
            ],
            "requestBody": {
                "required": needs_body,
                "content": {
                    "application/json": {"schema": schema},
                    "multipart/form-data": {"schema": form(definition)},
                },
            },
            "responses": responses(content(definition)),
        },
    })
}

/// A part per value: a file for bytes, a text for the rest.
fn form(definition: &NodeDefinition) -> Value {
    let part = |port: &Port| {
        let one = if port.kind == "bytes" {
            json!({"contentMediaType": "application/octet-stream"})
        } else {
            json!({})
        };
        (port.name.clone(), one)
    };
    let mut properties: Map<_, _> = definition.inputs.iter().map(part).collect();
    properties.insert("parameters".to_owned(), json!({"type": "object"}));
    let required = definition.inputs.iter().filter(|port| !port.optional);
    let required: Vec<_> = required.map(|port| port.name.as_str()).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn content(definition: &NodeDefinition) -> Value {
    let outputs = definition.outputs.iter();
    let outputs: Map<_, _> = outputs
        .map(|port| {
            let list = json!({"type": "array", "description": port.description});
            (port.name.clone(), list)
        })
        .collect();
    let answer = json!({
        "type": "object",
        "properties": {"outputs": {"type": "object", "properties": outputs}},
        "required": ["outputs"],
    });
    let mut content = json!({
        "application/json": {"schema": answer},
        "text/event-stream": {"schema": {"type": "string"}},
    });
    if matches!(&*definition.outputs, [only] if only.kind == "bytes") {
        content["application/octet-stream"] = json!({});
    }
    content
}

fn responses(content: Value) -> Value {
    let content = if content == json!({}) {
        json!({"application/json": {}})
    } else {
        content
    };
    json!({
        "200": {"description": "What was asked for", "content": content},
        "default": {
            "description": "Why not",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        },
    })
}

fn error() -> Value {
    let text = json!({"type": "string"});
    json!({
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {"kind": text, "message": text},
                "required": ["kind", "message"],
            },
        },
        "required": ["error"],
    })
}
