//! [`plain`](crate::plain) from the caller's side: requests are written, answers and events read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use nodewire_core::{AssetRef, Inputs, Outputs, PortValue, Progress, Value};
use nodewire_json::{Json, Kind, Member};
use serde_json::json;

use super::call::Call;
use super::error::{RemoteError, RemoteErrorKind};
use super::execution::RemoteEvent;
use super::wire::Told;
use crate::plain::output_value;

/// A request, with these inputs instead of the call's.
pub(super) fn request(call: &Call, inputs: &Inputs) -> Json {
    let mut members: Vec<(&str, Member)> = vec![("node", Json::from(&*call.node).into())];
    if !inputs.is_empty() {
        members.push(("inputs", Json::object(lists(inputs)).into()));
    }
    if !call.parameters.is_empty() {
        let parameters = call.parameters.iter();
        let parameters = Json::object(parameters.map(|(name, value)| (name, value.to_strict())));
        members.push(("parameters", parameters.into()));
    }
    if let Some(timeout) = call.timeout {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        members.push(("timeoutMs", Json::from(json!(timeout_ms)).into()));
    }
    if let Some(priority) = call.priority {
        members.push(("priority", Json::from(json!(priority)).into()));
    }
    if let Some(parent) = &call.trace_parent {
        members.push(("traceparent", Json::from(parent.as_str()).into()));
    }
    Json::object(members)
}

/// How long [`request`] is, without making it: bytes are not encoded.
pub(super) fn request_bytes(call: &Call) -> u64 {
    let mut encoded: u64 = 0;
    let mut inputs = Inputs::new();
    for (port, values) in call.inputs.iter() {
        let values = values.values().iter().map(|value| match value {
            Value::Bytes(bytes) => {
                encoded += (bytes.len() as u64).div_ceil(3) * 4;
                Value::Bytes(Bytes::new())
            }
            Value::Json(_) | Value::Asset(_) => value.clone(),
        });
        inputs.insert(port, PortValue::List(values.collect()));
    }
    request(call, &inputs).as_str().len() as u64 + encoded
}

fn lists(inputs: &Inputs) -> impl Iterator<Item = (&str, Member)> {
    inputs.iter().map(|(port, values)| {
        let values = values.values().iter().map(output_value).collect();
        (port, Member::List(values))
    })
}

/// Outputs, as an object of lists.
pub(super) fn outputs(json: &Json) -> Outputs {
    let entries = json.entries().unwrap_or_default();
    let ports = entries.into_iter().map(|(port, values)| {
        let values = values.elements().unwrap_or_else(|| vec![values]);
        (
            port,
            PortValue::List(values.into_iter().map(value).collect()),
        )
    });
    ports.collect()
}

/// A value: marked bytes, a marked reference, or else JSON.
pub(super) fn value(json: Json) -> Value {
    if json.kind() != Kind::Object {
        return Value::Json(json);
    }
    let entries = json.entries().unwrap_or_default();
    let [(key, marked)] = entries.as_slice() else {
        return Value::Json(json);
    };
    match (key.as_str(), marked.string()) {
        ("$asset", Some(reference)) => Value::Asset(AssetRef::new(reference)),
        ("$bytes", Some(encoded)) => match STANDARD.decode(encoded.as_bytes()) {
            Ok(bytes) => Value::Bytes(Bytes::from(bytes)),
            Err(_) => Value::Json(json),
        },
        _ => Value::Json(json),
    }
}

/// The answer of one that completed.
pub(super) fn completed(answer: &Json) -> RemoteEvent {
    match answer.get("outputs") {
        Some(told) => RemoteEvent::Completed(outputs(&told)),
        None => unreadable("it has no outputs"),
    }
}

/// The error in an answer.
pub(super) fn error(answer: &Json) -> Option<RemoteError> {
    let error = answer.get("error")?;
    let message = text(&error, "message").unwrap_or_default();
    Some(RemoteError::named(&text(&error, "kind")?, &message))
}

/// Takes an event; gives it back if it ends the execution.
pub(super) async fn take(event: &Json, told: &Told) -> Option<RemoteEvent> {
    let name = text(event, "event").unwrap_or_default();
    match name.as_str() {
        "progress" => told.progress(progress(event)),
        "partial" => {
            told.partial(outputs(&event.get("outputs").unwrap_or_default()))
                .await
        }
        "completed" => return Some(completed(event)),
        "failed" => {
            let error = error(event);
            return Some(error.map_or_else(|| unreadable("it has no error"), failed));
        }
        "cancelled" => return Some(RemoteEvent::Cancelled),
        "dropped" => {
            let reason = text(event, "reason").unwrap_or_default();
            return Some(RemoteEvent::Dropped { reason });
        }
        // Later servers may tell more.
        _ => {}
    }
    None
}

/// An error as the end: a cancellation is none.
pub(super) fn failed(error: RemoteError) -> RemoteEvent {
    if error.kind() == RemoteErrorKind::Cancelled {
        RemoteEvent::Cancelled
    } else {
        RemoteEvent::Failed(error)
    }
}

pub(super) fn progress(event: &Json) -> Progress {
    Progress {
        step: number(event, "step"),
        total: number(event, "total"),
        message: text(event, "message").unwrap_or_default(),
    }
}

pub(super) fn unreadable(why: &str) -> RemoteEvent {
    let text = format!("the answer cannot be read: {why}");
    RemoteEvent::failed(RemoteErrorKind::Protocol, text)
}

pub(super) fn number(json: &Json, key: &str) -> Option<u64> {
    json.get(key)?.decode().ok()
}

pub(super) fn text(json: &Json, key: &str) -> Option<String> {
    json.get(key)?.decode().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_request_is_what_the_server_reads() {
        let call = Call::new("n")
            .input("text", "a")
            .input("data", Bytes::from_static(b"\x00\xff"))
            .parameter("p", "q")
            .timeout(Duration::from_millis(5));
        let text = request(&call, &call.inputs).to_string();
        let read = crate::plain::PlainRequest::parse(&text.as_str().into()).unwrap();
        assert_eq!(read.node.as_deref(), Some("n"));
        assert_eq!(read.timeout, Some(Duration::from_millis(5)));
        assert!(text.contains(r#""data": [{"$bytes": "AP8="}]"#), "{text}");
    }

    #[test]
    fn the_length_of_a_request_is_known_without_it() {
        for length in [0, 1, 2, 3, 1000] {
            let call = Call::new("n")
                .input("text", "é\n")
                .input("data", Bytes::from(vec![7; length]))
                .parameter("p", "q");
            let text = request(&call, &call.inputs);
            assert_eq!(request_bytes(&call), text.as_str().len() as u64, "{length}");
        }
    }

    #[test]
    fn answers_are_read_as_they_are_written() {
        let told = Outputs::new()
            .with("b", Bytes::from_static(b"\x01"))
            .with("a", AssetRef::new("ref"))
            .with(
                "n",
                Value::Json(Json::parse(r#"{"$bytes": "no base64"}"#).unwrap()),
            );
        let RemoteEvent::Completed(read) = completed(&crate::plain::answer(&told)) else {
            panic!("not completed");
        };
        assert_eq!(read, told);
        assert!(!matches!(
            completed(&Json::null()),
            RemoteEvent::Completed(_)
        ));
    }
}
