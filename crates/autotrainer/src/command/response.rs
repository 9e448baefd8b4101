//! Responses: what a handler answers, how that is written, and how a client reads it. spec: autotrainer 8

use bytes::Bytes;
use nodewire_json::{DecodeError, Json};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::{CommandRequest, ErrorKind, ResultCode};
use crate::casing::{camelize_keys, decamelize_keys};
use crate::json::{Fields, JsonError, Limits, ObjectWriter, encode, parse};
use crate::level::ProtocolLevel;

/// What a handler answers.
///
/// ```
/// use autotrainer_api::{CommandResponse, ResultCode};
///
/// let response = CommandResponse::new(ResultCode::Failed).with_error(42, "Motor not ready");
/// let done = CommandResponse::success().with_data(&serde_json::json!({"seen_at": 3}));
/// # let _ = (response, done);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandResponse {
    /// How it went.
    pub result: ResultCode,
    /// The data as it will be on the wire; null if there is none.
    pub data: Json,
    /// 0 if there is no error.
    pub error_code: i64,
    /// What to tell a person.
    pub error_message: Option<String>,
    data_failed: bool,
}

impl CommandResponse {
    /// What a service says if the data has no JSON form.
    pub const DATA_FAILED_MESSAGE: &'static str =
        "An error occurred serializing the 'data' element of the response.";

    /// An answer without data.
    #[must_use]
    pub const fn new(result: ResultCode) -> Self {
        Self {
            result,
            data: Json::null(),
            error_code: 0,
            error_message: None,
            data_failed: false,
        }
    }

    /// It was done.
    #[must_use]
    pub const fn success() -> Self {
        Self::new(ResultCode::Success)
    }

    /// What is answered where nobody handles commands, or not now.
    #[must_use]
    pub const fn unavailable() -> Self {
        Self::new(ResultCode::Unavailable)
    }

    /// What is answered for a handler that failed; the message goes to the client as it is.
    #[must_use]
    pub fn exception(message: impl Into<String>) -> Self {
        let mut response = Self::new(ResultCode::Exception);
        response.error_message = Some(message.into());
        response
    }

    /// With this data, its keys in camelCase. Data that has no JSON form is answered as the peers do: the result stays,
    /// the data is null, the error kind is `SYSTEM_ERROR` and the code 0. spec: autotrainer 8.3
    #[must_use]
    pub fn with_data(self, data: &impl Serialize) -> Self {
        match encode(data) {
            Ok(data) => self.with_verbatim_data(camelize_keys(&data)),
            Err(_) => self.with_failed_data(),
        }
    }

    /// With data whose keys are data too, and stay as they are. spec: autotrainer 6.5 (5)
    #[must_use]
    pub fn with_verbatim_data(mut self, data: Json) -> Self {
        self.data = data;
        self
    }

    /// With an error. A code other than 0 makes it a `COMMAND_ERROR`, whatever the result.
    #[must_use]
    pub fn with_error(mut self, code: i64, message: impl Into<String>) -> Self {
        self.error_code = code;
        self.error_message = Some(message.into());
        self
    }

    /// As if the data had no JSON form.
    #[must_use]
    pub fn with_failed_data(self) -> Self {
        Self {
            error_message: Some(Self::DATA_FAILED_MESSAGE.to_owned()),
            data_failed: true,
            ..Self::new(self.result)
        }
    }

    /// Whether the data had no JSON form, which a service should log.
    #[must_use]
    pub const fn has_failed_data(&self) -> bool {
        self.data_failed
    }

    /// Where the error comes from. spec: autotrainer 8.1
    #[must_use]
    pub const fn error_kind(&self) -> ErrorKind {
        if self.data_failed {
            ErrorKind::SystemError
        } else if self.error_code != 0 {
            ErrorKind::CommandError
        } else {
            ErrorKind::None
        }
    }

    /// The frame that answers this request.
    #[must_use]
    pub fn to_frame(&self, request: &CommandRequest, level: ProtocolLevel) -> Bytes {
        self.write(&request.nonce, request.answered_number(level))
    }

    fn write(&self, nonce: &Json, command_number: i64) -> Bytes {
        let mut out = String::with_capacity(128 + self.data.as_str().len());
        ObjectWriter::new(&mut out)
            .value("nonce", nonce)
            .integer("command", command_number)
            .integer("result", self.result.value())
            .value("data", &self.data)
            .integer("errorKind", self.error_kind().value())
            .integer("errorCode", self.error_code)
            .optional_string("errorMessage", self.error_message.as_deref())
            .end();
        out.into()
    }
}

