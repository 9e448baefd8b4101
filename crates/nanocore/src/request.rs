//! What comes with a request, read so that each refusal is an [`ApiError`].

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, Path as AxumPath, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::refusal::ApiError;

/// The parameters of an address. What cannot be one, such as bytes that are no text, names nothing.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = AxumPath::from_request_parts(parts, state).await;
        path.map(|AxumPath(path)| Self(path))
            .map_err(|_| ApiError::not_found("there is nothing at this address"))
    }
}

/// What stands behind the question mark. A refusal names the parameter.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Params<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let query = Query::try_from_uri(&parts.uri);
        query
            .map(|Query(params)| Self(params))
            .map_err(|error| ApiError::bad_request(format!("the query does not fit: {error}")))
    }
}

/// Refuses a body that says it is something else than JSON. One that does not say what it is may be JSON.
pub(crate) fn expect_json(headers: &HeaderMap, body: &Body) -> Result<(), ApiError> {
    if body.is_end_stream() || !headers.contains_key(header::CONTENT_TYPE) || is_json(headers) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "send JSON with `Content-Type: application/json`",
    ))
}

/// Whether the content type is JSON, or something written in it.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok());
    let essence = given.and_then(|given| given.split(';').next());
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}
