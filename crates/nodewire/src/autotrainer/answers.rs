//! What is answered, and under which code: one mapping for errors and one for refusals. spec: autotrainer 8.2

use autotrainer_api::{CommandResponse, ResultCode};
use nodewire_core::{
    DropReason, ExecutionEvent, NodeError, NodeErrorKind, Outputs, Refusal, RefusalKind,
};

use crate::plain;

/// The error codes of answers and results; see the table of [the module](super).
pub mod error_code {
    /// An input, a parameter or the request itself does not fit.
    pub const INVALID_INPUT: i64 = 1;
    /// Something does not exist; for the cancel command: an execution.
    pub const NOT_FOUND: i64 = 2;
    /// It was cancelled.
    pub const CANCELLED: i64 = 3;
    /// Time ran out.
    pub const DEADLINE: i64 = 4;
    /// A resource of the node is used up for now.
    pub const OVERLOADED: i64 = 5;
    /// The node cannot do this.
    pub const UNSUPPORTED: i64 = 6;
    /// Something the node depends on does not answer.
    pub const UNAVAILABLE: i64 = 7;
    /// There is no such node or number.
    pub const UNKNOWN_NODE: i64 = 20;
    /// The node's queue is full.
    pub const QUEUE_FULL: i64 = 21;
    /// Too many executions are in flight.
    pub const TOO_MANY_IN_FLIGHT: i64 = 22;
    /// The server stops.
    pub const SHUTTING_DOWN: i64 = 23;
    /// An emergency stop is in effect.
    pub const EMERGENCY_STOPPED: i64 = 24;
    /// An execution with this nonce is in flight.
    pub const NONCE_IN_USE: i64 = 25;
    /// The outputs are longer than a message.
    pub const ANSWER_TOO_LONG: i64 = 26;
}

/// Bytes of a message for people; longer ones are cut, so that an error always has room.
const MESSAGE_BYTES_MAX: usize = 4096;

pub(super) fn coded(result: ResultCode, code: i64, message: &str) -> CommandResponse {
    CommandResponse::new(result).with_error(code, cut(message))
}

pub(super) fn completed(outputs: &Outputs) -> CommandResponse {
    CommandResponse::success().with_verbatim_data(plain::answer(outputs))
}

pub(super) fn failed(error: &NodeError) -> CommandResponse {
    let (result, code) = match error.kind() {
        NodeErrorKind::InvalidInput => (ResultCode::Failed, error_code::INVALID_INPUT),
        NodeErrorKind::NotFound => (ResultCode::Failed, error_code::NOT_FOUND),
        NodeErrorKind::Cancelled => (ResultCode::Failed, error_code::CANCELLED),
        NodeErrorKind::Deadline => (ResultCode::Failed, error_code::DEADLINE),
        NodeErrorKind::Overloaded => (ResultCode::Unavailable, error_code::OVERLOADED),
        NodeErrorKind::Unsupported => (ResultCode::Failed, error_code::UNSUPPORTED),
        NodeErrorKind::Unavailable => (ResultCode::Unavailable, error_code::UNAVAILABLE),
        // spec: autotrainer 8.3
        NodeErrorKind::Internal => (ResultCode::Exception, 0),
    };
    coded(result, code, error.message())
}

pub(super) fn refused(refusal: &Refusal) -> CommandResponse {
    let (result, code) = match refusal.kind() {
        // spec: autotrainer 15.3
        RefusalKind::UnknownNode => (ResultCode::Unrecognized, error_code::UNKNOWN_NODE),
        RefusalKind::QueueFull => (ResultCode::Unavailable, error_code::QUEUE_FULL),
        RefusalKind::TooManyInFlight => (ResultCode::Unavailable, error_code::TOO_MANY_IN_FLIGHT),
        RefusalKind::ShuttingDown => (ResultCode::Unavailable, error_code::SHUTTING_DOWN),
        RefusalKind::DeadlinePassed => (ResultCode::Failed, error_code::DEADLINE),
        RefusalKind::InvalidInput => (ResultCode::Failed, error_code::INVALID_INPUT),
    };
    coded(result, code, &refusal.to_string())
}

pub(super) fn unknown(message: &str) -> CommandResponse {
    coded(ResultCode::Unrecognized, error_code::UNKNOWN_NODE, message)
}

pub(super) fn invalid(message: &str) -> CommandResponse {
    coded(ResultCode::Failed, error_code::INVALID_INPUT, message)
}

pub(super) fn too_long(bytes: usize, bytes_max: usize) -> CommandResponse {
    let message = format!(
        "the outputs have {bytes} bytes, more than the {bytes_max} that a message may have; configure an asset store or \
         longer messages, or ask for less"
    );
    coded(ResultCode::Failed, error_code::ANSWER_TOO_LONG, &message)
}

/// How an execution ended other than completed; `None` if this is no such end.
pub(super) fn ended(event: &ExecutionEvent) -> Option<CommandResponse> {
    match event {
        ExecutionEvent::Failed(error) => Some(failed(error)),
        ExecutionEvent::Cancelled { abandoned } => Some(cancelled(*abandoned)),
        ExecutionEvent::Dropped(reason) => Some(dropped(*reason)),
        ExecutionEvent::Accepted
        | ExecutionEvent::Started
        | ExecutionEvent::Progress(_)
        | ExecutionEvent::Partial(_)
        | ExecutionEvent::Completed(_) => None,
    }
}

fn cancelled(abandoned: bool) -> CommandResponse {
    let message = if abandoned {
        "the execution was cancelled; the node did not react and was given up on"
    } else {
        "the execution was cancelled"
    };
    coded(ResultCode::Failed, error_code::CANCELLED, message)
}

fn dropped(reason: DropReason) -> CommandResponse {
    let (result, code) = match reason {
        DropReason::DeadlinePassed => (ResultCode::Failed, error_code::DEADLINE),
        DropReason::Shutdown => (ResultCode::Unavailable, error_code::SHUTTING_DOWN),
    };
    coded(
        result,
        code,
        &format!("the execution was dropped: {reason}"),
    )
}

fn cut(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_codes_of_their_own() {
        let codes: Vec<_> = NodeErrorKind::ALL
            .iter()
            .map(|kind| failed(&NodeError::new(*kind, "why")).error_code)
            .collect();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7, 0]);
        let internal = failed(&NodeError::internal("why"));
        assert_eq!(internal.result, ResultCode::Exception);
        assert_eq!(internal.error_message.as_deref(), Some("why"));
    }

    #[test]
    fn refusals_are_unavailable_or_the_callers_fault() {
        let full = Refusal::QueueFull {
            node: "n".to_owned(),
            limit: 1,
        };
        let told = [
            Refusal::UnknownNode("n".to_owned()),
            full,
            Refusal::TooManyInFlight(1),
            Refusal::ShuttingDown,
            Refusal::DeadlinePassed,
        ]
        .map(|refusal| {
            let response = refused(&refusal);
            (response.result, response.error_code)
        });
        assert_eq!(
            told,
            [
                (ResultCode::Unrecognized, 20),
                (ResultCode::Unavailable, 21),
                (ResultCode::Unavailable, 22),
                (ResultCode::Unavailable, 23),
                (ResultCode::Failed, 4),
            ]
        );
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let long = format!("a{}", "é".repeat(MESSAGE_BYTES_MAX));
        let response = invalid(&long);
        assert_eq!(response.error_message.unwrap().len(), MESSAGE_BYTES_MAX - 1);
    }
}
