//! What can go wrong, and how the wire says it. The table is in the [module](super).

use nats_micro::{AddServiceError, ServiceError};
use nodewire_core::{DropReason, NodeError, NodeErrorKind, Refusal, RefusalKind};
use nodewire_json::Json;

use crate::plain;

/// Bytes of an error's text in a header; the body has all of it.
const DESCRIPTION_LENGTH_MAX: usize = 1024;

/// Why the NATS wire did not start. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// The broker cannot be reached, or refused us.
    #[error(
        "cannot connect to the NATS server; is it running, and are address and credentials right?"
    )]
    Connect(#[source] async_nats::ConnectError),
    /// The service did not start.
    #[error("the NATS service cannot start")]
    Service(#[from] AddServiceError),
    /// Two nodes would have the same subject.
    #[error(
        "nodes `{first}` and `{second}` would both be served on {subject:?}; give one another uid"
    )]
    SameSubject {
        /// A node.
        first: String,
        /// Another one.
        second: String,
        /// The subject.
        subject: String,
    },
}

/// The code of an error.
pub(super) const fn node_code(kind: NodeErrorKind) -> u32 {
    match kind {
        NodeErrorKind::InvalidInput => 400,
        NodeErrorKind::NotFound => 404,
        NodeErrorKind::Deadline => 408,
        NodeErrorKind::Overloaded => 429,
        NodeErrorKind::Cancelled => 499,
        NodeErrorKind::Internal => 500,
        NodeErrorKind::Unsupported => 501,
        NodeErrorKind::Unavailable => 503,
    }
}

/// The code of a refusal.
pub(super) const fn refusal_code(kind: RefusalKind) -> u32 {
    match kind {
        RefusalKind::InvalidInput => 400,
        RefusalKind::UnknownNode => 404,
        RefusalKind::DeadlinePassed => 408,
        RefusalKind::QueueFull | RefusalKind::TooManyInFlight => 429,
        RefusalKind::ShuttingDown => 503,
    }
}

/// The error that an execution was dropped with.
pub(super) fn dropped(reason: DropReason) -> NodeError {
    let kind = match reason {
        DropReason::DeadlinePassed => NodeErrorKind::Deadline,
        DropReason::Shutdown => NodeErrorKind::Unavailable,
    };
    NodeError::new(kind, format!("the execution was dropped: {reason}"))
}

/// The error of an execution that was cancelled.
pub(super) fn cancelled() -> NodeError {
    NodeError::new(NodeErrorKind::Cancelled, "the execution was cancelled")
}

/// The answer of an execution that failed.
pub(super) fn failed(error: &NodeError) -> ServiceError {
    with_body(
        node_code(error.kind()),
        error.message(),
        plain::failure(error),
    )
}

/// The answer of an execution that was not accepted.
pub(super) fn refused(refusal: &Refusal) -> ServiceError {
    let code = refusal_code(refusal.kind());
    with_body(code, &refusal.to_string(), plain::refusal(refusal))
}

fn with_body(code: u32, description: &str, body: Json) -> ServiceError {
    let end = description.floor_char_boundary(DESCRIPTION_LENGTH_MAX);
    ServiceError::new(code, &description[..end]).with_payload(body.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_code() {
        let codes = NodeErrorKind::ALL.map(|kind| (kind.name(), node_code(kind)));
        assert_eq!(
            codes,
            [
                ("invalid_input", 400),
                ("not_found", 404),
                ("cancelled", 499),
                ("deadline", 408),
                ("overloaded", 429),
                ("unsupported", 501),
                ("unavailable", 503),
                ("internal", 500),
            ]
        );
        let codes = RefusalKind::ALL.map(|kind| (kind.name(), refusal_code(kind)));
        assert_eq!(
            codes,
            [
                ("unknown_node", 404),
                ("queue_full", 429),
                ("too_many_in_flight", 429),
                ("shutting_down", 503),
                ("deadline_passed", 408),
                ("invalid_input", 400),
            ]
        );
    }

    #[test]
    fn a_long_text_is_whole_in_the_body_only() {
        let text = "é".repeat(DESCRIPTION_LENGTH_MAX);
        let answer = failed(&NodeError::internal(text.clone()));
        assert_eq!(answer.description().len(), DESCRIPTION_LENGTH_MAX);
        let body = Json::parse_bytes(answer.payload().clone()).unwrap();
        let message = body.get("error").unwrap().get("message").unwrap();
        assert_eq!(message.string().unwrap(), text);
    }
}
