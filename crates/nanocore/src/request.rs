//! What comes with a request, read so that each refusal is an [`ApiError`] that names all that is wrong.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{FromRequestParts, Path as AxumPath, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use bytes::Bytes;
use nodewire_json::Json;
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

/// What is looked at, one by one, of a query or body that does not fit; the rest is looked at when these are right.
const PARTS_MAX: usize = 64;

/// What stands behind the question mark. A refusal names each wrong parameter.
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
        query.map(|Query(params)| Self(params)).map_err(|error| {
            let wrong = wrong_params::<T>(parts.uri.query().unwrap_or_default());
            let wrong = wrong.unwrap_or_else(|| cause(&error));
            ApiError::bad_request(format!("the query does not fit: {wrong}"))
        })
    }
}

/// The parameters that are wrong each for itself; `None` if that is not what is wrong.
fn wrong_params<T: DeserializeOwned>(query: &str) -> Option<String> {
    let pairs = query.split('&').take(PARTS_MAX);
    let wrong = pairs.filter_map(|pair| {
        let uri: Uri = format!("/?{pair}").parse().ok()?;
        Some(cause(&Query::<T>::try_from_uri(&uri).err()?))
    });
    joined(wrong)
}

/// The members of a body that are wrong each for itself; `None` if that is not what is wrong.
pub(crate) fn wrong_members<T: DeserializeOwned>(body: &Json) -> Option<String> {
    let members = body.entries()?.into_iter().take(PARTS_MAX);
    let wrong = members.filter_map(|(name, value)| {
        let error = Json::object([(name.as_str(), value)]).decode::<T>().err()?;
        let error = error.to_string();
        // The place is one in a text that nobody sent.
        let what = error
            .rsplit_once(" at line ")
            .map_or(&*error, |(what, _)| what);
        let is_named = what.contains(&format!("`{name}`"));
        Some(if is_named {
            what.to_owned()
        } else {
            format!("{name}: {what}")
        })
    });
    joined(wrong)
}

/// All that is wrong, without what each part lacks as it stands alone.
fn joined(wrong: impl Iterator<Item = String>) -> Option<String> {
    let wrong: Vec<String> = wrong
        .filter(|what| !what.contains("missing field"))
        .collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// What is wrong, without the library's words around it.
fn cause(error: &dyn Error) -> String {
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// Refuses a body that says beforehand that it is too long; nothing of it is read.
pub(crate) fn refuse_announced(body: &Body, bytes_max: usize) -> Result<(), ApiError> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(ApiError::too_large(format!(
            "the body is longer than {bytes_max} bytes"
        )));
    }
    Ok(())
}

/// A body of at most so many bytes that arrives in this time.
pub(crate) async fn read_body(
    body: Body,
    bytes_max: usize,
    time: Duration,
) -> Result<Bytes, ApiError> {
    refuse_announced(&body, bytes_max)?;
    let read = tokio::time::timeout(time, to_bytes(body, bytes_max)).await;
    let read = read.map_err(|_| {
        let message = format!(
            "the body took longer than {} s to arrive",
            time.as_secs_f64()
        );
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message)
    })?;
    read.map_err(|_| {
        ApiError::too_large(format!(
            "the body is cut off or longer than {bytes_max} bytes"
        ))
    })
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
