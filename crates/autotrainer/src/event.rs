//! Events. spec: autotrainer 5
//!
//! An [`Event`] is the envelope; its `context` is decoded on demand ([`Event::payload`]), since what a kind means depends
//! on the level of the service, and since a service adds and validates nothing.

mod kind;
mod payload;
pub mod payloads;
pub mod session_payloads;

pub use kind::EventKind;
pub use payload::{EventPayload, PayloadError, PayloadShape};

use bytes::Bytes;
use nodewire_json::Json;

use crate::casing::camelize_keys;
use crate::incoming::Anomaly;
use crate::json::{EncodeError, Fields, Limits, ObjectWriter, UnixTime, encode, parse};
use crate::level::ProtocolLevel;
use crate::sequence;
use crate::topic::Topic;

/// The payload of topics `EVENT`, `EMERGENCY` and `PROPERTY_CHANGE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The number of its kind; see [`Event::kind`].
    pub kind_number: i64,
    /// When it happened, by the service's clock. `None` if it is no finite number of 64 bits; such a number, here as in
    /// `index`, makes no anomaly, and only `SubscribeOptions::verbatim` shows it.
    pub when: Option<UnixTime>,
    /// A monotonic clock's nanoseconds, comparable within one process. `None` if it is no integer of 64 bits.
    pub index: Option<u64>,
    /// What happened, as it is on the wire; null if there is none.
    pub context: Json,
    /// How many further times the same happened; `when` and `index` are then those of the last.
    pub repeat: Option<u64>,
    /// Fields that the protocol does not name, in order.
    pub extra: Vec<(String, Json)>,
}

const FIELDS: [&str; 5] = ["kind", "when", "index", "context", "repeat"];

impl Event {
    /// An event of this kind, as services of this level number it; `None` if the level does not have it.
    #[must_use]
    pub fn new(kind: EventKind, level: ProtocolLevel, when: UnixTime, index: u64) -> Option<Self> {
        kind.number(level)
            .map(|number| Self::numbered(number, when, index))
    }

    /// An event of an application's own kind.
    #[must_use]
    pub fn numbered(kind_number: i64, when: UnixTime, index: u64) -> Self {
        Self {
            kind_number,
            when: Some(when),
            index: Some(index),
            context: Json::null(),
            repeat: None,
            extra: Vec::new(),
        }
    }

    /// With this payload. Whether it is the one of the kind is not checked: the peers do not either.
    ///
    /// # Errors
    /// If a value has no JSON form.
    pub fn with_payload(mut self, payload: &EventPayload) -> Result<Self, EncodeError> {
        self.context = payload.to_context()?;
        Ok(self)
    }

    /// With a context of one's own, its keys in camelCase.
    ///
    /// # Errors
    /// If the value has no JSON form.
    pub fn with_context(mut self, context: &impl serde::Serialize) -> Result<Self, EncodeError> {
        self.context = camelize_keys(&encode(context)?);
        Ok(self)
    }

    /// With a context whose keys are data, and stay as they are. spec: autotrainer 6.5 (5)
    #[must_use]
    pub fn with_verbatim_context(mut self, context: Json) -> Self {
        self.context = context;
        self
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`Anomaly::Payload`] if it is no object with an integer `kind`. Every other field may be missing.
    pub fn parse(payload: &Bytes, limits: &Limits) -> Result<Self, Anomaly> {
        let json = parse(payload, limits).map_err(|_| Anomaly::Payload)?;
        let mut extra = Vec::new();
        let keep = |key: &str, value| extra.push((key.to_owned(), json.part(value)));
        let fields = Fields::find(&json, &FIELDS, keep).ok_or(Anomaly::Payload)?;
        let unsigned = |place| u64::try_from(fields.integer(place)?).ok();
        let big = |place| fields.at(place)?.as_str().parse().ok();
        Ok(Self {
            kind_number: fields.integer(0).ok_or(Anomaly::Payload)?,
            when: fields.float(1).map(UnixTime),
            index: big(2).or_else(|| unsigned(2)),
            context: fields.value(3).unwrap_or_default(),
            repeat: unsigned(4),
            extra,
        })
    }

    /// The payload. What has no value is left out, but `context`.
    #[must_use]
    pub fn to_payload(&self) -> Bytes {
        self.to_text().into()
    }

    /// The payload's text, with room for a number.
    pub(crate) fn to_text(&self) -> String {
        let room = 96 + sequence::FIELD_BYTES_MAX;
        let mut out = String::with_capacity(room + self.context.as_str().len());
        let mut object = ObjectWriter::new(&mut out);
        object.integer("kind", self.kind_number);
        if let Some(when) = self.when {
            object.float("when", when.0);
        }
        if let Some(index) = self.index {
            object.integer("index", index);
        }
        object.value("context", &self.context);
        if let Some(repeat) = self.repeat {
            object.integer("repeat", repeat);
        }
        for (key, value) in &self.extra {
            object.extra(key, value);
        }
        object.end();
        out
    }

    /// What its number means at this level.
    #[must_use]
    pub fn kind(&self, level: ProtocolLevel) -> Option<EventKind> {
        EventKind::from_number(self.kind_number, level)
    }

    /// Its context as the payload of its kind at this level; [`EventPayload::Free`] if the level does not have the kind.
    ///
    /// # Errors
    /// If the context is not what the kind promises.
    pub fn payload(&self, level: ProtocolLevel) -> Result<EventPayload, PayloadError> {
        let shape = self.kind(level).and_then(|kind| kind.shape(level));
        EventPayload::decode(shape.unwrap_or(PayloadShape::Free), &self.context)
    }

    /// Its place in the order of what the service publishes, where the service tells it
    /// ([`ServiceBuilder::sequence`](crate::ServiceBuilder::sequence)): the extra field `sequence`.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        let mut extra = self.extra.iter().rev();
        let (_, value) = extra.find(|(key, _)| key == sequence::FIELD)?;
        sequence::of_value(value)
    }

    /// Where it is published, in order. spec: autotrainer 5.3
    #[must_use]
    pub fn topics(&self) -> &'static [Topic] {
        Topic::of_event(self.kind_number)
    }

    /// Whether the same happened again. spec: autotrainer 15.4
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.kind_number == other.kind_number && self.context == other.context
    }
}
