//! Asking a service for what it has kept: our own command, of any client that can send one.
//!
//! `{"command": 99999, "custom_command": "events.replay", "nonce": 7, "data": {"after": 41}}` is answered, where the service
//! has an event log, `SUCCESS` with the data
//!
//! ```json
//! {"logId": "5f0c…", "first": 1, "last": 90, "next": 43, "isComplete": false, "events": [
//!     {"sequence": 42, "topic": 4001, "payload": {"kind": 201, "sequence": 42}},
//!     {"sequence": 43, "topic": 6001, "payload": {"result": 100, "nonce": 5, "sequence": 43}}]}
//! ```
//!
//! and the next page is asked for with `"after": 43` (what `next` says), until `isComplete`. An emergency is kept once, as `EVENT`. Services
//! without a log give the command to their handler, like any that they do not know.

use bytes::Bytes;
use nodewire_json::{Json, Kind};
use serde::{Deserialize, Serialize};

use crate::command::{Command, CommandRequest};
use crate::json::{ObjectWriter, integer};
use crate::sequence;
use crate::topic::Topic;

/// What is asked for. Unknown fields are ignored, and every field may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplayRequest {
    /// Only what has a higher number.
    pub after: u64,
    /// The log that `after` is a number of. If it is not the service's, everything is replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_id: Option<String>,
    /// Events of one page, at most; 500 unless said, never more than 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Bytes of one page, at most; never more than the service's own limit of half a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
    /// Only these topics; all unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<Topic>>,
}

/// Events that a service has kept, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayPage {
    /// The log's identity. Another one counts anew.
    pub log_id: String,
    /// The oldest number that is kept; one more than `last` if none is.
    pub first: u64,
    /// The newest number that was given; what has it may not be kept yet, or not at all.
    pub last: u64,
    /// What to ask for next: everything up to here was looked at.
    pub next: u64,
    /// Whether there was nothing more.
    pub is_complete: bool,
    /// The events.
    pub events: Vec<ReplayedEvent>,
}

/// A message as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayedEvent {
    /// Its number.
    pub sequence: u64,
    /// Its topic; `EVENT` for emergencies that were published on both.
    pub topic: Topic,
    /// Its payload, to the byte; `None` if it is too long for an answer.
    pub payload: Option<Bytes>,
}

impl ReplayRequest {
    /// The `custom_command`. Nothing in it is changed by a service that rewrites the text of requests.
    pub const COMMAND: &'static str = "events.replay";

    /// Events of one page if the request does not say.
    pub const LIMIT_DEFAULT: u64 = 500;

    /// Events of one page, whatever the request says.
    pub const LIMIT_MAX: u64 = 1000;

    /// Whether a request is one for a replay.
    #[must_use]
    pub fn is_in(request: &CommandRequest) -> bool {
        request.command == Command::UserDefined
            && request.custom_command.string().as_deref() == Some(Self::COMMAND)
    }

    /// Reads the data of a request; none is a request for everything.
    ///
    /// # Errors
    /// If a field is not of its type.
    pub fn read(request: &CommandRequest) -> Result<Self, crate::json::DecodeError> {
        let data = request.data();
        if data.is_null() {
            return Ok(Self::default());
        }
        data.decode()
    }
}

/// What an event adds to a page beside its payload, at most.
pub(crate) const ENTRY_BYTES: usize = r#"{"sequence": , "topic": , "payload": }, "#.len() + 20 + 10;

