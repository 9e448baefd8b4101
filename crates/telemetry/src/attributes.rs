//! Attributes of resources, spans and measurements.

use super::otlp::{AnyValue, KeyValue, Value};

/// Bytes of a text that a peer chose; what is longer is cut.
const PEER_TEXT_BYTES_MAX: usize = 256;

/// A text of ours.
#[must_use]
pub fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::Text(value.into()))
}

/// A number.
#[must_use]
pub fn integer(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::Integer(value))
}

/// Something that a peer wrote, which may be long: cut after 256 bytes.
#[must_use]
pub fn peer_text(key: &str, value: &str) -> KeyValue {
    text(key, cut(value))
}

/// The first 256 bytes at most, between characters.
#[must_use]
pub fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(PEER_TEXT_BYTES_MAX)]
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = format!("{}ä{}", "x".repeat(255), "y".repeat(99));
        assert_eq!(cut(&long), "x".repeat(255));
    }
}
