//! A node's outputs as results.

use ::nnrp::server::{AnswerError, Responder};
use nnrp_wire::body::TypedPayload;
use nnrp_wire::build::ResultWorth;
use nnrp_wire::{ErrorCode, ResultPush, WireError};
use nodewire_core::{AssetRef, NodeDefinition, NodeError, Outputs, Value};
use nodewire_json::{Json, Kind};

use crate::plain;

/// Ends a frame with a result; with an error if that could not be built.
pub(super) fn complete(answer: Responder, result: Result<ResultPush, WireError>) {
    let result = match result {
        Ok(result) => result,
        Err(error) => {
            tracing::warn!(%error, "an execution's outputs cannot be sent");
            let text = format!("the outputs are no result that can be sent: {error}");
            return fail_long(answer, &NodeError::internal(text));
        }
    };
    match answer.complete(result) {
        Ok(()) => {}
        // The responder has counted it, and told the client where there is something to tell.
        Err(error @ (AnswerError::FrameOver | AnswerError::BudgetOver)) => {
            tracing::debug!(%error, "a result is late");
        }
        Err(error) => tracing::warn!(%error, "a result is not sent"),
    }
}

/// Ends a frame whose outputs are too long.
pub(super) fn fail_long(answer: Responder, error: &NodeError) {
    let text = format!("{}: {}", error.kind().name(), error.message());
    // It may have ended by itself, which the responder counts.
    answer.fail(ErrorCode::LimitExceeded, &text);
}

/// There is no store to keep outputs in that are longer than a result.
pub(super) fn too_long(outputs: &Outputs, bytes_max: usize) -> NodeError {
    let values = outputs.iter().flat_map(|(_, values)| values.values());
    let (bytes, count) = values.fold((0, 0), |(bytes, count), value| {
        (bytes + held_bytes(value), count + 1)
    });
    NodeError::internal(format!(
        "the outputs have {bytes} bytes in {count} values, and a result has at most {bytes_max} bytes and {} values; \
         configure an asset store or longer results, or pass them as assets",
        u16::MAX
    ))
}

/// Each value as a payload, with the place of its port, counted from 1.
///
/// # Errors
/// If they are more, or longer, than a message can have.
pub(super) fn result(
    outputs: Outputs,
    definition: Option<&NodeDefinition>,
    worth: ResultWorth,
) -> Result<ResultPush, WireError> {
    let mut builder = ResultPush::builder(worth);
    let mut others = Outputs::new();
    for (port, value) in outputs {
        match place(&port, definition) {
            Some(place) => {
                for value in value.into_values() {
                    builder = builder.payload(payload(value).with_profile(place));
                }
            }
            None => others.insert(port, value),
        }
    }
    if !others.is_empty() {
        builder = builder.payload(event(&plain::answer(&others)));
    }
    builder.build()
}

/// Whether outputs fit into a result of so many bytes beyond doubt, at a glance: what they take is not more than this, and
/// they are not more values than a result can have.
pub(super) fn are_short(outputs: &Outputs, bytes_max: usize) -> bool {
    let (mut bytes, mut count) = (0_usize, 0_usize);
    for (port, values) in outputs.iter() {
        let values = values.values();
        count += values.len();
        let held: usize = values.iter().map(|value| 2 * held_bytes(value)).sum();
        bytes += 2 * port.len() + held + (values.len() + 1) * PAYLOAD_BYTES;
    }
    bytes <= bytes_max && count < usize::from(u16::MAX)
}

/// More than a payload takes beside what it holds.
const PAYLOAD_BYTES: usize = 64;

fn held_bytes(value: &Value) -> usize {
    match value {
        Value::Bytes(bytes) => bytes.len(),
        Value::Json(json) => json.as_str().len(),
        Value::Asset(asset) => asset.as_str().len(),
    }
}

/// The result of outputs that are kept as one document: `{"outputs": {"$asset": "…"}}`.
///
/// # Errors
/// If it is longer than a message can be.
pub(super) fn document(reference: Json) -> Result<ResultPush, WireError> {
    event_result(
        &Json::object([("outputs", reference)]),
        ResultWorth::COMPLETE,
    )
}

