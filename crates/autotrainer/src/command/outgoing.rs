//! Requests, as a client writes them. spec: autotrainer 6.5 (3), 7

use std::num::NonZeroU64;

use bytes::Bytes;
use nodewire_json::Json;
use serde::Serialize;

use super::Command;
use crate::casing::decamelize_keys;
use crate::json::{EncodeError, encode, escape_for_text_mode};
use crate::level::ProtocolLevel;

/// A request to a service of any version.
///
/// Its text is written so that nothing in it changes on the way, although Python services rewrite every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingRequest {
    /// The command's number at the service's level.
    pub command_number: i64,
    /// The application's own command, for [`Command::UserDefined`].
    pub custom_command: Option<Json>,
    /// What the answer will carry. 0 would mark an unreadable request; choose at random, below 2^53.
    pub nonce: NonZeroU64,
    /// The data as it is sent; null is left out.
    pub data: Json,
}

impl OutgoingRequest {
    /// A request for this command; `None` if services of this level do not have it.
    ///
    /// ```
    /// use std::num::NonZeroU64;
    /// use autotrainer_api::{Command, OutgoingRequest, ProtocolLevel};
    ///
    /// let request = OutgoingRequest::new(Command::EmergencyStop, ProtocolLevel::NEWEST, NonZeroU64::MIN);
    /// let request = request.unwrap().with_data(&serde_json::json!({"userName": "Ada L"}))?;
    /// assert_eq!(
    ///     request.to_frame(),
    ///     r#"{"command":200,"nonce":1,"data":{"user_name":"\u0041da\u0020\u004c"}}"#
    /// );
    /// # Ok::<(), autotrainer_api::json::EncodeError>(())
    /// ```
    #[must_use]
    pub fn new(command: Command, level: ProtocolLevel, nonce: NonZeroU64) -> Option<Self> {
        command
            .number(level)
            .map(|number| Self::numbered(number, nonce))
    }

    /// A request for a command by number, known or not.
    #[must_use]
    pub fn numbered(command_number: i64, nonce: NonZeroU64) -> Self {
        Self {
            command_number,
            custom_command: None,
            nonce,
            data: Json::null(),
        }
    }

    /// A request for a command of the application's own.
    #[must_use]
    pub fn custom(custom_command: i64, nonce: NonZeroU64) -> Self {
        Self {
            custom_command: Some(serde_json::Value::from(custom_command).into()),
            ..Self::numbered(Command::USER_DEFINED_NUMBER, nonce)
        }
    }

    /// A request for a command that has a name instead of a number, which the protocol does not know.
    #[must_use]
    pub fn named(custom_command: &str, nonce: NonZeroU64) -> Self {
        Self {
            custom_command: Some(serde_json::Value::from(custom_command).into()),
            ..Self::numbered(Command::USER_DEFINED_NUMBER, nonce)
        }
    }

    /// With this data, its keys in snake_case.
    ///
    /// # Errors
    /// If the value has no JSON form.
    pub fn with_data(mut self, data: &impl Serialize) -> Result<Self, EncodeError> {
        self.data = decamelize_keys(&encode(data)?);
        Ok(self)
    }

    /// With data whose keys are data too, and arrive as they are. spec: autotrainer 6.5 (5)
    #[must_use]
    pub fn with_verbatim_data(mut self, data: Json) -> Self {
        self.data = data;
        self
    }

    /// The one frame of the request.
    #[must_use]
    pub fn to_frame(&self) -> Bytes {
        let mut text = format!(r#"{{"command":{}"#, self.command_number);
        if let Some(custom_command) = &self.custom_command {
            text.push_str(r#","custom_command":"#);
            text.push_str(&escape_for_text_mode(custom_command));
        }
        text.push_str(&format!(r#","nonce":{}"#, self.nonce));
        if !self.data.is_null() {
            text.push_str(r#","data":"#);
            text.push_str(&escape_for_text_mode(&self.data));
        }
        text.push('}');
        text.into()
    }
}
