//! What a caller wants, as its request says it.

use autotrainer_api::json::parse;
use autotrainer_api::{Json, Limits};
use bytes::Bytes;
use nats_micro::{Request, ServiceError};

use super::fitting::cut;
use super::policy::command;
use crate::device::asking::Asked;

pub(super) const NONCE_HEADER: &str = "Nodewire-Nonce";
pub(super) const CUSTOM_HEADER: &str = "Nodewire-Custom-Command";

/// A request that could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) asked: Asked,
    /// Sent as it is; null for none.
    pub(super) data: Json,
    /// What the caller wants its answer to carry.
    pub(super) nonce: Option<Json>,
}

impl Wanted {
    /// To `command.<NAME or number>`: the payload is the data.
    pub(super) fn of_command(request: &Request, limits: &Limits) -> Result<Self, ServiceError> {
        let word = request.subject().rsplit('.').next().unwrap_or_default();
        let header = |name| {
            let text = request.header(name).map(|text| text.as_bytes().to_vec());
            text.map(|text| read(&text.into(), limits, name))
                .transpose()
        };
        let data = match request.payload() {
            empty if empty.is_empty() => Json::null(),
            payload => read(payload, limits, "the data")?,
        };
        Ok(Self {
            asked: asked(&named(word)?, header(CUSTOM_HEADER)?.as_ref())?,
            data,
            nonce: header(NONCE_HEADER)?,
        })
    }

    /// To `request`: the payload is a whole request as devices take it; `command` may be a name.
    pub(super) fn of_request(payload: &Bytes, limits: &Limits) -> Result<Self, ServiceError> {
        let json = read(payload, limits, "the request")?;
        let members = json
            .entries()
            .ok_or_else(|| bad("the request is no object"))?;
        let last = |names: [&str; 2]| {
            let mut found = members.iter().rev();
            found
                .find(|(name, _)| names.contains(&name.as_str()))
                .map(|(_, value)| value.clone())
        };
        let command =
            last(["command", "command"]).ok_or_else(|| bad("the request has no command"))?;
        let command = match command.string() {
            Some(name) => named(&name)?,
            None => Asked::Number(integer(&command, "the command")?),
        };
        let custom = last(["custom_command", "customCommand"]);
        Ok(Self {
            asked: asked(&command, custom.as_ref())?,
            data: last(["data", "data"]).unwrap_or_default(),
            nonce: last(["nonce", "nonce"]),
        })
    }
}

fn asked(command: &Asked, custom: Option<&Json>) -> Result<Asked, ServiceError> {
    let is_custom = matches!(
        command,
        Asked::Command(autotrainer_api::Command::UserDefined)
            | Asked::Number(autotrainer_api::Command::USER_DEFINED_NUMBER)
    );
    match custom {
        Some(custom) if is_custom => Ok(Asked::Custom(integer(custom, "the custom command")?)),
        Some(_) | None => Ok(*command),
    }
}

/// By its whole name, or its number.
fn named(word: &str) -> Result<Asked, ServiceError> {
    if let Ok(number) = word.parse() {
        return Ok(Asked::Number(number));
    }
    let command = command(word);
    command
        .map(Asked::Command)
        .map_err(|_| ServiceError::new(404, cut(&format!("no command is called {word:?}"))))
}

fn integer(json: &Json, what: &str) -> Result<i64, ServiceError> {
    let number = json.as_str().trim().parse();
    number.map_err(|_| bad(&format!("{what} is no integer of 64 bits")))
}

fn read(text: &Bytes, limits: &Limits, what: &str) -> Result<Json, ServiceError> {
    parse(text, limits).map_err(|error| bad(&format!("{what} cannot be read: {error}")))
}

fn bad(why: &str) -> ServiceError {
    ServiceError::new(400, cut(why))
}

#[cfg(test)]
mod tests {
    use autotrainer_api::Command;

    use super::*;

    fn wanted(text: &'static str) -> Result<Wanted, String> {
        let payload = Bytes::from_static(text.as_bytes());
        Wanted::of_request(&payload, &Limits::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn whole_requests() {
        let asked = |text| wanted(text).unwrap().asked;
        let status = Asked::Command(Command::GetStatus);
        assert_eq!(asked(r#"{"command": "GET_STATUS"}"#), status);
        assert_eq!(asked(r#"{"command": 400}"#), Asked::Number(400));
        let custom = r#"{"command": 99999, "customCommand": 7}"#;
        assert_eq!(asked(custom), Asked::Custom(7));
        let full = wanted(r#"{"command": 400, "nonce": "a b", "data": {"aB": 1.0}}"#).unwrap();
        assert_eq!(full.nonce.unwrap().as_str(), r#""a b""#);
        assert_eq!(full.data.as_str(), r#"{"aB": 1.0}"#);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (text, why) in [
            ("", "400"),
            ("{", "400"),
            ("[]", "400:the request is no object"),
            ("{}", "400:the request has no command"),
            (r#"{"command": 1.5}"#, "400:the command is no integer"),
            (r#"{"command": "FLY"}"#, "404"),
            (r#"{"command": 99999, "custom_command": "x"}"#, "400"),
        ] {
            let error = wanted(text).unwrap_err();
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }
}