/// A result of one structured event.
///
/// # Errors
/// If it is longer than a message can be.
pub(super) fn event_result(json: &Json, worth: ResultWorth) -> Result<ResultPush, WireError> {
    ResultPush::builder(worth).payload(event(json)).build()
}

fn place(port: &str, definition: Option<&NodeDefinition>) -> Option<u16> {
    let mut outputs = definition?.outputs.iter();
    let place = outputs.position(|output| output.name == port)?;
    u16::try_from(place + 1).ok()
}

fn payload(value: Value) -> TypedPayload {
    match value {
        Value::Bytes(bytes) => TypedPayload::opaque_bytes(bytes),
        Value::Json(json) => text(&json).unwrap_or_else(|| event(&json.to_strict())),
        Value::Asset(asset) => event(&reference(&asset)),
    }
}

fn text(json: &Json) -> Option<TypedPayload> {
    if json.kind() != Kind::String {
        return None;
    }
    let text = json.string()?;
    Some(TypedPayload::token_chunk(
        json.substring(&text).into_bytes(),
    ))
}

fn event(json: &Json) -> TypedPayload {
    TypedPayload::structured_event(json.clone().into_bytes())
}

fn reference(asset: &AssetRef) -> Json {
    plain::output_value(&Value::Asset(asset.clone()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use nnrp_wire::ResultBody;
    use nnrp_wire::body::PayloadKind;
    use nodewire_core::{Port, PortValue};

    use super::*;

    #[test]
    fn each_value_is_a_payload_of_its_port() {
        let definition = NodeDefinition::builder("n")
            .output(Port::new("a", "any"))
            .output(Port::new("b", "bytes"))
            .build()
            .unwrap();
        let bytes = Bytes::from(vec![7; 100]);
        let json = |text: &'static str| Value::Json(Json::parse(text).unwrap());
        let outputs = Outputs::new()
            .with("b", Value::Bytes(bytes.clone()))
            .with(
                "a",
                vec![
                    json(r#""x\n""#),
                    json("[NaN]"),
                    Value::Asset(AssetRef::new("ref")),
                ],
            )
            .with("other", PortValue::Single(json("1")));
        let result = result(outputs, Some(&definition), ResultWorth::COMPLETE).unwrap();
        let ResultBody::Composed(composed) = result.body else {
            panic!("no payloads");
        };
        let payloads: Vec<_> = composed.body().typed.iter().collect();
        let told: Vec<_> = payloads
            .iter()
            .map(|each| (each.kind, each.profile_id, &*each.payload))
            .collect();
        let event = PayloadKind::StructuredEvent;
        let wanted = [
            (PayloadKind::OpaqueBytes, 2, &*bytes),
            (PayloadKind::TokenChunk, 1, b"x\n"),
            (event, 1, b"[null]"),
            (event, 1, br#"{"$asset": "ref"}"#),
            (event, 0, br#"{"outputs": {"other": [1]}}"#),
        ];
        assert_eq!(told, wanted);
        assert_eq!(payloads[0].payload.as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn what_is_short_fits_beyond_doubt() {
        let outputs = |value: PortValue| Outputs::new().with("other", value);
        let bytes = |length: usize| Value::Bytes(Bytes::from(vec![7; length]));
        for outputs in [
            outputs(bytes(10_000).into()),
            outputs(vec![bytes(1); 1_000].into()),
            outputs(vec![Value::Json(Json::parse("[NaN, NaN]").unwrap()); 1_000].into()),
        ] {
            let fits = |bytes_max: &usize| are_short(&outputs, *bytes_max);
            let bytes_max = (1..1 << 20).find(fits).unwrap();
            let built = result(outputs, None, ResultWorth::COMPLETE).unwrap();
            assert!(built.body_bytes() <= bytes_max as u64);
        }
        let many = outputs(vec![bytes(0); usize::from(u16::MAX)].into());
        assert!(!are_short(&many, usize::MAX));
    }

    #[test]
    fn no_outputs_are_an_empty_result() {
        let result = result(Outputs::new(), None, ResultWorth::COMPLETE).unwrap();
        assert_eq!(result.body, ResultBody::Empty);
    }
}
