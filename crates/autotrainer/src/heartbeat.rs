//! Heartbeats. spec: autotrainer 4

use bytes::Bytes;
use nodewire_json::Json;

use crate::incoming::Anomaly;
use crate::json::{Fields, Limits, ObjectWriter, UnixTime, parse};
use crate::level::ProtocolLevel;
use crate::sequence;

/// The payload of topic [`HEARTBEAT`](crate::Topic::HEARTBEAT): the only message that says who publishes.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// The service's `identifier` option.
    pub identifier: String,
    /// The version of the publishing package; see [`ProtocolLevel::heartbeat_version`].
    pub version: String,
    /// When it was sent, by the service's clock.
    pub timestamp: UnixTime,
}

impl Heartbeat {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`Anomaly::Payload`] if it is no heartbeat. A missing `version` is empty.
    pub fn parse(payload: &Bytes, limits: &Limits) -> Result<Self, Anomaly> {
        let json: Json = parse(payload, limits).map_err(|_| Anomaly::Payload)?;
        let names = ["identifier", "version", "timestamp"];
        let fields = Fields::find(&json, &names, |_, _| {}).ok_or(Anomaly::Payload)?;
        Ok(Self {
            identifier: fields.string(0).ok_or(Anomaly::Payload)?,
            version: fields.string(1).unwrap_or_default(),
            timestamp: UnixTime(fields.float(2).ok_or(Anomaly::Payload)?),
        })
    }

    /// The payload.
    #[must_use]
    pub fn to_payload(&self) -> Bytes {
        self.to_text().into()
    }

    /// The payload's text, with room for a number.
    pub(crate) fn to_text(&self) -> String {
        let mut out = String::with_capacity(112 + sequence::FIELD_BYTES_MAX);
        ObjectWriter::new(&mut out)
            .string("identifier", &self.identifier)
            .string("version", &self.version)
            .float("timestamp", self.timestamp.0)
            .end();
        out
    }

    /// The level of the service.
    #[must_use]
    pub fn level(&self) -> ProtocolLevel {
        ProtocolLevel::of_version(&self.version)
    }
}
