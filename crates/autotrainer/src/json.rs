//! JSON as the peers write it, within limits. spec: autotrainer 3, 14 (Q28)
//!
//! Free-form values are kept as text ([`Json`]): a nonce of 30 digits and the `NaN` of a 0.9.11 service come out as they
//! went in, and decode as standard JSON says (`NaN` and infinities as null).

mod escaped;
mod fields;
mod number;
mod writer;

pub use escaped::escape_for_text_mode;
pub use nodewire_json::{DecodeError, Json};
pub use number::UnixTime;
pub use writer::{EncodeError, encode};

pub(crate) use fields::Fields;
pub(crate) use number::{deserialize_integer, integer, nan_if_null};
pub(crate) use writer::{ObjectWriter, push_string};

use bytes::Bytes;
use nodewire_json::ScanError;
use thiserror::Error;

/// What is read from a peer at most. Checked before anything is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one frame.
    pub frame_bytes_max: usize,
    /// Frames of one message.
    pub frames_max: usize,
    /// How deep arrays and objects nest. More than [`nodewire_json::MAX_DEPTH`] is never read.
    pub depth_max: usize,
}

impl Default for Limits {
    /// 1 MiB, 16 frames, 64 levels.
    fn default() -> Self {
        Self {
            frame_bytes_max: 1 << 20,
            frames_max: 16,
            depth_max: 64,
        }
    }
}

/// Why a frame is no JSON that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is longer than [`Limits::frame_bytes_max`].
    #[error("the frame has {bytes} bytes, more than the limit of {bytes_max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// It starts with a UTF-8 byte order mark.
    #[error("the text starts with a byte order mark; send plain UTF-8")]
    ByteOrderMark,
    /// It is not UTF-8, or not one JSON value.
    #[error("the frame is no JSON: {0}")]
    Malformed(#[source] ScanError),
    /// It nests deeper than [`Limits::depth_max`].
    #[error("the JSON text nests deeper than {depth_max} levels")]
    TooDeep {
        /// The limit.
        depth_max: usize,
    },
    /// It holds `NaN` or an infinity where only standard JSON is read.
    #[error("the text holds NaN or Infinity, which is no JSON; send null")]
    NotFinite,
}

/// Reads what a service or an application published or answered: `NaN` and infinities count as null.
///
/// # Errors
/// If it is no JSON, or beyond the limits.
pub fn parse(frame: &Bytes, limits: &Limits) -> Result<Json, JsonError> {
    if frame.len() > limits.frame_bytes_max {
        return Err(JsonError::TooLong {
            bytes: frame.len(),
            bytes_max: limits.frame_bytes_max,
        });
    }
    if frame.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonError::ByteOrderMark);
    }
    let json = Json::parse_bytes(frame.clone()).map_err(JsonError::Malformed)?;
    if is_deeper(json.as_str(), limits.depth_max) {
        return Err(JsonError::TooDeep {
            depth_max: limits.depth_max,
        });
    }
    Ok(json)
}

/// As [`parse`], but without `NaN` and infinities: no Python service reads them in a request. spec: autotrainer 6.4
///
/// # Errors
/// As [`parse`]; [`JsonError::NotFinite`] too.
pub fn parse_request(frame: &Bytes, limits: &Limits) -> Result<Json, JsonError> {
    let json = parse(frame, limits)?;
    // Outside strings, no other token of JSON has these letters. Lone surrogates are not strict either, but accepted.
    let not_finite =
        !json.is_strict() && structure(json.as_str()).any(|byte| matches!(byte, b'N' | b'I'));
    if not_finite {
        return Err(JsonError::NotFinite);
    }
    Ok(json)
}

fn is_deeper(text: &str, depth_max: usize) -> bool {
    let opening = text.bytes().filter(|byte| matches!(byte, b'[' | b'{'));
    if opening.count() <= depth_max {
        return false;
    }
    let mut depth = 0_usize;
    structure(text).any(|byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > depth_max
    })
}

/// The bytes of a well-formed text that are not inside strings.
fn structure(text: &str) -> impl Iterator<Item = u8> {
    let (mut inside, mut escaped) = (false, false);
    text.bytes().filter(move |byte| {
        if !inside {
            inside = *byte == b'"';
            return !inside;
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => inside = false,
            _ => {}
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{JsonError, Limits, parse, parse_request};

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        let limits = Limits::default();
        let nested = |levels: usize| Bytes::from("[".repeat(levels) + &"]".repeat(levels));
        assert!(parse(&nested(64), &limits).is_ok());
        let too_deep = JsonError::TooDeep { depth_max: 64 };
        assert_eq!(parse(&nested(65), &limits), Err(too_deep));
        let string = format!(r#"["\"{}"]"#, "[".repeat(100));
        assert!(parse(&Bytes::from(string), &limits).is_ok());
    }

    #[test]
    fn a_request_may_hold_lone_surrogates_but_not_nan() {
        let limits = Limits::default();
        let read =
            |text: &'static str| parse_request(&Bytes::from_static(text.as_bytes()), &limits);
        assert!(read(r#"["\ud800", "NaN"]"#).is_ok());
        assert_eq!(read(r#"["\ud800", NaN]"#), Err(JsonError::NotFinite));
        assert_eq!(read("-Infinity"), Err(JsonError::NotFinite));
    }

    #[test]
    fn length_is_checked_first() {
        let limits = Limits {
            frame_bytes_max: 3,
            ..Limits::default()
        };
        let error = parse(&Bytes::from_static(b"\xff\xff\xff\xff"), &limits);
        assert!(matches!(
            error,
            Err(JsonError::TooLong {
                bytes: 4,
                bytes_max: 3
            })
        ));
    }
}
