//! Writing answers and events.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nodewire_core::{ExecutionEvent, NodeError, Outputs, PortValue, Refusal, Value};
use nodewire_json::{Json, Member};
use serde_json::json;

use super::{ASSET, BYTES};

/// Outputs: one list per port.
#[must_use]
pub fn outputs(outputs: &Outputs) -> Json {
    Json::object(outputs.iter().map(|(port, values)| (port, list(values))))
}

/// The answer of an execution that completed.
#[must_use]
pub fn answer(completed: &Outputs) -> Json {
    Json::object([("outputs", outputs(completed))])
}

/// The answer of an execution that failed. The cause is for the log only.
#[must_use]
pub fn failure(error: &NodeError) -> Json {
    Json::object([("error", error_json(error.kind().name(), error.message()))])
}

/// The answer of an execution that was not accepted.
#[must_use]
pub fn refusal(refusal: &Refusal) -> Json {
    let error = error_json(refusal.kind().name(), &refusal.to_string());
    Json::object([("error", error)])
}

/// An event; `None` for those that say no more than that the request has arrived.
#[must_use]
pub fn event(event: &ExecutionEvent) -> Option<Json> {
    Some(match event {
        ExecutionEvent::Accepted | ExecutionEvent::Started => return None,
        ExecutionEvent::Progress(progress) => Json::from(json!({
            "event": "progress",
            "step": progress.step,
            "total": progress.total,
            "message": progress.message,
        })),
        ExecutionEvent::Partial(some) => named("partial", "outputs", outputs(some)),
        ExecutionEvent::Completed(all) => named("completed", "outputs", outputs(all)),
        ExecutionEvent::Failed(error) => {
            let error = error_json(error.kind().name(), error.message());
            named("failed", "error", error)
        }
        ExecutionEvent::Cancelled { abandoned } => {
            Json::from(json!({"event": "cancelled", "abandoned": abandoned}))
        }
        ExecutionEvent::Dropped(reason) => {
            Json::from(json!({"event": "dropped", "reason": reason.name()}))
        }
    })
}

fn named(event: &str, member: &str, value: Json) -> Json {
    Json::object([("event", Json::from(event)), (member, value)])
}

fn error_json(kind: &str, message: &str) -> Json {
    Json::object([("kind", Json::from(kind)), ("message", Json::from(message))])
}

fn list(values: &PortValue) -> Member {
    Member::List(values.values().iter().map(output_value).collect())
}

/// One value: JSON, marked bytes or a marked reference.
#[must_use]
pub fn output_value(value: &Value) -> Json {
    match value {
        Value::Json(json) => json.to_strict(),
        Value::Bytes(bytes) => {
            let encoded = Json::from(STANDARD.encode(bytes).as_str());
            Json::object([(BYTES, encoded)])
        }
        Value::Asset(asset) => Json::object([(ASSET, Json::from(asset.as_str()))]),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use nodewire_core::{AssetRef, DropReason, Progress};

    use super::*;

    fn json(text: &'static str) -> Json {
        Json::parse(text).unwrap()
    }

    #[test]
    fn outputs_are_lists_of_what_the_values_are() {
        let completed = Outputs::new()
            .with("n", PortValue::Single(Value::Json(json("[1, NaN]"))))
            .with("b", Bytes::from_static(b"\x00\xff"))
            .with("a", AssetRef::new("ref"));
        assert_eq!(
            answer(&completed).as_str(),
            r#"{"outputs": {"n": [[1, null]], "b": [{"$bytes": "AP8="}], "a": [{"$asset": "ref"}]}}"#
        );
    }

    #[test]
    fn events_say_what_they_are() {
        let text = |told: &ExecutionEvent| event(told).map(|json| json.to_string());
        let progress = Progress {
            step: Some(1),
            total: None,
            message: "a \"quote\"".to_owned(),
        };
        let told: serde_json::Value = event(&ExecutionEvent::Progress(progress))
            .unwrap()
            .decode()
            .unwrap();
        assert_eq!(
            told,
            json!({"event": "progress", "step": 1, "total": null, "message": "a \"quote\""})
        );
        assert_eq!(
            text(&ExecutionEvent::Failed(NodeError::invalid_input("no"))).unwrap(),
            r#"{"event": "failed", "error": {"kind": "invalid_input", "message": "no"}}"#
        );
        assert_eq!(
            text(&ExecutionEvent::Partial(Outputs::new())).unwrap(),
            r#"{"event": "partial", "outputs": {}}"#
        );
        let dropped = event(&ExecutionEvent::Dropped(DropReason::Shutdown)).unwrap();
        assert_eq!(dropped.get("reason").unwrap().as_str(), "\"shutdown\"");
        assert_eq!(text(&ExecutionEvent::Started), None);
    }

    #[test]
    fn refusals_are_answers_too() {
        assert_eq!(
            refusal(&Refusal::ShuttingDown).as_str(),
            r#"{"error": {"kind": "shutting_down", "message": "the server is shutting down"}}"#
        );
    }
}
