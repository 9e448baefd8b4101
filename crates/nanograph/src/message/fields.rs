//! Lenient readers for single fields: what has the wrong type counts as absent.

use nodewire_json::{Json, Kind};

pub(super) fn string(value: &Json) -> Option<String> {
    let inside = value.as_str().strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        value.decode().ok()
    } else {
        Some(inside.to_owned())
    }
}

pub(super) fn boolean(value: &Json) -> Option<bool> {
    match value.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// A finite number. Read by std: `serde_json` may be off by the last bit.
pub(super) fn number(value: &Json) -> Option<f64> {
    if value.kind() != Kind::Number {
        return None;
    }
    value
        .as_str()
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

/// A whole number that is not negative; `2.0` counts as 2, as Python writers may produce it.
pub(super) fn whole(value: &Json) -> Option<u64> {
    if value.kind() != Kind::Number {
        return None;
    }
    let text = value.as_str();
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

/// The elements that `read` understands; none if this is no array.
pub(super) fn list<T>(value: &Json, read: impl FnMut(Json) -> Option<T>) -> Vec<T> {
    value
        .elements()
        .unwrap_or_default()
        .into_iter()
        .filter_map(read)
        .collect()
}

/// The members of an object; none if this is no object.
pub(super) fn entries(value: &Json) -> Vec<(String, Json)> {
    value.entries().unwrap_or_default()
}
