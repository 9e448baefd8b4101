//! The subjects of a device.

use autotrainer_api::{Event, Limits, ProtocolLevel, Topic};
use bytes::Bytes;

use crate::device::show;

/// What all subjects of one device begin with: `<prefix>.<identifier>`.
#[derive(Debug, Clone)]
pub(super) struct Subjects {
    base: String,
}

/// A token that is longer makes subjects that some servers refuse.
const TOKEN_BYTES_MAX: usize = 256;

impl Subjects {
    /// The identifier becomes one token of the subject.
    pub(super) fn new(prefix: &str, identifier: &str) -> Result<Self, String> {
        let token = token(identifier);
        if token.len() > TOKEN_BYTES_MAX {
            return Err(format!(
                "the identifier is too long for a subject: {} bytes of at most {TOKEN_BYTES_MAX}; name the device with --device NAME=HOST",
                token.len()
            ));
        }
        Ok(Self {
            base: format!("{prefix}.{token}"),
        })
    }

    pub(super) fn below(&self, what: &str) -> String {
        format!("{}.{what}", self.base)
    }

    /// Where a published message goes.
    pub(super) fn of(&self, topic: Topic, payload: &Bytes, level: ProtocolLevel) -> String {
        let kind = || {
            let event = Event::parse(payload, &Limits::default()).ok()?;
            Some(show::kind_name(&event, level))
        };
        let below = match topic {
            Topic::HEARTBEAT => Some("heartbeat".to_owned()),
            Topic::COMMAND_RESULT => Some("result".to_owned()),
            Topic::PROPERTY_CHANGE => kind().map(|_| "property".to_owned()),
            Topic::EVENT => kind().map(|kind| format!("event.{kind}")),
            Topic::EMERGENCY => kind().map(|kind| format!("emergency.{kind}")),
            Topic(number) => Some(format!("topic.{number}")),
        };
        self.below(below.as_deref().unwrap_or("unreadable"))
    }
}

/// Any text as one token of a subject: letters, digits, `-` and `_` stand for themselves, every other byte of its UTF-8 is
/// `%` and two upper-case hexadecimal digits; nothing at all is `%`.
pub(super) fn token(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            token.push(char::from(byte));
        } else {
            token.push_str(&format!("%{byte:02X}"));
        }
    }
    if token.is_empty() {
        token.push('%');
    }
    token
}

/// Whether subjects may begin with this: tokens of visible ASCII between dots, without wildcards.
pub(super) fn check_prefix(prefix: &str) -> Result<String, String> {
    let is_token = |token: &str| {
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '*' | '>');
        !token.is_empty() && token.chars().all(is_plain)
    };
    if prefix.split('.').all(is_token) && !prefix.starts_with('$') {
        return Ok(prefix.to_owned());
    }
    Err("a prefix is names separated by dots, without spaces and wildcards, and not of the system's ($..)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_one_token_and_stay_apart() {
        assert_eq!(token("box-7_A"), "box-7_A");
        assert_eq!(token("box.7 *>%ä"), "box%2E7%20%2A%3E%25%C3%A4");
        assert_eq!(token(""), "%");
        assert!(Subjects::new("devices", &"x".repeat(257)).is_err());
    }

    #[test]
    fn prefixes() {
        assert!(check_prefix("lab.devices").is_ok());
        for bad in ["", ".", "a..b", "a.*", "a b", "$SRV", "a.>"] {
            assert!(check_prefix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn messages_go_by_topic_and_kind() {
        let subjects = Subjects::new("devices", "box.7").unwrap();
        let of = |topic, payload: &'static str| {
            let payload = Bytes::from_static(payload.as_bytes());
            subjects.of(topic, &payload, ProtocolLevel::NEWEST)
        };
        let expected = [
            (Topic::HEARTBEAT, "{}", "heartbeat"),
            (
                Topic::EVENT,
                r#"{"kind": 201}"#,
                "event.applicationLaunched",
            ),
            (Topic::EVENT, r#"{"kind": -7}"#, "event.-7"),
            (
                Topic::EMERGENCY,
                r#"{"kind": 101}"#,
                "emergency.emergencyStop",
            ),
            (Topic::PROPERTY_CHANGE, r#"{"kind": 501}"#, "property"),
            (Topic::COMMAND_RESULT, "{}", "result"),
            (Topic::EVENT, "nothing", "unreadable"),
            (Topic(7), "nothing", "topic.7"),
        ];
        for (topic, payload, below) in expected {
            assert_eq!(of(topic, payload), format!("devices.box%2E7.{below}"));
        }
    }
}
