//! The `data` of a command as the plain request that it is.

use autotrainer_api::CommandRequest;
use nodewire_core::NodeError;
use nodewire_json::{Json, Kind};

use crate::plain::PlainRequest;

/// Members whose names this wire writes in snake_case, too. spec: autotrainer 6.5
const SPELLINGS: [(&str, &str); 2] = [("timeout_ms", "timeoutMs"), ("caller_id", "callerId")];

/// Reads the data; none is an empty request. Names of ports are data, so their casing stays as it is.
///
/// # Errors
/// As [`PlainRequest::parse`].
pub(super) fn read(request: &CommandRequest) -> Result<PlainRequest, NodeError> {
    let data = &request.verbatim_data;
    match data.kind() {
        Kind::Null => Ok(PlainRequest::default()),
        Kind::Object => {
            let data = with_plain_names(data);
            PlainRequest::parse(&data.substring(data.as_str()))
        }
        Kind::Bool | Kind::Number | Kind::String | Kind::Array => Err(NodeError::invalid_input(
            "`data` must be an object with inputs and parameters",
        )),
    }
}

/// The same object with the plain names; most have them already, and long data is not taken apart for that.
fn with_plain_names(data: &Json) -> Json {
    let text = data.as_str();
    if !SPELLINGS.iter().any(|(snake, _)| text.contains(snake)) {
        return data.clone();
    }
    let members = data.entries().unwrap_or_default();
    Json::object(members.iter().map(|(name, value)| {
        let plain = SPELLINGS.iter().find(|(snake, _)| snake == name);
        (
            plain.map_or(name.as_str(), |(_, plain)| plain),
            value.clone(),
        )
    }))
}

/// The `customCommand`; `None` if there is none.
///
/// # Errors
/// If it is no whole number.
pub(super) fn custom_command(request: &CommandRequest) -> Result<Option<i64>, NotANumber> {
    let custom = &request.custom_command;
    if custom.is_null() {
        return Ok(None);
    }
    match custom.decode::<i64>() {
        Ok(-1) => Ok(None),
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(NotANumber),
    }
}

/// A `customCommand` that nothing here has.
#[derive(Debug)]
pub(super) struct NotANumber;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use autotrainer_api::ProtocolLevel;
    use bytes::Bytes;

    use super::*;

    fn request(data: &str) -> CommandRequest {
        let frame = Bytes::from(format!(
            r#"{{"command": 99999, "nonce": 1, "data": {data}}}"#
        ));
        CommandRequest::from_frames(&[frame], ProtocolLevel::NEWEST, &Default::default()).unwrap()
    }

    #[test]
    fn both_spellings_are_read_and_names_of_ports_stay() {
        let text =
            r#"{"timeout_ms": 5, "caller_id": "me", "inputs": {"somePort": 1, "other_port": 2}}"#;
        let read = read(&request(text)).unwrap();
        assert_eq!(read.timeout, Some(Duration::from_millis(5)));
        assert_eq!(read.caller_id.as_deref(), Some("me"));
        let inputs = read.inputs.unwrap();
        assert!(inputs.get("somePort").is_some() && inputs.get("other_port").is_some());
    }

    #[test]
    fn null_is_empty_and_lists_are_no_requests() {
        assert_eq!(read(&request("null")).unwrap(), PlainRequest::default());
        assert!(read(&request("[1]")).is_err());
    }
}
