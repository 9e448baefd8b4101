//! How answers of the daemon look on a terminal.

use std::time::Duration;

use console::{StyledObject, style};
use serde_json::Value;

/// Characters of texts that have no other bound; JSON has all of them.
const LONG_CELL: usize = 60;

/// A member as text, whatever it is; a dash if it is not there.
pub(super) fn cell(object: &Value, key: &str) -> String {
    match &object[key] {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => shortened(text),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            shortened(&object[key].to_string())
        }
    }
}

/// How many elements a member has.
pub(super) fn count(object: &Value, key: &str) -> String {
    object[key]
        .as_array()
        .map_or_else(|| "-".to_owned(), |list| list.len().to_string())
}

/// The list in an answer: the answer itself, or its member with this name.
pub(super) fn list<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    let list = answer.as_array().or_else(|| answer[name].as_array());
    list.map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONG_CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Milliseconds as people read them; a dash if there are none.
pub(super) fn milliseconds(value: &Value) -> String {
    let Some(milliseconds) = value.as_u64() else {
        return "-".to_owned();
    };
    match milliseconds {
        0 => "< 1 ms".to_owned(),
        1..1000 => format!("{milliseconds} ms"),
        1000..60_000 => format!("{:.1} s", Duration::from_millis(milliseconds).as_secs_f64()),
        60_000.. => {
            let seconds = milliseconds / 1000;
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
    }
}

/// Bytes as people read them.
pub(super) fn bytes(value: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let number = value as f64;
    match value {
        0..1024 => format!("{value} B"),
        0x400..0x10_0000 => format!("{:.1} KiB", number / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", number / 1024.0 / 1024.0),
        0x4000_0000.. => format!("{:.2} GiB", number / 1024.0 / 1024.0 / 1024.0),
    }
}

/// A state in its colour, on a terminal.
pub(super) fn state(word: &str) -> StyledObject<&str> {
    match word {
        "ready" | "complete" | "cached" | "ok" => style(word).green(),
        "failed" | "error" | "backoff" => style(word).red(),
        "disconnected" | "aborted" | "interrupted" | "skipped" | "missing" | "warning" => {
            style(word).yellow()
        }
        _ => style(word),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_as_people_read_them() {
        let times = [
            json!(0),
            json!(999),
            json!(1500),
            json!(61_000),
            Value::Null,
        ];
        assert_eq!(
            times.map(|time| milliseconds(&time)),
            ["< 1 ms", "999 ms", "1.5 s", "1 min 1 s", "-"]
        );
        assert_eq!(
            [0, 1023, 1536, 3 << 20, 5 << 30].map(bytes),
            ["0 B", "1023 B", "1.5 KiB", "3.0 MiB", "5.00 GiB"]
        );
    }

    #[test]
    fn cells_of_any_kind() {
        let object = json!({"text": "a", "none": null, "empty": "", "number": 7, "long": "é".repeat(61), "list": [1, 2]});
        let cells = ["text", "none", "empty", "number", "missing"].map(|key| cell(&object, key));
        assert_eq!(cells, ["a", "-", "-", "7", "-"]);
        assert_eq!(cell(&object, "long"), format!("{}…", "é".repeat(60)));
        assert_eq!(count(&object, "list"), "2");
        assert_eq!(list(&object, "list").len(), 2);
        assert_eq!(list(&object["list"], "list").len(), 2);
        assert!(list(&object, "text").is_empty());
    }
}
