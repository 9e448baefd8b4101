//! How frames end.

use ::nnrp::client::{FrameEnd, SubmitError};
use nnrp_wire::ErrorCode;
use nnrp_wire::session::{FrameError, FrameOutcome, SubmitRefusal};
use nodewire_core::Outputs;

use super::super::error::{RemoteError, RemoteErrorKind};
use super::super::execution::RemoteEvent;
use super::super::plain;
use crate::capability::Wire;

pub(super) fn ended(end: FrameEnd, outputs: Outputs) -> RemoteEvent {
    match end.outcome {
        FrameOutcome::Complete | FrameOutcome::Stale | FrameOutcome::Degraded => {
            RemoteEvent::Completed(outputs)
        }
        FrameOutcome::Cancelled => RemoteEvent::Cancelled,
        FrameOutcome::Dropped => RemoteEvent::Dropped {
            reason: "the server dropped the frame".to_owned(),
        },
        FrameOutcome::Expired => {
            RemoteEvent::failed(RemoteErrorKind::Deadline, "there was no result in time")
        }
        FrameOutcome::Error => failed(end.error),
        FrameOutcome::ConnectionLost => {
            let text = match end.session {
                Some(end) => end.to_string(),
                None => "the connection was lost".to_owned(),
            };
            RemoteEvent::failed(RemoteErrorKind::Lost, text)
        }
    }
}

fn failed(error: Option<FrameError>) -> RemoteEvent {
    let Some(FrameError::Peer(peer)) = &error else {
        let text = error.map_or_else(|| "the frame failed".to_owned(), |error| error.to_string());
        return RemoteEvent::failed(RemoteErrorKind::Protocol, text);
    };
    let text = String::from_utf8_lossy(&peer.diagnostic);
    if let Some((name, message)) = text.split_once(": ")
        && let Some(kind) = RemoteErrorKind::from_name(name)
    {
        return plain::failed(RemoteError::new(kind, message));
    }
    let kind = match peer.metadata.known_code() {
        Some(ErrorCode::MalformedBody) => RemoteErrorKind::InvalidInput,
        Some(ErrorCode::FrameCancelled) => RemoteErrorKind::Cancelled,
        Some(ErrorCode::FrameExpired) => RemoteErrorKind::Deadline,
        Some(ErrorCode::ServerBusy) => RemoteErrorKind::Overloaded,
        Some(ErrorCode::UnsupportedCapability) => RemoteErrorKind::Unsupported,
        Some(ErrorCode::LimitExceeded) => RemoteErrorKind::TooLarge,
        Some(_) | None => RemoteErrorKind::Failed,
    };
    plain::failed(RemoteError::new(kind, peer.to_string()))
}

pub(super) fn not_sent(error: SubmitError) -> RemoteError {
    let kind = match &error {
        SubmitError::Expired { .. } => RemoteErrorKind::Deadline,
        SubmitError::Ending | SubmitError::Over(_) | SubmitError::Connecting => {
            RemoteErrorKind::Lost
        }
        SubmitError::Refused(SubmitRefusal::TooLarge { bytes, bytes_max }) => {
            return RemoteError::too_large(Wire::Nnrp, *bytes, u64::from(*bytes_max));
        }
        SubmitError::Refused(SubmitRefusal::Invalid(_)) => RemoteErrorKind::TooLarge,
        SubmitError::Refused(_) | SubmitError::NotReceived { .. } | SubmitError::OthersWait | _ => {
            RemoteErrorKind::TooManyInFlight
        }
    };
    RemoteError::of(kind, error)
}
