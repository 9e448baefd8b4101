//! What the store's errors are to clients.

use axum::http::StatusCode;

use super::super::error::StoreError;
use super::super::outage::ObjectsFailure;
use crate::refusal::ApiError;

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        if error.is_full() {
            tracing::warn!(error = %error.for_log(), "asset store full");
            return Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "storage_full",
                "the disk of the asset store is full",
            );
        }
        match error {
            StoreError::NotFound => Self::not_found(message),
            StoreError::TooLarge { .. } => Self::too_large(message),
            StoreError::Busy { .. } => Self::busy(message),
            // What exactly the object store said is for the log.
            StoreError::Objects { failure, .. } => {
                tracing::error!(error = %error.for_log(), "object store failed");
                Self::new(status(failure), "storage_unavailable", failure.message())
            }
            // Paths of this machine are nobody else's business.
            StoreError::Locked { .. } | StoreError::Io { .. } => {
                tracing::error!(error = %error.for_log(), "asset store failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "storage",
                    "the asset store failed; its log says why",
                )
            }
        }
    }
}

/// What is out of order for now may be tried again; the rest is for an operator first.
fn status(failure: ObjectsFailure) -> StatusCode {
    match failure {
        ObjectsFailure::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
        ObjectsFailure::NoKeys
        | ObjectsFailure::Refused
        | ObjectsFailure::NoBucket
        | ObjectsFailure::Other => StatusCode::BAD_GATEWAY,
    }
}
