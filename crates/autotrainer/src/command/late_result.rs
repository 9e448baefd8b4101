//! The result of a command that was answered with `PENDING_WITH_NOTIFICATION`. spec: autotrainer 5.5, 8.5

use bytes::Bytes;
use nodewire_json::Json;

use super::{CommandRequest, CommandResponse, ResultCode};
use crate::casing::decamelize_keys;
use crate::incoming::Anomaly;
use crate::json::{Fields, Limits, ObjectWriter, parse};
use crate::level::ProtocolLevel;
use crate::sequence;

/// The payload of topic [`COMMAND_RESULT`](crate::Topic::COMMAND_RESULT).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandResult {
    /// How it went; what is no integer counts as [`ResultCode::Failed`].
    pub result: ResultCode,
    /// The data as it is on the wire.
    pub verbatim_data: Json,
    /// 0 if there is no error.
    pub error_code: i64,
    /// What to tell a person.
    pub error_message: Option<String>,
    /// The command's number; 0 if the application forgot it.
    pub command_number: i64,
    /// The nonce of the request; −1 if the application forgot it.
    pub nonce: Json,
}

const FIELDS: [&str; 6] = [
    "result",
    "data",
    "errorCode",
    "errorMessage",
    "command",
    "nonce",
];

impl CommandResult {
    /// What came of this request.
    #[must_use]
    pub fn of(request: &CommandRequest, level: ProtocolLevel, response: CommandResponse) -> Self {
        Self {
            result: response.result,
            verbatim_data: response.data,
            error_code: response.error_code,
            error_message: response.error_message,
            command_number: request.answered_number(level),
            nonce: request.nonce.clone(),
        }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`Anomaly::Payload`] if it is no object (a 0.9.11 application can publish a debug print, Q12) or has no `result`.
    pub fn parse(payload: &Bytes, limits: &Limits) -> Result<Self, Anomaly> {
        let json = parse(payload, limits).map_err(|_| Anomaly::Payload)?;
        let fields = Fields::find(&json, &FIELDS, |_, _| {}).ok_or(Anomaly::Payload)?;
        if !fields.has(0) {
            return Err(Anomaly::Payload);
        }
        Ok(Self {
            result: fields
                .integer(0)
                .map_or(ResultCode::Failed, ResultCode::from_value),
            verbatim_data: fields.value(1).unwrap_or_default(),
            error_code: fields.integer(2).unwrap_or(0),
            error_message: fields.string(3),
            command_number: fields.integer(4).unwrap_or(0),
            nonce: fields
                .value(5)
                .unwrap_or_else(|| serde_json::Value::from(-1).into()),
        })
    }

    /// The payload. There is no `errorKind` here.
    #[must_use]
    pub fn to_payload(&self) -> Bytes {
        self.to_text().into()
    }

    /// The payload's text, with room for a number.
    pub(crate) fn to_text(&self) -> String {
        let room = 128 + sequence::FIELD_BYTES_MAX;
        let mut out = String::with_capacity(room + self.verbatim_data.as_str().len());
        ObjectWriter::new(&mut out)
            .integer("result", self.result.value())
            .value("data", &self.verbatim_data)
            .integer("errorCode", self.error_code)
            .optional_string("errorMessage", self.error_message.as_deref())
            .integer("command", self.command_number)
            .value("nonce", &self.nonce)
            .end();
        out
    }

    /// The nonce as the clients of this crate choose them; `None` if it is no such number.
    #[must_use]
    pub fn nonce_number(&self) -> Option<u64> {
        self.nonce.as_str().parse().ok()
    }

    /// The data, its keys in snake_case at every level; values are untouched.
    #[must_use]
    pub fn data(&self) -> Json {
        decamelize_keys(&self.verbatim_data)
    }
}
