//! Turning tolerated text into standard JSON.

/// The text with `NaN`, `Infinity` and `-Infinity` replaced by `null` and lone surrogates by `\ufffd`.
///
/// `text` must be one well-formed value.
pub(crate) fn to_strict(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', 'N', 'I', '-']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = if rest.starts_with('"') {
            copy_string(rest, &mut out)
        } else if let Some(after) = ["NaN", "Infinity", "-Infinity"]
            .iter()
            .find_map(|word| rest.strip_prefix(word))
        {
            out.push_str("null");
            after
        } else {
            out.push_str(&rest[..1]);
            &rest[1..]
        };
    }
    out.push_str(rest);
    out
}

/// Copies the string literal that `text` starts with, and gives what follows it.
fn copy_string<'a>(text: &'a str, out: &mut String) -> &'a str {
    let mut end = 1;
    while let Some(at) = text[end..].find(['"', '\\']) {
        end += at;
        if text[end..].starts_with('"') {
            end += 1;
            break;
        }
        end += 2;
    }
    copy_escapes(&text[..end], out);
    &text[end..]
}

fn copy_escapes(literal: &str, out: &mut String) {
    let mut rest = literal;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match hex_unit(rest) {
            None => 2,
            Some(0xD800..0xDC00) if matches!(hex_unit(&rest[6..]), Some(0xDC00..0xE000)) => 12,
            Some(0xD800..0xE000) => {
                out.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
            Some(_) => 6,
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out.push_str(rest);
}

/// The code unit of the `\uXXXX` that `text` starts with.
fn hex_unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// Resolves the escapes of a well-formed string's inside; lone surrogates become U+FFFD.
pub(crate) fn unescape(raw: &str) -> String {
    let mut literal = String::with_capacity(raw.len() + 2);
    literal.push('"');
    copy_escapes(raw, &mut literal);
    literal.push('"');
    serde_json::from_str(&literal).unwrap_or_else(|_| raw.to_owned())
}
