//! Routes and their description, added together, so that neither can be without the other.

use axum::Router;
use axum::routing::MethodRouter;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::Api;
use crate::refusal::ErrorBody;

/// One operation: what is said about a method of an address.
pub(super) struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
}

/// Routes with their document.
pub(super) struct Routes {
    router: Router<Api>,
    paths: Map<String, Value>,
    schemas: SchemaGenerator,
}

impl Routes {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self {
            router: Router::new(),
            paths: Map::new(),
            schemas: settings.into_generator(),
        }
    }

    /// Adds an operation and what answers it.
    pub(super) fn add(&mut self, operation: Operation, handler: MethodRouter<Api>) {
        let router = std::mem::take(&mut self.router);
        self.router = router.route(operation.path, handler);
        self.describe(operation);
    }

    /// Adds only the description: of what another part answers.
    pub(super) fn describe(&mut self, operation: Operation) {
        let mut answers = operation.answers;
        if operation.path != super::about::HEALTH {
            let error = self.schemas.subschema_for::<ErrorBody>();
            let refusal = json!({
                "description": "Refused; the error says why.",
                "content": { "application/json": { "schema": error } },
            });
            answers.insert("default".to_owned(), refusal);
        }
        let tag = operation
            .path
            .trim_start_matches(super::PREFIX)
            .split('/')
            .find(|part| !part.is_empty());
        let mut described = json!({
            "operationId": operation.id,
            "summary": operation.summary,
            "tags": [tag.unwrap_or_default()],
            "parameters": operation.parameters,
            "responses": answers,
        });
        if let (Some(body), Some(object)) = (operation.body, described.as_object_mut()) {
            object.insert("requestBody".to_owned(), body);
        }
        if operation.path == super::about::HEALTH {
            described["security"] = json!([]);
        }
        let path = self
            .paths
            .entry(operation.path)
            .or_insert_with(|| json!({}));
        path[operation.method] = described;
    }

    /// The schema of a type, among the document's components.
    pub(super) fn schema<T: JsonSchema>(&mut self) -> Schema {
        self.schemas.subschema_for::<T>()
    }

    /// The parameters that a query of this type has.
    pub(super) fn query<T: JsonSchema>(&mut self) -> Vec<Value> {
        let schema = T::json_schema(&mut self.schemas);
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut parameters = Vec::new();
        for (name, schema) in properties.into_iter().flatten() {
            let mut schema = schema.clone();
            let said = schema
                .as_object_mut()
                .and_then(|schema| schema.remove("description"));
            parameters.push(json!({
                "name": name, "in": "query", "required": false, "description": said, "schema": schema,
            }));
        }
        parameters
    }

    /// The routes added since the last call.
    pub(super) fn take(&mut self) -> Router<Api> {
        std::mem::take(&mut self.router)
    }

    /// The document.
    pub(super) fn finish(mut self) -> Value {
        let schemas = self.schemas.take_definitions(true);
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "NanoCore",
                "version": "1",
                "description": "Node servers, runs of workflows over them, and the assets they exchange. Times are RFC 3339 in UTC.",
            },
            "security": [{ "token": [] }],
            "paths": self.paths,
            "components": {
                "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
                "schemas": schemas,
            },
        })
    }
}

impl Operation {
    pub(super) fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        let names = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters = names
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
        Self {
            method,
            path,
            id,
            summary,
            parameters: parameters.collect(),
            body: None,
            answers: Map::new(),
        }
    }

    pub(super) fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("get", path, id, summary)
    }

    pub(super) fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("post", path, id, summary)
    }

    pub(super) fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new("delete", path, id, summary)
    }

    /// What may stand behind the question mark.
    pub(super) fn query(mut self, parameters: Vec<Value>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// A header that may be sent.
    pub(super) fn header(mut self, name: &'static str, description: &'static str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "header", "required": false, "description": description,
            "schema": { "type": "string" },
        }));
        self
    }

    /// What is to be sent.
    pub(super) fn body(self, schema: Schema) -> Self {
        self.body_of("application/json", &schema)
    }

    pub(super) fn body_of(mut self, media_type: &'static str, schema: &Schema) -> Self {
        self.body = Some(json!({ "content": { media_type: { "schema": schema } } }));
        self
    }

    /// A JSON answer.
    pub(super) fn answer(self, status: u16, description: &'static str, schema: Schema) -> Self {
        self.answer_of(status, description, "application/json", &schema)
    }

    /// An answer of another kind.
    pub(super) fn answer_of(
        mut self,
        status: u16,
        description: &'static str,
        media_type: &'static str,
        schema: &Schema,
    ) -> Self {
        let answer = json!({
            "description": description,
            "content": { media_type: { "schema": schema } },
        });
        self.answers.insert(status.to_string(), answer);
        self
    }

    /// Another form of an answer that was described already.
    pub(super) fn also(mut self, status: u16, media_type: &'static str, schema: &Schema) -> Self {
        if let Some(answer) = self.answers.get_mut(&status.to_string()) {
            answer["content"][media_type] = json!({ "schema": schema });
        }
        self
    }

    /// An answer without a body.
    pub(super) fn empty(mut self, status: u16, description: &'static str) -> Self {
        self.answers
            .insert(status.to_string(), json!({ "description": description }));
        self
    }
}
