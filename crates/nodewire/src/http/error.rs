//! What can go wrong, and how the wire says it. The table is in the [module](super).

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use nodewire_core::{DropReason, NodeError, NodeErrorKind, Refusal, RefusalKind};
use nodewire_json::Json;

use crate::plain;

/// Why plain HTTP did not start. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}; is it free, and this machine's?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The token is empty.
    #[error(
        "the token is empty: leave it out for a random one, or take everybody with `access(Access::Open)`"
    )]
    EmptyToken,
    /// The token cannot be in a header.
    #[error(
        "the token cannot be sent: it must have no control characters, and no blanks at its ends"
    )]
    UnusableToken,
}

/// An error as an answer.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    body: Json,
}

impl Problem {
    /// An error of the wire's own.
    pub(crate) fn new(status: StatusCode, kind: &str, message: &str) -> Self {
        let error = Json::object([("kind", Json::from(kind)), ("message", Json::from(message))]);
        Self {
            status,
            body: Json::object([("error", error)]),
        }
    }

    /// An error in the words of another protocol.
    #[cfg(feature = "mcp")]
    pub(crate) fn with_body(status: StatusCode, body: Json) -> Self {
        Self { status, body }
    }

    /// A body that is too large.
    pub(crate) fn too_large(max: usize) -> Self {
        let text = format!("the body is larger than {max} bytes; pass large values as assets");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &text)
    }

    /// A body that took longer than this to arrive.
    pub(crate) fn too_slow(time: Duration) -> Self {
        let ms = time.as_millis();
        let text = format!("the body took longer than {ms} ms to arrive");
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", &text)
    }
}

impl From<NodeError> for Problem {
    fn from(error: NodeError) -> Self {
        Self {
            status: node_status(error.kind()),
            body: plain::failure(&error),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self {
            status: refusal_status(refusal.kind()),
            body: plain::refusal(&refusal),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = json(self.status, self.body);
        let header = match self.status {
            StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer")),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Some((RETRY_AFTER, "1"))
            }
            _ => None,
        };
        if let Some((name, value)) = header {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// An answer of JSON.
pub(super) fn json(status: StatusCode, body: Json) -> Response {
    let content_type = [(CONTENT_TYPE, "application/json")];
    (status, content_type, body.into_bytes()).into_response()
}

/// The error that an execution was dropped with.
pub(crate) fn dropped(reason: DropReason) -> NodeError {
    let kind = match reason {
        DropReason::DeadlinePassed => NodeErrorKind::Deadline,
        DropReason::Shutdown => NodeErrorKind::Unavailable,
    };
    NodeError::new(kind, format!("the execution was dropped: {reason}"))
}

fn node_status(kind: NodeErrorKind) -> StatusCode {
    match kind {
        NodeErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        NodeErrorKind::NotFound => StatusCode::NOT_FOUND,
        NodeErrorKind::Cancelled => cancelled_status(),
        NodeErrorKind::Deadline => StatusCode::GATEWAY_TIMEOUT,
        NodeErrorKind::Overloaded => StatusCode::TOO_MANY_REQUESTS,
        NodeErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        NodeErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        NodeErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn refusal_status(kind: RefusalKind) -> StatusCode {
    match kind {
        RefusalKind::UnknownNode => StatusCode::NOT_FOUND,
        RefusalKind::QueueFull | RefusalKind::TooManyInFlight => StatusCode::TOO_MANY_REQUESTS,
        RefusalKind::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        RefusalKind::DeadlinePassed => StatusCode::GATEWAY_TIMEOUT,
        RefusalKind::InvalidInput => StatusCode::BAD_REQUEST,
    }
}

/// 499 has no name in the standard, and is widely known as this.
fn cancelled_status() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::CONFLICT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_status() {
        let statuses = NodeErrorKind::ALL.map(|kind| (kind.name(), node_status(kind).as_u16()));
        assert_eq!(
            statuses,
            [
                ("invalid_input", 400),
                ("not_found", 404),
                ("cancelled", 499),
                ("deadline", 504),
                ("overloaded", 429),
                ("unsupported", 501),
                ("unavailable", 503),
                ("internal", 500),
            ]
        );
        let statuses = RefusalKind::ALL.map(|kind| (kind.name(), refusal_status(kind).as_u16()));
        assert_eq!(
            statuses,
            [
                ("unknown_node", 404),
                ("queue_full", 429),
                ("too_many_in_flight", 429),
                ("shutting_down", 503),
                ("deadline_passed", 504),
                ("invalid_input", 400),
            ]
        );
    }
}
