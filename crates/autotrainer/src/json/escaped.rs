//! Text that a Python service's text-mode rewriting leaves alone. spec: autotrainer 6.4, 6.5 (3)

use nodewire_json::{Json, Reader, ScanError};

use super::writer::push_escaped;

/// The value as compact text in which nothing is left that a Python service's rewriting of requests reacts to.
///
/// Upper-case letters, white space and all that is not ASCII are written as `\uXXXX` with lower-case digits, in keys
/// too, so that those arrive as they are. What is not standard JSON becomes null.
///
/// ```
/// use autotrainer_api::json::{Json, escape_for_text_mode};
///
/// let data = Json::parse(r#"{"name": "Hello World", "size": 1E5}"#)?;
/// assert_eq!(escape_for_text_mode(&data), r#"{"name":"\u0048ello\u0020\u0057orld","size":1e5}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn escape_for_text_mode(value: &Json) -> String {
    let value = value.to_strict();
    let mut out = String::with_capacity(value.as_str().len() + 16);
    if push_value(&mut value.reader(), &mut out).is_err() {
        // Put together deeper than what can be taken apart: no service would read it either.
        return "null".to_owned();
    }
    out
}

fn push_value(reader: &mut Reader<'_>, out: &mut String) -> Result<(), ScanError> {
    let first = out.len() + 1;
    if reader.at_object() {
        out.push('{');
        reader.object(|key, reader| {
            separate(out, first);
            push_quiet(out, &key.name());
            out.push(':');
            push_value(reader, out)
        })?;
        out.push('}');
    } else if reader.at_array() {
        out.push('[');
        reader.array(|reader| {
            separate(out, first);
            push_value(reader, out)
        })?;
        out.push(']');
    } else {
        let value = reader.value()?;
        match value.string() {
            Some(string) => push_quiet(out, &string),
            None => out.push_str(&value.as_str().to_ascii_lowercase()),
        }
    }
    Ok(())
}

fn separate(out: &mut String, first: usize) {
    if out.len() > first {
        out.push(',');
    }
}

fn push_quiet(out: &mut String, string: &str) {
    push_escaped(out, string, |byte| {
        byte.is_ascii_uppercase() || byte == b' '
    });
}
