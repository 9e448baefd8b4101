//! Writing JSON text as the peers do: `", "` and `": "`, all in ASCII, Python's floats. spec: autotrainer 3.1

use std::fmt::{Display, Write as _};
use std::io;

use nodewire_json::{DecodeError, Json, MAX_DEPTH};
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use thiserror::Error;

use super::is_deeper;

/// A value that has no JSON form: its own `Serialize` failed, or it has map keys that are no strings.
#[derive(Debug, Error)]
#[error("the value cannot be written as JSON: {0}")]
pub struct EncodeError(#[from] DecodeError);

/// The JSON text of a serializable value. `NaN` and infinities become null. spec: autotrainer 3.2
///
/// # Errors
/// If the value has no JSON form, or is nested deeper than [`MAX_DEPTH`].
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Json, EncodeError> {
    let json = Json::from_serialize_with(value, AsPeers)?;
    if is_deeper(json.as_str(), MAX_DEPTH) {
        let too_deep = format!("it is nested deeper than {MAX_DEPTH} levels");
        let too_deep = <serde_json::Error as serde::ser::Error>::custom(too_deep);
        return Err(EncodeError(too_deep.into()));
    }
    Ok(json)
}

struct AsPeers;

impl Formatter for AsPeers {
    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.begin_array_value(out, first)
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.is_ascii() && !fragment.contains('\x7f') {
            return out.write_all(fragment.as_bytes());
        }
        let mut escaped = String::with_capacity(fragment.len() * 3);
        push_fragment(&mut escaped, fragment, |_| false);
        out.write_all(escaped.as_bytes())
    }

    fn write_f64<W: io::Write + ?Sized>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        if is_without_exponent(value) {
            CompactFormatter.write_f64(out, value)
        } else {
            out.write_all(float_text(value).as_bytes())
        }
    }
}

/// Writes one object, member by member.
pub(crate) struct ObjectWriter<'o> {
    out: &'o mut String,
    start: usize,
}

impl<'o> ObjectWriter<'o> {
    pub(crate) fn new(out: &'o mut String) -> Self {
        out.push('{');
        let start = out.len();
        Self { out, start }
    }

    pub(crate) fn value(&mut self, key: &str, value: &Json) -> &mut Self {
        self.text(key, value.to_strict().as_str())
    }

    pub(crate) fn string(&mut self, key: &str, string: &str) -> &mut Self {
        self.key(key);
        push_string(self.out, string);
        self
    }

    pub(crate) fn optional_string(&mut self, key: &str, string: Option<&str>) -> &mut Self {
        match string {
            Some(string) => self.string(key, string),
            None => self.text(key, "null"),
        }
    }

    pub(crate) fn integer(&mut self, key: &str, value: impl Display) -> &mut Self {
        self.key(key);
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{value}");
        self
    }

    pub(crate) fn float(&mut self, key: &str, value: f64) -> &mut Self {
        self.text(key, &float_text(value))
    }

    /// A member whose name is not one of ours.
    pub(crate) fn extra(&mut self, key: &str, value: &Json) -> &mut Self {
        self.separate();
        push_string(self.out, key);
        self.out.push_str(": ");
        self.out.push_str(value.to_strict().as_str());
        self
    }

    pub(crate) fn end(&mut self) {
        self.out.push('}');
    }

    fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key);
        self.out.push_str(value);
        self
    }

    /// Names of fields need no escapes.
    fn key(&mut self, key: &str) {
        self.separate();
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\": ");
    }

    fn separate(&mut self) {
        if self.out.len() > self.start {
            self.out.push_str(", ");
        }
    }
}

/// Appends a string with its quotes, in ASCII.
pub(crate) fn push_string(out: &mut String, string: &str) {
    push_escaped(out, string, |_| false);
}

/// As [`push_string`], with these characters of ASCII escaped too.
pub(crate) fn push_escaped(out: &mut String, string: &str, also: impl Fn(u8) -> bool) {
    out.push('"');
    push_fragment(out, string, also);
    out.push('"');
}

fn push_fragment(out: &mut String, string: &str, also: impl Fn(u8) -> bool) {
    let plain =
        |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\') && !also(*byte);
    let mut rest = string;
    loop {
        let length = rest.bytes().take_while(plain).count();
        let (before, after) = rest.split_at(length);
        out.push_str(before);
        let mut chars = after.chars();
        let Some(char) = chars.next() else {
            return;
        };
        push_escape(out, char);
        rest = chars.as_str();
    }
}

fn push_escape(out: &mut String, char: char) {
    let short = match char {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        _ => "",
    };
    out.push_str(short);
    if short.is_empty() {
        for unit in char.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
}

/// The shortest text that reads as the same number: `1e-05`, `1.0`, `1e+16`.
fn float_text(value: f64) -> String {
    if !value.is_finite() {
        return "null".to_owned();
    }
    if let Some(number) = serde_json::Number::from_f64(value)
        && is_without_exponent(value)
    {
        return number.to_string();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// Within these bounds the common form is Python's too.
fn is_without_exponent(value: f64) -> bool {
    value == 0.0 || (1e-4..1e16).contains(&value.abs())
}

#[cfg(test)]
mod tests {
    use super::{encode, float_text};

    #[test]
    fn what_is_nested_too_deep_for_readers_is_not_written() {
        let nested = |levels: usize| {
            let wrap = |inner, _| serde_json::Value::Array(vec![inner]);
            (1..levels).fold(serde_json::json!([]), wrap)
        };
        assert!(encode(&nested(120)).is_ok());
        let error = encode(&nested(121)).unwrap_err();
        assert!(error.to_string().contains("120 levels"), "{error}");
    }

    #[test]
    fn floats_look_like_those_of_python() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (123.0, "123.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (9_999_999_999_999_998.0, "9999999999999998.0"),
            (0.000_099_999_999_999_999_99, "9.999999999999999e-05"),
            (-1.5e-100, "-1.5e-100"),
            (1_735_787_045.678_901, "1735787045.678901"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }

    #[test]
    fn text_is_ascii_with_spaces_after_separators() {
        let value = ("\u{e9}\u{1f600}\n\x7f", [1.0, f64::INFINITY]);
        let text = encode(&value).unwrap();
        assert_eq!(
            text.as_str(),
            r#"["\u00e9\ud83d\ude00\n\u007f", [1.0, null]]"#
        );
    }
}
