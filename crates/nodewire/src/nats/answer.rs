//! From events to replies.

use nats_micro::{Reply, Response, ServiceError};
use nodewire_core::{ExecutionEvent, NodeError, Outputs, Value};
use nodewire_json::Json;

use super::error::{cancelled, dropped, failed};
use super::headers;
use super::read::Form;
use crate::oversize::Kept;
use crate::plain;

/// Room for the headers of a reply besides `Nodewire-Outputs`.
const HEADERS_BYTES: usize = 512;

/// Room for what stands around outputs in an event.
const EVENT_BYTES: usize = 64;

/// The reply that tells progress or partial outputs; `None` if the broker would not take it.
pub(super) fn interim(event: &ExecutionEvent, form: &Form, bytes_max: usize) -> Option<Reply> {
    let reply = if let ExecutionEvent::Partial(outputs) = event {
        said(event, outputs, form)
    } else {
        json(event, form)
    };
    fits(&reply, bytes_max).then_some(reply)
}

/// Outputs that the broker would not take.
pub(super) struct TooLarge<'a> {
    pub(super) outputs: &'a Outputs,
}

/// The reply that ends a request.
pub(super) fn last<'a>(
    event: &'a ExecutionEvent,
    form: &Form,
    bytes_max: usize,
) -> Result<Response, TooLarge<'a>> {
    let error = match event {
        ExecutionEvent::Completed(outputs) => {
            let reply = said(event, outputs, form);
            let fits = fits(&reply, bytes_max);
            return fits
                .then_some(Response::Reply(reply))
                .ok_or(TooLarge { outputs });
        }
        ExecutionEvent::Failed(error) => failed(error),
        ExecutionEvent::Cancelled { .. } => failed(&cancelled()),
        ExecutionEvent::Dropped(reason) => failed(&dropped(*reason)),
        ExecutionEvent::Accepted
        | ExecutionEvent::Started
        | ExecutionEvent::Progress(_)
        | ExecutionEvent::Partial(_) => failed(&NodeError::internal("the execution has no end")),
    };
    let error = match plain::event(event).filter(|_| form.stream) {
        Some(body) => error.with_payload(body.into_bytes()),
        None => error,
    };
    Ok(Response::Error(ended(name(event), error, form)))
}

/// The reply that ends a request whose outputs were kept as assets.
///
/// # Errors
/// Even their references are more than the broker takes.
pub(super) fn last_kept(kept: &Kept, form: &Form, bytes_max: usize) -> Result<Response, NodeError> {
    let reply = match kept {
        Kept::Outputs(outputs) => {
            let event = ExecutionEvent::Completed(outputs.clone());
            last(&event, form, bytes_max).ok()
        }
        Kept::Document(reference) => {
            let reply = document(reference, form);
            fits(&reply, bytes_max).then_some(Response::Reply(reply))
        }
    };
    reply.ok_or_else(|| larger(kept.json().as_str().len(), bytes_max))
}

/// All outputs as one reference.
fn document(reference: &Json, form: &Form) -> Reply {
    let outputs = ("outputs", reference.clone());
    let body = if form.stream {
        Json::object([("event", Json::from("completed")), outputs])
    } else {
        Json::object([outputs])
    };
    let completed = ExecutionEvent::Completed(Outputs::new());
    with_body(body, &completed, form)
}

/// An error as the end of a stream, if there is one.
pub(super) fn ended(event: &'static str, error: ServiceError, form: &Form) -> ServiceError {
    if form.stream {
        error.with_header(headers::EVENT, event)
    } else {
        error
    }
}

/// Bytes that outputs may have as JSON, so that a reply of them is taken.
pub(super) const fn outputs_bytes_max(bytes_max: usize) -> usize {
    bytes_max.saturating_sub(HEADERS_BYTES + EVENT_BYTES)
}

/// There is no store to keep them in.
pub(super) fn too_large(outputs: &Outputs, bytes_max: usize) -> NodeError {
    larger(plain::outputs(outputs).as_str().len(), bytes_max)
}

fn larger(actual_bytes: usize, bytes_max: usize) -> NodeError {
    NodeError::internal(format!(
        "the outputs have {actual_bytes} bytes, and the broker takes messages of at most {bytes_max}; configure an asset \
         store, or pass them as assets"
    ))
}

/// Outputs, as bytes if that is wanted and can be.
fn said(event: &ExecutionEvent, outputs: &Outputs, form: &Form) -> Reply {
    let wanted = form.bytes_output.as_deref();
    let port = wanted.and_then(|port| Some((port, outputs.get(port)?.values())));
    let Some((port, [Value::Bytes(bytes)])) = port else {
        return json(event, form);
    };
    let mut reply =
        Reply::new(bytes.clone()).with_header(headers::CONTENT_TYPE, headers::OCTET_STREAM);
    let others: Outputs = outputs
        .iter()
        .filter(|(name, _)| *name != port)
        .map(|(name, values)| (name, values.clone()))
        .collect();
    if !others.is_empty() {
        let others = plain::outputs(&others);
        reply = reply.with_header(headers::OUTPUTS, others.as_str());
    }
    marked(reply, event, form)
}

fn json(event: &ExecutionEvent, form: &Form) -> Reply {
    let body = if let (false, ExecutionEvent::Completed(outputs)) = (form.stream, event) {
        plain::answer(outputs)
    } else {
        plain::event(event).unwrap_or_default()
    };
    with_body(body, event, form)
}

fn with_body(body: Json, event: &ExecutionEvent, form: &Form) -> Reply {
    let reply = Reply::new(body.into_bytes());
    let reply = if form.typed {
        reply.with_header(headers::CONTENT_TYPE, "application/json")
    } else {
        reply
    };
    marked(reply, event, form)
}

fn marked(reply: Reply, event: &ExecutionEvent, form: &Form) -> Reply {
    if form.stream {
        reply.with_header(headers::EVENT, name(event))
    } else {
        reply
    }
}

fn name(event: &ExecutionEvent) -> &'static str {
    match event {
        ExecutionEvent::Accepted | ExecutionEvent::Started => "accepted",
        ExecutionEvent::Progress(_) => "progress",
        ExecutionEvent::Partial(_) => "partial",
        ExecutionEvent::Completed(_) => "completed",
        ExecutionEvent::Failed(_) => "failed",
        ExecutionEvent::Cancelled { .. } => "cancelled",
        ExecutionEvent::Dropped(_) => "dropped",
    }
}

fn fits(reply: &Reply, bytes_max: usize) -> bool {
    let outputs = reply.headers.get(headers::OUTPUTS);
    let outputs_bytes = outputs.map_or(0, |value| value.as_str().len());
    reply.payload.len() + outputs_bytes + HEADERS_BYTES <= bytes_max || {
        // A reply without headers has the whole message to itself.
        reply.headers.is_empty() && reply.payload.len() <= bytes_max
    }
}
