//! From a request to an execution.

use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use nodewire_core::{ExecutionRequest, Inputs, NodeDefinition, NodeError};

use super::bodies::Room;
use super::error::Problem;
use super::form;
use super::shared::Shared;
use crate::plain::PlainRequest;

const JSON: &str = "application/json";
const OCTET_STREAM: &str = "application/octet-stream";
const TIMEOUT_MS: HeaderName = HeaderName::from_static("request-timeout-ms");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) execution: ExecutionRequest,
    pub(super) form: Form,
    /// To be held while the execution has the body.
    pub(super) room: Room,
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON document.
    Json,
    /// The bytes of the only output.
    Bytes,
    /// Server-sent events.
    Events,
}

/// Reads a request to a node.
///
/// # Errors
/// It cannot be read, is too large, or took too long.
pub(super) async fn read(
    shared: &Shared,
    uid: String,
    definition: &NodeDefinition,
    request: Request,
) -> Result<Asked, Problem> {
    let form = answer_form(request.headers(), definition)?;
    let mut room = shared.bodies.room(&request)?;
    let headers = request.headers().clone();
    let time = shared.config.body_timeout;
    let body = tokio::time::timeout(time, read_body(shared, definition, request));
    let Body {
        mut plain,
        inputs,
        bytes,
    } = body.await.map_err(|_| Problem::too_slow(time))??;
    room.keep(bytes);
    if let Some(named) = plain.node.take().filter(|named| *named != *uid) {
        return Err(Problem::from(NodeError::invalid_input(format!(
            "the request names node `{named}`, but its path is that of node `{uid}`"
        ))));
    }
    add_headers(&mut plain, &headers)?;
    let mut execution = plain.into_execution(uid, Some(definition))?;
    if let Some(inputs) = inputs {
        execution.inputs = inputs;
    }
    Ok(Asked {
        execution,
        form,
        room,
    })
}

/// What a body says.
struct Body {
    plain: PlainRequest,
    /// Those of a form.
    inputs: Option<Inputs>,
    /// Its length.
    bytes: usize,
}

async fn read_body(
    shared: &Shared,
    definition: &NodeDefinition,
    request: Request,
) -> Result<Body, Problem> {
    let content_type = request.headers().get(CONTENT_TYPE);
    let content_type = content_type.map(|value| essence(value.as_bytes()));
    match content_type.as_deref() {
        None | Some(JSON) => {
            let body = shared.bodies.read(request.into_body()).await?;
            let bytes = body.len();
            let plain = if body.is_empty() {
                PlainRequest::default()
            } else {
                PlainRequest::parse_bytes(body)?
            };
            Ok(Body {
                plain,
                inputs: None,
                bytes,
            })
        }
        Some("multipart/form-data") => {
            let form = form::read(&shared.config, definition, request).await?;
            let plain = PlainRequest {
                parameters: form.parameters,
                ..PlainRequest::default()
            };
            Ok(Body {
                plain,
                inputs: Some(form.inputs),
                bytes: form.bytes,
            })
        }
        Some(other) => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            &format!("send `{JSON}` or `multipart/form-data`, not `{other}`"),
        )),
    }
}

/// A media type without its parameters.
fn essence(value: &[u8]) -> String {
    let value = String::from_utf8_lossy(value);
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// Whether the caller says of a media type that it does not want it: `q=0`, or with zeros behind the point.
fn is_excluded(value: &[u8]) -> bool {
    let value = String::from_utf8_lossy(value);
    value.split(';').skip(1).any(|parameter| {
        let parameter = parameter.trim();
        let quality = parameter.strip_prefix(['q', 'Q']);
        let quality = quality.and_then(|it| it.strip_prefix('='));
        quality.is_some_and(|it| it.starts_with('0') && it.trim_matches(['0', '.']).is_empty())
    })
}

/// The form that is asked for.
///
/// # Errors
/// Only bytes are, and the node has something else.
fn answer_form(headers: &HeaderMap, definition: &NodeDefinition) -> Result<Form, Problem> {
    let accepted: Vec<_> = headers
        .get_all(ACCEPT)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter(|value| !is_excluded(value))
        .map(essence)
        .collect();
    let accepts = |wanted: &str| accepted.iter().any(|accepted| accepted == wanted);
    if accepts("text/event-stream") {
        return Ok(Form::Events);
    }
    if !accepts(OCTET_STREAM) {
        return Ok(Form::Json);
    }
    if matches!(&*definition.outputs, [only] if only.kind == "bytes") {
        return Ok(Form::Bytes);
    }
    if accepts(JSON) || accepts("application/*") || accepts("*/*") {
        return Ok(Form::Json);
    }
    Err(Problem::new(
        StatusCode::NOT_ACCEPTABLE,
        "not_acceptable",
        "only a node with one output, of type `bytes`, can be answered with `application/octet-stream`",
    ))
}

fn add_headers(plain: &mut PlainRequest, headers: &HeaderMap) -> Result<(), NodeError> {
    if let Some(text) = text(headers, &TIMEOUT_MS)? {
        let timeout = text.parse().map(Duration::from_millis).map_err(|error| {
            NodeError::invalid_input("`Request-Timeout-Ms` must be a whole number of milliseconds")
                .with_source(error)
        })?;
        plain.timeout = Some(plain.timeout.map_or(timeout, |other| other.min(timeout)));
    }
    let state = headers.get(&TRACE_STATE);
    let state = state.and_then(|state| state.to_str().ok());
    plain.trace_from_headers(text(headers, &TRACE_PARENT)?, state);
    Ok(())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, NodeError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = value.to_str().ok();
    let text = text.filter(|text| text.len() <= PlainRequest::TEXT_LENGTH_MAX);
    text.map(Some).ok_or_else(|| {
        NodeError::invalid_input(format!("the header `{name}` is too long, or not ASCII"))
    })
}
