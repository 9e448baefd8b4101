//! What NATS and services say when something was not executed.

use nats_micro::ServiceError;
use nats_micro::client::RequestError;
use nodewire_json::Json;

use super::super::error::{RemoteError, RemoteErrorKind};
use super::super::plain;
use crate::capability::Wire;

pub(super) fn not_asked(error: RequestError) -> RemoteError {
    let kind = match &error {
        RequestError::Service(error) => return service_error(error),
        RequestError::NoResponders { .. } => RemoteErrorKind::Unreachable,
        RequestError::TimedOut { .. } => RemoteErrorKind::Unreachable,
        RequestError::TooLarge {
            actual_bytes,
            max_bytes,
        } => {
            let (bytes, bytes_max) = (*actual_bytes as u64, *max_bytes as u64);
            return RemoteError::too_large(Wire::Nats, bytes, bytes_max);
        }
        RequestError::InvalidSubject { .. } => RemoteErrorKind::Protocol,
        RequestError::Closed => RemoteErrorKind::Lost,
    };
    RemoteError::of(kind, error)
}

fn service_error(error: &ServiceError) -> RemoteError {
    let body = Json::parse_bytes(error.payload().clone()).unwrap_or_default();
    if let Some(told) = plain::error(&body) {
        return told;
    }
    let kind = match error.code() {
        Some(400) => RemoteErrorKind::InvalidInput,
        Some(404) => RemoteErrorKind::NotFound,
        Some(408) => RemoteErrorKind::Deadline,
        Some(429) => RemoteErrorKind::Overloaded,
        Some(499) => RemoteErrorKind::Cancelled,
        Some(501) => RemoteErrorKind::Unsupported,
        Some(503) => RemoteErrorKind::Unavailable,
        Some(_) | None => RemoteErrorKind::Failed,
    };
    RemoteError::new(kind, error.to_string())
}
