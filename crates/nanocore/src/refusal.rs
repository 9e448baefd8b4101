//! Errors as clients see them: `{"error": {"code", "message"}}`. spec: nanograph 19

use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::db::DatabaseError;
use crate::request::is_json;

/// When to try again what is refused for now, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// The longest text that a refusal of the HTTP library is read to.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// What every refusal has as its body.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(crate) struct ErrorBody {
    error: Reason,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Reason")]
struct Reason {
    /// For programs.
    code: &'static str,
    /// For people: what is wrong, and what to do.
    message: String,
}

/// A refusal.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// `which` token is the right one.
    pub(crate) fn unauthorized(which: &str) -> Self {
        let message = format!("send `Authorization: Bearer <token>` with {which}");
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
    }

    pub(crate) fn storage_full(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", message)
    }

    fn storage_unwritable(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "storage_unwritable",
            message,
        )
    }

    pub(crate) fn stopping() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            "the daemon is stopping; ask again when it is back",
        )
    }

    /// Something here failed; what exactly is in the log and nobody else's business. A database without room, one whose
    /// disk takes nothing, and one that others hold are told as what they are: the last wants another try, the others
    /// room.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        match database_error(error) {
            Some(full @ (DatabaseError::Full { .. } | DatabaseError::DiskFull { .. })) => {
                return Self::storage_full(full.to_string());
            }
            Some(refused @ DatabaseError::Unwritable { .. }) => {
                return Self::storage_unwritable(refused.to_string());
            }
            Some(busy @ DatabaseError::Busy) => return Self::busy(busy.to_string()),
            Some(_) | None => {}
        }
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the daemon failed; its log says why",
        )
    }

    /// A refusal that the HTTP library made, with what it says, if anything.
    fn of_status(status: StatusCode, text: &str) -> Self {
        let (code, message) = match status {
            StatusCode::UNAUTHORIZED => ("unauthorized", "a token is missing"),
            StatusCode::FORBIDDEN => ("forbidden", "this is not for you"),
            StatusCode::NOT_FOUND => ("not_found", "there is nothing at this address"),
            StatusCode::METHOD_NOT_ALLOWED => (
                "method_not_allowed",
                "this address does not know the method",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => ("too_large", "the body is too long"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("unsupported_media_type", "send another Content-Type")
            }
            StatusCode::UPGRADE_REQUIRED => ("upgrade_required", "connect as a WebSocket"),
            StatusCode::SERVICE_UNAVAILABLE => ("busy", "try again"),
            status if status.is_client_error() => ("bad_request", "the request is malformed"),
            _ => ("internal", "the daemon failed; its log says why"),
        };
        Self::new(status, code, if text.is_empty() { message } else { text })
    }

    pub(crate) fn body(self) -> ErrorBody {
        ErrorBody {
            error: Reason {
                code: self.code,
                message: self.message,
            },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status;
        let body = Json(self.body());
        if status == StatusCode::UNAUTHORIZED {
            return (status, [(header::WWW_AUTHENTICATE, "Bearer")], body).into_response();
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return (status, [(header::RETRY_AFTER, RETRY_AFTER_SECONDS)], body).into_response();
        }
        (status, body).into_response()
    }
}

/// Gives every refusal that has no JSON body one, and leaves its status and other headers as they are.
pub(crate) async fn tell_as_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || is_json(response.headers()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    // Without what it says, there is still the status.
    let text = to_bytes(body, TEXT_BYTES_MAX).await.unwrap_or_default();
    let mut told =
        ApiError::of_status(status, String::from_utf8_lossy(&text).trim()).into_response();
    let of_body = [
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
    ];
    for (name, value) in &parts.headers {
        if !of_body.contains(name) {
            told.headers_mut().append(name, value.clone());
        }
    }
    told
}

/// The database's error among an error and its causes.
fn database_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a DatabaseError> {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.find_map(|error| error.downcast_ref())
}
