//! How errors and refusals end a frame; the table is in the module's documentation. spec: nnrp-session 4.8

use ::nnrp::server::{DropReason, Responder};
use nnrp_wire::ErrorCode;
use nodewire_core::{NodeError, NodeErrorKind, Refusal, RefusalKind};

/// What ends a frame without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Error(ErrorCode),
    Drop(DropReason),
}

pub(super) const fn error_code(kind: NodeErrorKind) -> ErrorCode {
    match kind {
        NodeErrorKind::InvalidInput => ErrorCode::MalformedBody,
        NodeErrorKind::NotFound => ErrorCode::InvalidState,
        NodeErrorKind::Cancelled => ErrorCode::FrameCancelled,
        NodeErrorKind::Deadline => ErrorCode::FrameExpired,
        NodeErrorKind::Overloaded | NodeErrorKind::Unavailable => ErrorCode::ServerBusy,
        NodeErrorKind::Unsupported => ErrorCode::UnsupportedCapability,
        NodeErrorKind::Internal => ErrorCode::InternalError,
    }
}

pub(super) const fn refusal_ending(kind: RefusalKind) -> Ending {
    match kind {
        RefusalKind::UnknownNode => Ending::Error(ErrorCode::UnsupportedCapability),
        RefusalKind::InvalidInput => Ending::Error(ErrorCode::MalformedBody),
        RefusalKind::ShuttingDown => Ending::Error(ErrorCode::ServerBusy),
        RefusalKind::QueueFull => Ending::Drop(DropReason::QueueFull),
        RefusalKind::TooManyInFlight => Ending::Drop(DropReason::ServerBusy),
        RefusalKind::DeadlinePassed => Ending::Drop(DropReason::BudgetExceeded),
    }
}

/// Ends a frame with a node's error.
pub(super) fn fail(answer: Responder, error: &NodeError) {
    let kind = error.kind();
    // It may have ended by itself, which the responder counts.
    answer.fail(
        error_code(kind),
        &format!("{}: {}", kind.name(), error.message()),
    );
}

/// Ends a frame whose execution was not accepted.
pub(super) fn refuse(answer: Responder, refusal: &Refusal) {
    let kind = refusal.kind();
    match refusal_ending(kind) {
        Ending::Error(code) => answer.fail(code, &format!("{}: {refusal}", kind.name())),
        Ending::Drop(reason) => answer.drop_frame(reason),
    };
}