impl ReplayPage {
    /// The data of the answer.
    #[must_use]
    pub fn to_data(&self) -> Json {
        let payloads: usize = self.events.iter().map(ReplayedEvent::entry_bytes).sum();
        let mut out = String::with_capacity(256 + payloads);
        ObjectWriter::new(&mut out)
            .string("logId", &self.log_id)
            .integer("first", self.first)
            .integer("last", self.last)
            .integer("next", self.next)
            .integer("isComplete", self.is_complete);
        out.push_str(r#", "events": ["#);
        for (place, event) in self.events.iter().enumerate() {
            if place > 0 {
                out.push_str(", ");
            }
            event.write(&mut out);
        }
        out.push_str("]}");
        Json::parse(out).unwrap_or_default()
    }

    /// Reads the data of an answer; `None` if it is none to a replay.
    #[must_use]
    pub fn from_data(data: &Json) -> Option<Self> {
        let number = |name| sequence::of_value(&data.get(name)?);
        let events = data.get("events")?.elements()?;
        let is_complete = data.get("isComplete")?;
        Some(Self {
            log_id: data.get("logId")?.string()?.into_owned(),
            first: number("first")?,
            last: number("last")?,
            next: number("next")?,
            is_complete: is_complete.as_str() == "true",
            events: events
                .iter()
                .map(ReplayedEvent::read)
                .collect::<Option<_>>()?,
        })
    }
}

impl ReplayedEvent {
    pub(crate) fn entry_bytes(&self) -> usize {
        ENTRY_BYTES + self.payload.as_ref().map_or(4, Bytes::len)
    }

    /// A payload that is no text cannot have been numbered.
    fn write(&self, out: &mut String) {
        let payload = self.payload.as_deref();
        let payload = payload.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let (sequence, topic) = (self.sequence, self.topic.0);
        let mut entry = ObjectWriter::new(out);
        entry.integer("sequence", sequence).integer("topic", topic);
        entry.integer("payload", payload.unwrap_or("null"));
        entry.end();
    }

    fn read(entry: &Json) -> Option<Self> {
        let payload = entry.get("payload")?;
        let topic = integer(entry.get("topic")?.as_str())?;
        Some(Self {
            sequence: sequence::of_value(&entry.get("sequence")?)?,
            topic: Topic(topic.try_into().ok()?),
            payload: (payload.kind() == Kind::Object).then(|| payload.into_bytes()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Limits;
    use crate::level::ProtocolLevel;

    #[test]
    fn a_page_arrives_as_it_was_written() {
        let page = ReplayPage {
            log_id: "5f0c".to_owned(),
            first: 1,
            last: u64::MAX,
            next: 43,
            is_complete: false,
            events: vec![
                ReplayedEvent {
                    sequence: 42,
                    topic: Topic::EVENT,
                    payload: Some(Bytes::from_static(br#"{"kind": 201,  "aB_c": -1e-05}"#)),
                },
                ReplayedEvent {
                    sequence: 43,
                    topic: Topic::COMMAND_RESULT,
                    payload: None,
                },
            ],
        };
        let data = page.to_data();
        assert_eq!(ReplayPage::from_data(&data), Some(page));
        let other = Json::parse(r#"{"seen": true}"#).unwrap();
        assert_eq!(ReplayPage::from_data(&other), None);
    }

    #[test]
    fn only_its_own_command_is_a_replay() {
        let read = |text: &'static str| {
            let frame = Bytes::from_static(text.as_bytes());
            CommandRequest::from_frames(&[frame], ProtocolLevel::NEWEST, &Limits::default())
                .unwrap()
        };
        let asked = read(
            r#"{"command":99999,"custom_command":"events.replay","data":{"after":5,"topics":[4001]}}"#,
        );
        assert!(ReplayRequest::is_in(&asked));
        let expected = ReplayRequest {
            after: 5,
            topics: Some(vec![Topic::EVENT]),
            ..ReplayRequest::default()
        };
        assert_eq!(ReplayRequest::read(&asked).unwrap(), expected);
        let bare = read(r#"{"command":99999,"custom_command":"events.replay"}"#);
        assert_eq!(
            ReplayRequest::read(&bare).unwrap(),
            ReplayRequest::default()
        );
        for other in [
            r#"{"command":99999,"custom_command":7}"#,
            r#"{"command":200,"custom_command":"events.replay"}"#,
        ] {
            assert!(!ReplayRequest::is_in(&read(other)));
        }
        let wrong =
            read(r#"{"command":99999,"custom_command":"events.replay","data":{"after":"x"}}"#);
        assert!(ReplayRequest::read(&wrong).is_err());
    }
}
