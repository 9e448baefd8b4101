//! Reading what other implementations write. spec: nats-micro 4.4

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `null` is the default.
pub(super) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A count or a time, also as a fraction (nats.js) or `null`; negative is 0.
pub(super) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(0);
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast of a float saturates"
    )]
    let rounded = || number.as_f64().unwrap_or_default() as u64;
    Ok(number.as_u64().unwrap_or_else(rounded))
}

/// A text, or the object that ADR-32 describes.
pub(super) fn last_error<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => String::new(),
        Value::String(text) => text,
        Value::Object(error) => error_text(&error),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_)) => other.to_string(),
    })
}

fn error_text(error: &serde_json::Map<String, Value>) -> String {
    let text = |key: &str| match error.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Null) | None => None,
        Some(other) => Some(other.to_string()),
    };
    let description = text("description").or_else(|| text("message"));
    match (text("code"), description) {
        (Some(code), Some(description)) => format!("{code}:{description}"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => Value::Object(error.clone()).to_string(),
    }
}

pub(super) fn data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let data = Option::<Value>::deserialize(deserializer)?;
    Ok(data.unwrap_or_else(empty_object))
}

pub(super) fn empty_object() -> Value {
    Value::Object(serde_json::Map::new())
}
