//! `GET` and `HEAD /assets/<id>/download`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Shared;
use super::access::{Signature, check_download};
use super::range::{Slice, names_tag, slice};
use crate::assets::entry::Entry;
use crate::refusal::ApiError;
use crate::request::{Params, Path};

/// What RFC 5987 leaves unescaped.
const ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~');

pub(super) async fn download(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    Path(id): Path<String>,
    Params(signature): Params<Signature>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    check_download(&shared, &headers, uri.path(), &signature)?;
    let entry = super::manage::find(&shared, &id)?;
    let tag = format!("\"{}\"", entry.hash);
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if header(header::IF_NONE_MATCH).is_some_and(|given| names_tag(given, &tag)) {
        return Ok((StatusCode::NOT_MODIFIED, described(&entry, &tag)).into_response());
    }
    let range =
        header(header::RANGE).filter(|_| header(header::IF_RANGE).is_none_or(|given| given == tag));
    send(&shared, &entry, &tag, slice(range, entry.size)).await
}

async fn send(
    shared: &Shared,
    entry: &Entry,
    tag: &str,
    slice: Slice,
) -> Result<Response, ApiError> {
    let (status, start, length) = match slice {
        Slice::Whole => (StatusCode::OK, 0, entry.size),
        Slice::Part { start, length } => (StatusCode::PARTIAL_CONTENT, start, length),
        Slice::Unsatisfiable => {
            let error = ApiError::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "bad_range",
                "the range begins after the end",
            );
            return Ok((
                [(header::CONTENT_RANGE, format!("bytes */{}", entry.size))],
                error,
            )
                .into_response());
        }
    };
    let body = shared.store.read(entry, start..start + length).await?;
    let body = Body::from_stream(body);
    let mut headers = described(entry, tag);
    headers.insert(header::CONTENT_LENGTH, length.into());
    if status == StatusCode::PARTIAL_CONTENT {
        insert(
            &mut headers,
            header::CONTENT_RANGE,
            &format!("bytes {start}-{}/{}", start + length - 1, entry.size),
        );
    }
    Ok((status, headers, body).into_response())
}

/// The headers that describe the content, whatever part of it is sent.
fn described(entry: &Entry, tag: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    insert(&mut headers, header::CONTENT_TYPE, &entry.mime);
    insert(&mut headers, header::ETAG, tag);
    insert(
        &mut headers,
        header::CONTENT_DISPOSITION,
        &disposition(entry),
    );
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // An uploaded page must not run as ours in a browser.
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, max-age=31536000, immutable"),
    );
    headers
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Pictures, sound and film may be shown in place, everything else is saved; the name as RFC 5987 has it.
fn disposition(entry: &Entry) -> String {
    let shown = matches!(
        entry.mime.split('/').next(),
        Some("image" | "audio" | "video")
    ) && !entry.mime.contains("svg");
    let plain: String = entry
        .name
        .chars()
        .map(|c| {
            if c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\') {
                c
            } else {
                '_'
            }
        })
        .collect();
    let encoded = utf8_percent_encode(&entry.name, ATTR_CHAR);
    format!(
        "{}; filename=\"{plain}\"; filename*=UTF-8''{encoded}",
        if shown { "inline" } else { "attachment" }
    )
}
