//! The headers of replies. spec: nats-micro 5

use async_nats::{HeaderMap, HeaderName};

/// The description of an error reply.
pub const ERROR: &str = "Nats-Service-Error";
/// The code of an error reply, a decimal number.
pub const ERROR_CODE: &str = "Nats-Service-Error-Code";
/// The code of a reply that is no error, a decimal number. Only `nats-micro` (Python) and this crate set it.
pub const SUCCESS_CODE: &str = "Nats-Service-Success-Code";

/// The first value of a header: by its exact name, else by a name that differs in case only.
#[must_use]
pub fn lookup<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    if let Some(value) = headers.get(name) {
        return Some(value.as_str());
    }
    headers
        .iter()
        .find(|(other, _)| AsRef::<str>::as_ref(*other).eq_ignore_ascii_case(name))
        .and_then(|(_, values)| values.first())
        .map(|value| value.as_str())
}

/// All values of a header, whatever the case of its name.
#[cfg(any(feature = "compression", feature = "trace"))]
pub(crate) fn values<'a>(
    headers: &'a HeaderMap,
    name: &'a str,
) -> impl Iterator<Item = &'a str> + use<'a> {
    headers
        .iter()
        .filter(move |(other, _)| AsRef::<str>::as_ref(*other).eq_ignore_ascii_case(name))
        .flat_map(|(_, values)| values.iter().map(async_nats::HeaderValue::as_str))
}

/// Takes a header out, whatever the case of its name. Whether it was there.
pub fn remove(headers: &mut HeaderMap, name: &str) -> bool {
    let is_it = |other: &HeaderName| AsRef::<str>::as_ref(other).eq_ignore_ascii_case(name);
    if !headers.iter().any(|(other, _)| is_it(other)) {
        return false;
    }
    let mut kept = HeaderMap::new();
    for (other, values) in headers.iter().filter(|(other, _)| !is_it(other)) {
        for value in values {
            kept.append(other.clone(), value.clone());
        }
    }
    *headers = kept;
    true
}

/// Takes the error headers out.
pub(crate) fn remove_error(headers: &mut HeaderMap) {
    remove(headers, ERROR);
    remove(headers, ERROR_CODE);
}

/// A header's value has no line ends, nor other control characters.
pub(crate) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// How long the header block is when it is sent; 0 without headers.
pub(crate) fn block_bytes(headers: &HeaderMap) -> usize {
    const VERSION_LINE_AND_END: usize = "NATS/1.0\r\n\r\n".len();
    const SEPARATORS: usize = ": \r\n".len();
    if headers.is_empty() {
        return 0;
    }
    let line = |name: &str, value: &str| name.len() + value.len() + SEPARATORS;
    let lines = headers.iter().flat_map(|(name, values)| {
        values
            .iter()
            .map(move |value| line(name.as_ref(), value.as_str()))
    });
    VERSION_LINE_AND_END + lines.sum::<usize>()
}
