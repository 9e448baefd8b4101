//! From events to answers.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use nodewire_core::{Execution, ExecutionEvent, NodeError, NodeErrorKind, Outputs, Value};

use super::bodies::Room;
use super::error::{self, Problem, dropped};
use super::read::{Asked, Form};
use super::shared::Shared;
use crate::capability::{Told, Wire};
use crate::plain;

/// How long a stream may be silent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One answer. What else the execution tells is lost, and counted. If this is dropped, the execution is cancelled.
pub(super) async fn once(shared: &Shared, asked: Asked) -> Result<Response, Problem> {
    // The execution keeps the body, at the longest until it ends.
    let _room = asked.room;
    let mut execution = shared.executor.submit(asked.execution)?;
    let mut told = Told::default();
    while let Some(event) = execution.next().await {
        match event {
            ExecutionEvent::Accepted | ExecutionEvent::Started => {}
            ExecutionEvent::Progress(_) => told.progress = true,
            ExecutionEvent::Partial(_) => told.partial = true,
            ExecutionEvent::Completed(outputs) => {
                told.count(&shared.losses, Wire::Http);
                return Ok(completed(&outputs, asked.form));
            }
            ExecutionEvent::Failed(error) => {
                told.count(&shared.losses, Wire::Http);
                tracing::debug!(?error, "execution failed");
                return Err(error.into());
            }
            ExecutionEvent::Cancelled { .. } => {
                told.count(&shared.losses, Wire::Http);
                let text = "the execution was cancelled";
                return Err(NodeError::new(NodeErrorKind::Cancelled, text).into());
            }
            ExecutionEvent::Dropped(reason) => return Err(dropped(reason).into()),
        }
    }
    Err(NodeError::internal("the execution has no end").into())
}

/// Events as they come. They are taken as the connection takes them; if it ends, the execution is cancelled.
pub(super) fn stream(shared: &Shared, asked: Asked) -> Result<Response, Problem> {
    let following = Following {
        execution: shared.executor.submit(asked.execution)?,
        _room: asked.room,
    };
    let events = stream::unfold(Some(following), next);
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

fn completed(outputs: &Outputs, form: Form) -> Response {
    let mut ports = outputs.iter();
    if let (Form::Bytes, Some((_, values)), None) = (form, ports.next(), ports.next())
        && let [Value::Bytes(bytes)] = values.values()
    {
        let content_type = [(CONTENT_TYPE, "application/octet-stream")];
        return (content_type, bytes.clone()).into_response();
    }
    error::json(StatusCode::OK, plain::answer(outputs))
}

/// An execution whose events are sent. Dropping it cancels.
struct Following {
    execution: Execution,
    _room: Room,
}

type Chunk = Result<Bytes, Infallible>;

/// The next piece of a stream, and what follows it: nothing after the event that ends the execution.
async fn next(following: Option<Following>) -> Option<(Chunk, Option<Following>)> {
    let mut following = following?;
    loop {
        let event = tokio::time::timeout(KEEP_ALIVE, following.execution.next()).await;
        let Ok(event) = event else {
            return Some((Ok(Bytes::from_static(b":\n\n")), Some(following)));
        };
        let event = event?;
        if let Some(chunk) = chunk(&event) {
            let follows = (!event.is_terminal()).then_some(following);
            return Some((Ok(chunk), follows));
        }
    }
}

/// An event on the wire; `None` for those that say no more than that the request has arrived.
fn chunk(event: &ExecutionEvent) -> Option<Bytes> {
    let data = plain::event(event)?;
    let name = data.get("event")?;
    Some(frame(&name.string()?, data.as_str()).into())
}

/// JSON may have line ends between its tokens; each line is a field of its own then.
fn frame(name: &str, data: &str) -> String {
    let mut text = format!("event: {name}\n");
    text.reserve(data.len() + 16);
    for line in data.split(['\n', '\r']) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_data_line_by_line() {
        assert_eq!(frame("a", "{}"), "event: a\ndata: {}\n\n");
        assert_eq!(frame("a", "[1,\n2]"), "event: a\ndata: [1,\ndata: 2]\n\n");
    }
}
