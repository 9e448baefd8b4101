//! `POST /assets`: an upload as multipart form or as raw body, streamed into the store.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use percent_encoding::percent_decode_str;

use super::Shared;
use crate::assets::entry::NewAsset;
use crate::assets::tokens::Caller;
use crate::assets::upload::{Stored, Upload};
use crate::refusal::ApiError;

/// Longest `type`, `meta` or unknown part.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most parts of a form.
const PARTS_MAX: usize = 64;

pub(super) async fn upload(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    // Put there with the token's check; without one there is no way here.
    let caller = request.extensions().get::<Caller>().cloned();
    let uploaded_by = caller.and_then(Caller::into_server);
    refuse_announced(&shared, request.headers())?;
    let content_type =
        text_header(request.headers(), header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let stored = if content_type.starts_with("multipart/form-data") {
        let form = Multipart::from_request(request, &())
            .await
            .map_err(|error| ApiError::bad_request(error.body_text()))?;
        receive_form(&shared, form, uploaded_by).await?
    } else {
        receive_raw(&shared, request, uploaded_by).await?
    };
    let status = if stored.already_exists {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let location = [(header::LOCATION, format!("/assets/{}", stored.entry.uuid))];
    Ok((
        status,
        location,
        Json(
            stored
                .entry
                .show(&shared.config.domain, stored.already_exists),
        ),
    )
        .into_response())
}

/// A body that says beforehand that it is too long is not read at all.
fn refuse_announced(shared: &Shared, headers: &HeaderMap) -> Result<(), ApiError> {
    let announced = text_header(headers, header::CONTENT_LENGTH.as_str())
        .and_then(|length| length.parse::<u64>().ok());
    let limit = shared.store.options().asset_bytes_max;
    let form_bytes_max = 2 * TEXT_BYTES_MAX as u64;
    if announced.is_some_and(|length| length > limit.saturating_add(form_bytes_max)) {
        return Err(ApiError::too_large(format!(
            "the asset is longer than the limit of {limit} bytes"
        )));
    }
    Ok(())
}

async fn receive_raw(
    shared: &Shared,
    request: Request,
    uploaded_by: Option<Arc<str>>,
) -> Result<Stored, ApiError> {
    let name = text_header(request.headers(), "x-filename").map(decode_name);
    let mime = text_header(request.headers(), header::CONTENT_TYPE.as_str()).map(essence);
    let mut upload = shared.store.upload()?;
    let body = request
        .into_body()
        .into_data_stream()
        .map(|chunk| chunk.map_err(|error| ApiError::bad_request(error.to_string())));
    copy(body, &mut upload, shared.config.upload_idle_timeout).await?;
    Ok(upload
        .finish(NewAsset {
            name,
            mime,
            uploaded_by,
            ..NewAsset::default()
        })
        .await?)
}

/// The parts may come in any order, so the file is written before its name and type are known for sure.
async fn receive_form(
    shared: &Shared,
    mut form: Multipart,
    uploaded_by: Option<Arc<str>>,
) -> Result<Stored, ApiError> {
    let idle = shared.config.upload_idle_timeout;
    let mut upload = None;
    let mut asset = NewAsset {
        uploaded_by,
        ..NewAsset::default()
    };
    let mut parts = 0;
    while let Some(field) = in_time(idle, form.next_field())
        .await?
        .map_err(form_error)?
    {
        parts += 1;
        if parts > PARTS_MAX {
            return Err(ApiError::bad_request(format!(
                "the form has more than {PARTS_MAX} parts"
            )));
        }
        match field.name().unwrap_or_default() {
            "file" if upload.is_some() => {
                return Err(ApiError::bad_request("the form has two `file` parts"));
            }
            "file" => {
                asset.name = field.file_name().map(decode_name);
                asset.mime = field.content_type().map(essence);
                let mut file = shared.store.upload()?;
                copy(
                    field.map(|chunk| chunk.map_err(form_error)),
                    &mut file,
                    idle,
                )
                .await?;
                upload = Some(file);
            }
            "type" => asset.kind = Some(text_part(field, idle).await?),
            "meta" => asset.meta = Some(text_part(field, idle).await?),
            "ephemeral" => {
                asset.ephemeral = text_part(field, idle).await?.eq_ignore_ascii_case("true")
            }
            _ => drop(text_part(field, idle).await?),
        }
    }
    let upload = upload.ok_or_else(|| ApiError::bad_request("the form has no `file` part"))?;
    Ok(upload.finish(asset).await?)
}

async fn copy(
    body: impl Stream<Item = Result<Bytes, ApiError>>,
    upload: &mut Upload,
    idle: Duration,
) -> Result<(), ApiError> {
    let mut body = std::pin::pin!(body);
    while let Some(chunk) = in_time(idle, body.next()).await? {
        upload.write(chunk?).await?;
    }
    Ok(())
}

async fn text_part(mut field: Field<'_>, idle: Duration) -> Result<String, ApiError> {
    let mut text = Vec::new();
    while let Some(chunk) = in_time(idle, field.chunk()).await?.map_err(form_error)? {
        if text.len() + chunk.len() > TEXT_BYTES_MAX {
            return Err(ApiError::too_large(format!(
                "a text part is longer than {TEXT_BYTES_MAX} bytes"
            )));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

async fn in_time<F: Future>(idle: Duration, reading: F) -> Result<F::Output, ApiError> {
    let late = |_| {
        ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "upload_timeout",
            format!("nothing arrived for {} s", idle.as_secs()),
        )
    };
    tokio::time::timeout(idle, reading).await.map_err(late)
}

fn form_error(error: MultipartError) -> ApiError {
    ApiError::new(error.status(), "bad_form", error.body_text())
}

fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Names arrive percent-encoded. spec: nanograph 10.3
fn decode_name(name: impl AsRef<str>) -> String {
    percent_decode_str(name.as_ref())
        .decode_utf8_lossy()
        .into_owned()
}

/// A MIME type without its parameters.
fn essence(mime: &str) -> String {
    mime.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}
