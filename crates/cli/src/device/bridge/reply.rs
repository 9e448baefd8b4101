//! What callers are answered. Codes are HTTP's, as those of NATS services usually are.

use autotrainer_api::{CallError, CommandAnswer, CommandResult, Json, ResultCode};
use bytes::Bytes;
use nats_micro::{Reply, Response, ServiceError};

use super::fitting::{TEXT_BYTES_MAX, cut, size_bytes};
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

/// How much of an answer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    /// No data, and of the message the beginning.
    Brief,
    /// Only what the headers say: a nonce can be long.
    Headers,
}

/// The device's words, before it is known whether they fit.
struct Words<'a> {
    result: ResultCode,
    message: Option<&'a str>,
    device_nonce: &'a Json,
    follow_up: Option<&'static str>,
}

impl Caller {
    /// The device's answer with the caller's own nonce. What is longer than the server takes is told without its data, as 413.
    pub(super) fn answer(
        &self,
        answer: &CommandAnswer,
        is_pending: bool,
        bytes_max: usize,
    ) -> Response {
        let words = Words {
            result: answer.result,
            message: answer.error_message.as_deref(),
            device_nonce: &answer.nonce,
            follow_up: is_pending.then_some("pending"),
        };
        self.fitting(&words, bytes_max, |extent| {
            let nonce = self.nonce.clone().unwrap_or_else(|| answer.nonce.clone());
            let data = match extent {
                Extent::Whole => answer.verbatim_data.clone(),
                Extent::Brief | Extent::Headers => Json::null(),
            };
            let members = [
                ("nonce", nonce),
                ("command", show::value(answer.command_number)),
                ("result", show::value(answer.result)),
                ("data", data),
                ("errorKind", show::value(answer.error_kind)),
                ("errorCode", show::value(answer.error_code)),
                ("errorMessage", show::value(words.message_of(extent))),
            ];
            Json::object(members).into_bytes()
        })
    }

    /// What came of it in the end; otherwise as [`answer`](Self::answer).
    pub(super) fn late(&self, result: &CommandResult, bytes_max: usize) -> Response {
        let words = Words {
            result: result.result,
            message: result.error_message.as_deref(),
            device_nonce: &result.nonce,
            follow_up: Some("late"),
        };
        self.fitting(&words, bytes_max, |extent| {
            let mut told = result.clone();
            if let Some(nonce) = &self.nonce {
                told.nonce.clone_from(nonce);
            }
            if extent != Extent::Whole {
                told.verbatim_data = Json::null();
            }
            told.error_message = words.message_of(extent);
            told.to_payload()
        })
    }

    /// An error of the bridge: there is no answer of the device.
    pub(super) fn refuse(&self, code: u32, why: &str) -> Response {
        let error = ServiceError::new(code, cut(why));
        self.with_headers(Response::Error(error), Vec::new())
    }

    pub(super) fn failed(&self, error: &CallError) -> Response {
        let unsent = if error.is_unsent() {
            "not-sent"
        } else {
            "unknown"
        };
        let response = Response::Error(ServiceError::new(code_of(error), cut(&chain(error))));
        // Whether the command can have been carried out.
        self.with_headers(response, vec![("Nodewire-Sent", unsent.to_owned())])
    }

    /// As much of it as the server takes.
    fn fitting(
        &self,
        words: &Words<'_>,
        bytes_max: usize,
        payload: impl Fn(Extent) -> Bytes,
    ) -> Response {
        let whole = self.response(words, Extent::Whole, payload(Extent::Whole));
        if size_bytes(&whole) <= bytes_max {
            return whole;
        }
        let brief = self.response(words, Extent::Brief, payload(Extent::Brief));
        if size_bytes(&brief) <= bytes_max {
            return brief;
        }
        self.response(words, Extent::Headers, Bytes::new())
    }

    fn response(&self, words: &Words<'_>, extent: Extent, payload: Bytes) -> Response {
        let device_nonce = words.device_nonce.as_str();
        let mut headers = vec![(RESULT_HEADER, words.result.to_string())];
        // Ours are short; a device that answers with another one is not to make this too long again.
        if extent == Extent::Whole || device_nonce.len() <= TEXT_BYTES_MAX {
            headers.push((DEVICE_NONCE_HEADER, device_nonce.to_owned()));
        }
        headers.extend(
            words
                .follow_up
                .map(|value| (FOLLOWS_HEADER, value.to_owned())),
        );
        let response = match (extent, error_code(words.result)) {
            (Extent::Brief | Extent::Headers, _) => {
                let error = ServiceError::new(413, words.too_large());
                Response::Error(error.with_payload(payload))
            }
            (Extent::Whole, None) => Response::Reply(Reply::new(payload)),
            (Extent::Whole, Some(code)) => {
                let why = words
                    .message
                    .map_or_else(|| words.result.to_string(), str::to_owned);
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

impl Words<'_> {
    fn message_of(&self, extent: Extent) -> Option<String> {
        self.message.map(|message| match extent {
            Extent::Whole => message.to_owned(),
            Extent::Brief | Extent::Headers => cut(message),
        })
    }

    fn too_large(&self) -> String {
        format!(
            "the device's answer ({}) is too large for the server, so its data is left out",
            self.result
        )
    }
}

/// Whether the data of an answer was left out.
pub(super) fn is_cut(response: &Response) -> bool {
    let error = response.error();
    error.is_some_and(|error| {
        error.code() == Some(413) && error.headers().get(RESULT_HEADER).is_some()
    })
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
