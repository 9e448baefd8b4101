//! Writing JSON the way Python's default writer does. spec: nanograph 4.3

use std::fmt::Write as _;

/// Appends `value` as a JSON string: everything but printable ASCII is escaped.
pub(crate) fn push_string(out: &mut String, value: &str) {
    out.push('"');
    let mut rest = value;
    while let Some(at) = rest.bytes().position(needs_escape) {
        out.push_str(&rest[..at]);
        rest = push_escaped(out, &rest[at..]);
    }
    out.push_str(rest);
    out.push('"');
}

fn needs_escape(byte: u8) -> bool {
    !matches!(byte, b' '..=b'~') || byte == b'"' || byte == b'\\'
}

/// Appends the first character of `text` escaped, and gives what follows it.
fn push_escaped<'a>(out: &mut String, text: &'a str) -> &'a str {
    let mut chars = text.chars();
    match chars.next() {
        Some('"') => out.push_str("\\\""),
        Some('\\') => out.push_str("\\\\"),
        Some('\n') => out.push_str("\\n"),
        Some('\r') => out.push_str("\\r"),
        Some('\t') => out.push_str("\\t"),
        Some('\u{8}') => out.push_str("\\b"),
        Some('\u{c}') => out.push_str("\\f"),
        Some(other) => push_units(out, other),
        None => {}
    }
    chars.as_str()
}

fn push_units(out: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

/// Appends a decimal number.
pub(crate) fn push_u64(out: &mut String, number: u64) {
    let _ = write!(out, "{number}");
}

/// Writes the members of one object, in order.
#[derive(Debug)]
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut String,
    first: bool,
}

impl<'a> ObjectWriter<'a> {
    /// Opens an object.
    pub(crate) fn new(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, first: true }
    }

    /// Appends the key and gives the place for the value. Keys are the protocol's own and need no escapes.
    pub(crate) fn key(&mut self, key: &str) -> &mut String {
        self.out.push_str(if self.first { "\"" } else { ", \"" });
        self.first = false;
        self.out.push_str(key);
        self.out.push_str("\": ");
        self.out
    }

    pub(crate) fn string(&mut self, key: &str, value: &str) {
        push_string(self.key(key), value);
    }

    pub(crate) fn string_unless_empty(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.string(key, value);
        }
    }

    pub(crate) fn raw(&mut self, key: &str, json: &str) {
        self.key(key).push_str(json);
    }

    /// Writes the flag only if it is set.
    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.raw(key, "true");
        }
    }

    /// Writes an array of whatever `write` appends for each item.
    pub(crate) fn array<T>(
        &mut self,
        key: &str,
        items: &[T],
        mut write: impl FnMut(&mut String, &T),
    ) {
        let out = self.key(key);
        out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            write(out, item);
        }
        out.push(']');
    }

    /// Closes the object.
    pub(crate) fn end(self) {
        self.out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_python_does() {
        let mut out = String::new();
        push_string(&mut out, "a\"\\/\n\r\t\u{8}\u{c}\u{1}\u{7f} é 𝄞 ~");
        assert_eq!(
            out,
            r#""a\"\\/\n\r\t\b\f\u0001\u007f \u00e9 \ud834\udd1e ~""#
        );
    }

    #[test]
    fn objects_have_python_separators() {
        let mut out = String::new();
        let mut object = ObjectWriter::new(&mut out);
        object.string("a", "x");
        object.array("b", &[1_u64, 2], |out, number| push_u64(out, *number));
        object.flag("no", false);
        object.end();
        assert_eq!(out, r#"{"a": "x", "b": [1, 2]}"#);
    }
}
