//! What callers are answered. Codes are HTTP's, as those of NATS services usually are.

use autotrainer_api::{CallError, CommandAnswer, CommandResult, Json, ResultCode};
use bytes::Bytes;
use nats_micro::{Reply, Response, ServiceError};

use crate::device::show;
use crate::failure::chain;

pub(super) const REQUEST_ID_HEADER: &str = "Nodewire-Request-Id";
pub(super) const RESULT_HEADER: &str = "Nodewire-Result";
/// The nonce by which the late result can be told among the device's.
pub(super) const DEVICE_NONCE_HEADER: &str = "Nodewire-Device-Nonce";
/// `pending` in an answer that a result follows, `late` in that result.
pub(super) const FOLLOWS_HEADER: &str = "Nodewire-Follow-Up";

/// Whose request, and with which nonce its answers go back.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) request_id: String,
    pub(super) nonce: Option<Json>,
}

impl Caller {
    /// The device's answer with the caller's own nonce.
    pub(super) fn answer(&self, answer: &CommandAnswer, is_pending: bool) -> Response {
        let nonce = self.nonce.clone().unwrap_or_else(|| answer.nonce.clone());
        let members = [
            ("nonce", nonce),
            ("command", show::value(answer.command_number)),
            ("result", show::value(answer.result)),
            ("data", answer.verbatim_data.clone()),
            ("errorKind", show::value(answer.error_kind)),
            ("errorCode", show::value(answer.error_code)),
            ("errorMessage", show::value(&answer.error_message)),
        ];
        let payload = Json::object(members).into_bytes();
        let mut headers = vec![(DEVICE_NONCE_HEADER, answer.nonce.as_str().to_owned())];
        if is_pending {
            headers.push((FOLLOWS_HEADER, "pending".to_owned()));
        }
        self.response(
            answer.result,
            answer.error_message.as_deref(),
            payload,
            headers,
        )
    }

    /// What came of it in the end.
    pub(super) fn late(&self, result: &CommandResult) -> Response {
        let mut told = result.clone();
        if let Some(nonce) = &self.nonce {
            told.nonce.clone_from(nonce);
        }
        let headers = vec![
            (DEVICE_NONCE_HEADER, result.nonce.as_str().to_owned()),
            (FOLLOWS_HEADER, "late".to_owned()),
        ];
        self.response(
            result.result,
            result.error_message.as_deref(),
            told.to_payload(),
            headers,
        )
    }

    /// An error of the bridge: there is no answer of the device.
    pub(super) fn refuse(&self, code: u32, why: &str) -> Response {
        let error = ServiceError::new(code, why);
        self.with_headers(Response::Error(error), Vec::new())
    }

    pub(super) fn failed(&self, error: &CallError) -> Response {
        let unsent = if error.is_unsent() {
            "not-sent"
        } else {
            "unknown"
        };
        let response = Response::Error(ServiceError::new(code_of(error), chain(error)));
        // Whether the command can have been carried out.
        self.with_headers(response, vec![("Nodewire-Sent", unsent.to_owned())])
    }

    fn response(
        &self,
        result: ResultCode,
        message: Option<&str>,
        payload: Bytes,
        mut headers: Vec<(&'static str, String)>,
    ) -> Response {
        headers.push((RESULT_HEADER, result.to_string()));
        let response = match error_code(result) {
            None => Response::Reply(Reply::new(payload)),
            Some(code) => {
                let why = message.map_or_else(|| result.to_string(), str::to_owned);
                Response::Error(ServiceError::new(code, why).with_payload(payload))
            }
        };
        self.with_headers(response, headers)
    }

    fn with_headers(
        &self,
        mut response: Response,
        headers: Vec<(&'static str, String)>,
    ) -> Response {
        if let Some(all) = response.headers_mut() {
            all.insert(REQUEST_ID_HEADER, self.request_id.as_str());
            for (name, value) in headers {
                all.insert(name, show::one_line(&value).replace('\r', " "));
            }
        }
        response
    }
}

/// `None` for what is no error.
const fn error_code(result: ResultCode) -> Option<u32> {
    match result {
        ResultCode::Success | ResultCode::Pending | ResultCode::PendingWithNotification => None,
        ResultCode::Unrecognized => Some(404),
        ResultCode::Failed => Some(422),
        ResultCode::Unavailable => Some(503),
        ResultCode::Exception | ResultCode::Unknown(_) => Some(500),
    }
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a release of the library adds is an error of the bridge"
)]
const fn code_of(error: &CallError) -> u32 {
    match error {
        CallError::NotUnderstood | CallError::Encode(_) => 400,
        CallError::UnknownCommand { .. } => 404,
        CallError::TooLong { .. } => 413,
        CallError::Busy | CallError::TooManyResults => 429,
        CallError::Response(_) => 502,
        CallError::Unreachable { .. } | CallError::Closed => 503,
        CallError::TimedOut | CallError::ConnectionLost => 504,
        _ => 500,
    }
}
