//! The number that our services add to what they publish, so that a loss can be seen. spec: autotrainer 5.1 (extra fields)
//!
//! One series for all of [`NUMBERED`]: a subscriber to all of them misses something exactly where a number is missing.
//! Both copies of an emergency carry the same number, since they are one event. Heartbeats repeat the last number.

use std::fmt::Write as _;

use bytes::Bytes;
use nodewire_json::Json;

use crate::json::{Fields, Limits, integer, parse};
use crate::topic::Topic;

/// The field, the last of the payload.
pub(crate) const FIELD: &str = "sequence";

/// The topics whose messages are numbered.
pub(crate) const NUMBERED: [Topic; 4] = [
    Topic::EVENT,
    Topic::EMERGENCY,
    Topic::PROPERTY_CHANGE,
    Topic::COMMAND_RESULT,
];

/// Bytes that the field takes at most.
pub(crate) const FIELD_BYTES_MAX: usize = r#", "sequence": "#.len() + 20;

/// Adds the field to the text of an object that has members.
pub(crate) fn append(object: &mut String, sequence: u64) {
    debug_assert!(object.ends_with('}'));
    object.pop();
    // Writing to a string cannot fail.
    let _ = write!(object, r#", "{FIELD}": {sequence}}}"#);
}

/// The number that this value of the field is.
pub(crate) fn of_value(value: &Json) -> Option<u64> {
    let text = value.as_str();
    text.parse()
        .ok()
        .or_else(|| u64::try_from(integer(text)?).ok())
}

/// The number of a payload.
pub(crate) fn of_payload(payload: &Bytes, limits: &Limits) -> Option<u64> {
    let json = parse(payload, limits).ok()?;
    let fields = Fields::find(&json, &[FIELD], |_, _| {})?;
    of_value(&fields.value(0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_the_last_and_as_long_as_is_said() {
        let before = r#"{"kind": 201}"#;
        let mut object = before.to_owned();
        append(&mut object, u64::MAX);
        assert_eq!(object, r#"{"kind": 201, "sequence": 18446744073709551615}"#);
        assert_eq!(object.len() - before.len(), FIELD_BYTES_MAX);
    }
}
