//! Requests, as a service reads them. spec: autotrainer 7

use std::borrow::Cow;

use bytes::Bytes;
use nodewire_json::{DecodeError, Json, Kind, ValueRef, members};
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::Command;
use crate::casing::{decamelize, decamelize_keys};
use crate::json::{JsonError, Limits, integer, parse_request};
use crate::level::ProtocolLevel;

/// A request that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRequest {
    /// What is asked for; [`Command::UserDefined`] if the level does not know it.
    pub command: Command,
    /// What the request says; a peer loses this if it does not know it (Q13).
    pub raw_command: Json,
    /// The application's own command; −1 if there is none.
    pub custom_command: Json,
    /// What the answer must carry; 0 if there is none.
    pub nonce: Json,
    /// The data as it was sent; null if there is none.
    pub verbatim_data: Json,
}

impl CommandRequest {
    /// Reads the frames of one request, the delimiter aside.
    ///
    /// ```
    /// use autotrainer_api::{Command, CommandRequest, ProtocolLevel};
    ///
    /// let frame = bytes::Bytes::from_static(br#"{"command": 200, "nonce": 7, "data": {"camelKey": "Kept As-Is"}}"#);
    /// let request = CommandRequest::from_frames(&[frame], ProtocolLevel::NEWEST, &Default::default())?;
    /// assert_eq!(request.command, Command::EmergencyStop);
    /// assert_eq!(request.data().as_str(), r#"{"camel_key": "Kept As-Is"}"#);
    /// # Ok::<(), autotrainer_api::RequestError>(())
    /// ```
    ///
    /// # Errors
    /// If it cannot be read. It is answered all the same: [`unreadable_answer`](super::unreadable_answer).
    pub fn from_frames(
        frames: &[Bytes],
        level: ProtocolLevel,
        limits: &Limits,
    ) -> Result<Self, RequestError> {
        let [frame] = frames else {
            return Err(RequestError::FrameCount(frames.len()));
        };
        let json = parse_request(frame, limits)?;
        if json.kind() != Kind::Object {
            return Err(RequestError::NotAnObject);
        }
        let [raw_command, custom_command, nonce, data] = fields(&json);
        let raw_command = raw_command.ok_or(RequestError::NoCommand)?;
        let command = interpret(&raw_command, level)?;
        let number = |number: i64| Json::from(serde_json::Value::from(number));
        Ok(Self {
            command,
            raw_command,
            custom_command: custom_command.unwrap_or_else(|| number(-1)),
            nonce: nonce.unwrap_or_else(|| number(0)),
            verbatim_data: data.unwrap_or_default(),
        })
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

    /// The number that the answer carries: of the command as it was understood. spec: autotrainer 8.1
    #[must_use]
    pub fn answered_number(&self, level: ProtocolLevel) -> i64 {
        self.command
            .number(level)
            .unwrap_or(Command::USER_DEFINED_NUMBER)
    }
}

/// The values of the fields by their names in snake_case; the last of each. spec: autotrainer 6.5 (1)
fn fields(json: &Json) -> [Option<Json>; 4] {
    const NAMES: [&str; 4] = ["command", "custom_command", "nonce", "data"];
    let mut found: [Option<ValueRef<'_>>; 4] = [None; 4];
    // The text was checked when the value was made, so no item is an error.
    for member in members(json.as_str()).map_while(Result::ok) {
        let key = member.key();
        let place = |key: &str| NAMES.iter().position(|name| *name == key);
        let place = place(&key).or_else(|| place(&Cow::from(decamelize(&key))));
        if let Some(place) = place {
            found[place] = Some(member.value);
        }
    }
    found.map(|value| value.map(|value| json.part(value)))
}

/// What the `command` means. Only numbers are looked up; a peer takes `false` for 0 too. spec: autotrainer 7.2
fn interpret(raw: &Json, level: ProtocolLevel) -> Result<Command, RequestError> {
    match raw.kind() {
        Kind::Array | Kind::Object => Err(RequestError::CommandNoScalar),
        Kind::Number => {
            let command =
                integer(raw.as_str()).and_then(|number| Command::from_number(number, level));
            Ok(command.unwrap_or(Command::UserDefined))
        }
        Kind::Null | Kind::Bool | Kind::String => Ok(Command::UserDefined),
    }
}

/// Why a request cannot be read. spec: autotrainer 7.3
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Not exactly one frame; a peer would have died of it (Q16).
    #[error("a request is one frame, not {0}")]
    FrameCount(usize),
    /// No JSON, or beyond the limits.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON, but no object.
    #[error("a request is a JSON object")]
    NotAnObject,
    /// There is no `command`.
    #[error("the request has no \"command\"")]
    NoCommand,
    /// The `command` is an array or an object.
    #[error("the \"command\" is no number")]
    CommandNoScalar,
}

impl RequestError {
    /// All labels that [`Self::name`] gives.
    pub const NAMES: &'static [&'static str] = &[
        "frame_count",
        "too_long",
        "malformed",
        "too_deep",
        "not_an_object",
        "no_command",
        "command_no_scalar",
    ];

    /// A word for a counter's label.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::FrameCount(_) => "frame_count",
            Self::Json(JsonError::TooLong { .. }) => "too_long",
            Self::Json(JsonError::TooDeep { .. }) => "too_deep",
            Self::Json(
                JsonError::ByteOrderMark | JsonError::Malformed(_) | JsonError::NotFinite,
            ) => "malformed",
            Self::NotAnObject => "not_an_object",
            Self::NoCommand => "no_command",
            Self::CommandNoScalar => "command_no_scalar",
        }
    }
}
