//! Outputs that a message of their wire has no place or no room for: they are kept as assets, and told by reference.

use nodewire_core::{Assets, NewAsset, NodeError, Outputs, PortValue, Value};
#[cfg(any(feature = "autotrainer", feature = "nats", feature = "nnrp"))]
use nodewire_json::Json;

#[cfg(any(feature = "autotrainer", feature = "nats", feature = "nnrp"))]
use crate::plain;

/// Outputs that have room now.
#[cfg(any(feature = "autotrainer", feature = "nats"))]
#[derive(Debug)]
pub(crate) enum Kept {
    /// With references in the places of their longest bytes.
    Outputs(Outputs),
    /// The reference of the document that all of them are: `{"$asset": "…"}`.
    Document(Json),
}

#[cfg(any(feature = "autotrainer", feature = "nats"))]
impl Kept {
    /// As [`plain::outputs`].
    pub(crate) fn json(&self) -> Json {
        match self {
            Self::Outputs(outputs) => plain::outputs(outputs),
            Self::Document(reference) => reference.clone(),
        }
    }
}

/// How values stand in a message.
#[cfg(any(feature = "autotrainer", feature = "nats", feature = "nnrp"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// All of them as JSON, bytes as base64.
    #[cfg(any(feature = "autotrainer", feature = "nats"))]
    Json,
    /// Each by itself, bytes as they are.
    #[cfg(feature = "nnrp")]
    Payloads,
}

/// Keeps the longest bytes, until what is left has at most `bytes_max` as JSON. Where that is not enough, all of it is kept
/// as one document.
///
/// # Errors
/// Those of the store.
#[cfg(any(feature = "autotrainer", feature = "nats"))]
pub(crate) async fn keep(
    outputs: Outputs,
    bytes_max: usize,
    assets: &Assets,
) -> Result<Kept, NodeError> {
    let outputs = keep_longest(outputs, bytes_max, Form::Json, assets).await?;
    if Form::Json.length(&outputs) <= bytes_max {
        return Ok(Kept::Outputs(outputs));
    }
    keep_document(&outputs, assets).await.map(Kept::Document)
}

/// Keeps the longest bytes, so that what is left has at most `bytes_max` in this form; nothing, where that is not enough.
///
/// # Errors
/// Those of the store.
#[cfg(any(feature = "autotrainer", feature = "nats", feature = "nnrp"))]
pub(crate) async fn keep_longest(
    outputs: Outputs,
    bytes_max: usize,
    form: Form,
    assets: &Assets,
) -> Result<Outputs, NodeError> {
    let excess = form.length(&outputs).saturating_sub(bytes_max);
    match shortest_to_keep(&outputs, excess, form) {
        Some(bytes_min) => keep_bytes(outputs, bytes_min, assets).await,
        None => Ok(outputs),
    }
}

/// Keeps all outputs as one document, and gives its reference: `{"$asset": "…"}`.
///
/// # Errors
/// Those of the store.
#[cfg(any(feature = "autotrainer", feature = "nats", feature = "nnrp"))]
pub(crate) async fn keep_document(outputs: &Outputs, assets: &Assets) -> Result<Json, NodeError> {
    let document = plain::outputs(outputs).into_bytes();
    let asset = NewAsset::new("outputs.json", document);
    let reference = Value::Asset(assets.keep(asset).await?);
    Ok(plain::output_value(&reference))
}

/// Keeps all bytes of at least this length, and puts references in their places.
///
/// # Errors
/// Those of the store.
pub(crate) async fn keep_bytes(
    outputs: Outputs,
    bytes_min: usize,
    assets: &Assets,
) -> Result<Outputs, NodeError> {
    let mut kept = Outputs::new();
    for (port, value) in outputs {
        let value = match value {
            PortValue::Single(value) => {
                PortValue::Single(keep_value(&port, value, bytes_min, assets).await?)
            }
            PortValue::List(values) => {
                let mut list = Vec::with_capacity(values.len());
                for value in values {
                    list.push(keep_value(&port, value, bytes_min, assets).await?);
                }
                PortValue::List(list)
            }
        };
        kept.insert(port, value);
    }
    Ok(kept)
}

async fn keep_value(
    port: &str,
    value: Value,
    bytes_min: usize,
    assets: &Assets,
) -> Result<Value, NodeError> {
    match value {
        Value::Bytes(content) if content.len() >= bytes_min => Ok(Value::Asset(
            assets.keep(NewAsset::new(port, content)).await?,
        )),
        Value::Bytes(_) | Value::Json(_) | Value::Asset(_) => Ok(value),
    }
}

/// What a reference takes, about.
#[cfg(any(feature = "autotrainer", feature = "nats", feature = "nnrp"))]
const REFERENCE_BYTES: usize = 128;

#[cfg(any(feature = "autotrainer", feature = "nats", feature = "nnrp"))]
impl Form {
    /// What outputs take; of payloads, what each holds.
    fn length(self, outputs: &Outputs) -> usize {
        match self {
            #[cfg(any(feature = "autotrainer", feature = "nats"))]
            Self::Json => plain::outputs(outputs).as_str().len(),
            #[cfg(feature = "nnrp")]
            Self::Payloads => {
                let values = outputs.iter().flat_map(|(_, value)| value.values());
                values
                    .map(|value| match value {
                        Value::Json(json) => json.as_str().len(),
                        Value::Bytes(content) => content.len(),
                        Value::Asset(_) => REFERENCE_BYTES,
                    })
                    .sum()
            }
        }
    }

    /// What so many bytes take.
    const fn bytes(self, length: usize) -> usize {
        match self {
            #[cfg(any(feature = "autotrainer", feature = "nats"))]
            Self::Json => length.div_ceil(3).saturating_mul(4),
            #[cfg(feature = "nnrp")]
            Self::Payloads => length,
        }
    }
}

/// The length from which on bytes are to be kept, so that the message is shorter by `excess`; `None` if that cannot be.
#[cfg(any(feature = "autotrainer", feature = "nats", feature = "nnrp"))]
fn shortest_to_keep(outputs: &Outputs, excess: usize, form: Form) -> Option<usize> {
    let values = outputs.iter().flat_map(|(_, value)| value.values());
    let mut lengths: Vec<usize> = values
        .filter_map(|value| match value {
            Value::Bytes(content) => Some(content.len()),
            Value::Json(_) | Value::Asset(_) => None,
        })
        .collect();
    lengths.sort_unstable_by(|one, other| other.cmp(one));
    let mut saved = 0_usize;
    lengths.into_iter().find(|length| {
        let encoded = form.bytes(*length);
        saved = saved.saturating_add(encoded.saturating_sub(REFERENCE_BYTES));
        saved >= excess
    })
}

#[cfg(all(test, any(feature = "autotrainer", feature = "nats")))]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn bytes(length: usize) -> Value {
        Bytes::from(vec![1; length]).into()
    }

    #[test]
    fn the_longest_are_kept_and_no_more_than_needed() {
        let outputs = Outputs::new()
            .with("a", vec![bytes(3_000), bytes(90_000)])
            .with("b", bytes(60_000))
            .with("c", "x".repeat(9_000).as_str());
        for (excess, wanted) in [
            (1, Some(90_000)),
            (119_000, Some(90_000)),
            (121_000, Some(60_000)),
            (200_000, Some(3_000)),
            (300_000, None),
        ] {
            assert_eq!(
                shortest_to_keep(&outputs, excess, Form::Json),
                wanted,
                "{excess}"
            );
        }
        assert_eq!(shortest_to_keep(&Outputs::new(), 1, Form::Json), None);
    }
}
