//! `multipart/form-data`: a part per value.

use axum::RequestExt;
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, Multipart, Request};
use axum::http::StatusCode;
use bytes::Bytes;
use bytestring::ByteString;
use nodewire_core::{Inputs, NodeDefinition, NodeError, Port, PortValue, Value};
use nodewire_json::{Json, Kind};

use super::config::HttpConfig;
use super::error::Problem;
use crate::plain::input_value;

/// The part that is no input.
const PARAMETERS: &str = "parameters";

/// What a form says.
pub(super) struct Form {
    pub(super) inputs: Inputs,
    pub(super) parameters: Option<Json>,
    /// Bytes of all values.
    pub(super) bytes: usize,
}

/// Reads a form.
///
/// # Errors
/// It cannot be read, is too large, or has too many parts.
pub(super) async fn read(
    config: &HttpConfig,
    definition: &NodeDefinition,
    mut request: Request,
) -> Result<Form, Problem> {
    DefaultBodyLimit::max(config.body_bytes_max).apply(&mut request);
    let multipart = request.extract::<Multipart, _>().await;
    let mut multipart = multipart.map_err(|error| unreadable(&error.body_text()))?;
    let unread = |error: MultipartError| problem(config, &error);
    let mut form = Form {
        inputs: Inputs::new(),
        parameters: None,
        bytes: 0,
    };
    let mut parts = 0;
    while let Some(field) = multipart.next_field().await.map_err(unread)? {
        parts += 1;
        if parts > config.parts_max {
            let max = config.parts_max;
            return Err(unreadable(&format!("the form has more than {max} parts")));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let part = Part {
            is_file: field.file_name().is_some(),
            is_json: field.content_type() == Some("application/json"),
            body: field.bytes().await.map_err(unread)?,
        };
        form.bytes += part.body.len();
        form.add(&name, part, definition)?;
    }
    Ok(form)
}

struct Part {
    body: Bytes,
    is_file: bool,
    is_json: bool,
}

impl Form {
    fn add(
        &mut self,
        name: &str,
        part: Part,
        definition: &NodeDefinition,
    ) -> Result<(), NodeError> {
        if name == PARAMETERS {
            let json = Json::parse_bytes(part.body).ok();
            let json = json.filter(|json| json.kind() == Kind::Object);
            self.parameters = Some(json.ok_or_else(|| {
                NodeError::invalid_input("the part `parameters` must be an object of JSON")
            })?);
            return Ok(());
        }
        let value = value(name, definition.input(name), part)?;
        let value = match self.inputs.get(name) {
            None => value,
            Some(before) => {
                let mut values = before.values().to_vec();
                values.extend(value.into_values());
                PortValue::List(values)
            }
        };
        self.inputs.insert(name.to_owned(), value);
        Ok(())
    }
}

fn value(name: &str, port: Option<&Port>, part: Part) -> Result<PortValue, NodeError> {
    let kind = port.map_or("any", |port| port.kind.as_str());
    if !part.is_json && (part.is_file || kind == "bytes") {
        return Ok(PortValue::Single(Value::Bytes(part.body)));
    }
    let text = ByteString::try_from(part.body).map_err(|error| {
        let text = format!("input `{name}`: the part is no UTF-8; bytes need a file name");
        NodeError::invalid_input(text).with_source(error)
    })?;
    if part.is_json {
        let json = Json::parse(text).map_err(|error| {
            NodeError::invalid_input(format!("input `{name}`: the part is no JSON: {error}"))
        })?;
        return json_value(port, json);
    }
    if kind == "string" {
        return Ok(PortValue::Single(Value::Json(Json::from(&*text))));
    }
    let json = Json::parse(text.clone()).unwrap_or_else(|_| Json::from(&*text));
    json_value(port, json)
}

fn json_value(port: Option<&Port>, json: Json) -> Result<PortValue, NodeError> {
    let one = |json: Json| match port {
        Some(port) => input_value(port, json),
        None => Ok(Value::Json(json)),
    };
    match json.elements() {
        None => Ok(PortValue::Single(one(json)?)),
        Some(elements) => {
            let values = elements.into_iter().map(one);
            Ok(PortValue::List(values.collect::<Result<_, _>>()?))
        }
    }
}

fn problem(config: &HttpConfig, error: &MultipartError) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::too_large(config.body_bytes_max);
    }
    unreadable(&error.body_text())
}

fn unreadable(reason: &str) -> Problem {
    let text = format!("the form cannot be read: {reason}");
    Problem::from(NodeError::invalid_input(text))
}