/// The frame that answers a request which could not be read; nonce 0 marks it. spec: autotrainer 7.3
#[must_use]
pub fn unreadable_answer() -> Bytes {
    let nonce = Json::from(serde_json::Value::from(0));
    CommandResponse::new(ResultCode::Unrecognized).write(&nonce, 0)
}

/// A response, as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandAnswer {
    /// The nonce of the request.
    pub nonce: Json,
    /// The command's number, as the service understood it.
    pub command_number: Option<i64>,
    /// How it went. A service may write anything here; what is no integer counts as [`ResultCode::Failed`].
    pub result: ResultCode,
    /// The data as it is on the wire.
    pub verbatim_data: Json,
    /// Where an error comes from.
    pub error_kind: ErrorKind,
    /// The error's code.
    pub error_code: i64,
    /// What to tell a person.
    pub error_message: Option<String>,
    /// Whether text and numbers lost parts on the way (0.9.13 and older). spec: autotrainer 6.3
    pub is_lossy: bool,
    /// Fields that were missing or had another type; they have their defaults.
    pub odd_fields: Vec<ResponseField>,
}

/// The fields of a response, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "the fields are those of the protocol, and named as there"
)]
pub enum ResponseField {
    Nonce,
    Command,
    Result,
    Data,
    ErrorKind,
    ErrorCode,
    ErrorMessage,
}

const FIELDS: [&str; 7] = [
    "nonce",
    "command",
    "result",
    "data",
    "errorKind",
    "errorCode",
    "errorMessage",
];

impl CommandAnswer {
    /// Reads the frames of a response from a service of this level, the delimiter aside.
    ///
    /// # Errors
    /// If it is no JSON object. Odd fields are told in [`Self::odd_fields`], since somebody waits for the answer.
    pub fn from_frames(
        frames: &[Bytes],
        level: ProtocolLevel,
        limits: &Limits,
    ) -> Result<Self, ResponseError> {
        let [frame] = frames else {
            return Err(ResponseError::FrameCount(frames.len()));
        };
        let json = parse(frame, limits)?;
        let fields = Fields::find(&json, &FIELDS, |_, _| {}).ok_or(ResponseError::NotAnObject)?;
        let mut odd_fields = Vec::new();
        let mut integer = |place, field| {
            let value = fields.integer(place);
            if value.is_none() {
                odd_fields.push(field);
            }
            value
        };
        let command_number = integer(1, ResponseField::Command);
        let result = integer(2, ResponseField::Result);
        let error_kind = integer(4, ResponseField::ErrorKind);
        let error_code = integer(5, ResponseField::ErrorCode);
        let missing = [
            (0, ResponseField::Nonce),
            (3, ResponseField::Data),
            (6, ResponseField::ErrorMessage),
        ];
        odd_fields.extend(
            missing
                .iter()
                .filter(|(place, _)| !fields.has(*place))
                .map(|(_, field)| *field),
        );
        Ok(Self {
            nonce: fields.value(0).unwrap_or_default(),
            command_number,
            result: result.map_or(ResultCode::Failed, ResultCode::from_value),
            verbatim_data: fields.value(3).unwrap_or_default(),
            error_kind: ErrorKind::from_value(error_kind.unwrap_or(0)),
            error_code: error_code.unwrap_or(0),
            error_message: fields.string(6),
            is_lossy: level.has_lossy_responses(),
            odd_fields,
        })
    }

    /// The nonce as the clients of this crate choose them; `None` if it is no such number.
    #[must_use]
    pub fn nonce_number(&self) -> Option<u64> {
        self.nonce.as_str().parse().ok()
    }

    /// Whether this says that a request could not be read; a 0.12.0 service answers `NONE` so too (Q15).
    #[must_use]
    pub fn is_unreadable_answer(&self) -> bool {
        self.nonce.as_str() == "0" && self.result == ResultCode::Unrecognized
    }

    /// Whether the data is what the handler answered; if not, it was lost on the way (Q17).
    #[must_use]
    pub fn has_data(&self) -> bool {
        self.error_kind != ErrorKind::SystemError
    }

    /// The data, its keys in snake_case at every level; values are untouched.
    #[must_use]
    pub fn data(&self) -> Json {
        decamelize_keys(&self.verbatim_data)
    }

    /// The data as one of the documented payloads.
    ///
    /// # Errors
    /// If it does not have that shape.
    pub fn decode_data<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.verbatim_data.decode()
    }
}

/// Why a response cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// Not exactly one frame.
    #[error("a response is one frame, not {0}")]
    FrameCount(usize),
    /// No JSON, or beyond the limits.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON, but no object.
    #[error("a response is a JSON object")]
    NotAnObject,
}
