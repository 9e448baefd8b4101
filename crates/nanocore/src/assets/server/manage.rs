//! Everything about assets that moves no content, and the resources of node servers.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Shared;
use super::access::now_seconds;
use crate::assets::entry::{Entry, Patch};
use crate::assets::id::AssetId;
use crate::assets::index::{Cursor, Filter, Order};
use crate::assets::tokens::Caller;
use crate::refusal::ApiError;
use crate::request::{Params, Path, expect_json, read_body, wrong_members};

/// Longest JSON body read.
const JSON_BYTES_MAX: usize = 1 << 20;
/// How long a presigned address is good for, in seconds, if the caller does not say.
const PRESIGNED_SECONDS: u64 = 3600;
/// The longest it can be good for.
const PRESIGNED_SECONDS_MAX: u64 = 7 * 24 * 3600;

type Shares = State<Arc<Shared>>;

/// The entry that `id` names; malformed ids name nothing.
pub(super) fn find(shared: &Shared, id: &str) -> Result<Arc<Entry>, ApiError> {
    let entry = id
        .parse::<AssetId>()
        .ok()
        .and_then(|id| shared.store.find(id));
    entry.ok_or_else(|| ApiError::not_found("there is no such asset"))
}

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    #[serde(rename = "type")]
    kind: Option<String>,
    hash: Option<String>,
    name: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    order: Option<String>,
}

/// `GET /assets`: an array, newest first. A list cut by `limit` names the next page in `X-Next-Cursor`.
pub(super) async fn list(
    State(shared): Shares,
    Params(query): Params<ListQuery>,
) -> Result<Response, ApiError> {
    let mut wrong = Vec::new();
    let order = match query.order.as_deref() {
        None | Some("newest" | "desc") => Order::Newest,
        Some("oldest" | "asc") => Order::Oldest,
        Some(_) => {
            wrong.push("order is newest or oldest");
            Order::Newest
        }
    };
    let hash = query.hash.map(|hash| hash.parse());
    if matches!(hash, Some(Err(_))) {
        wrong.push("hash is sha256:<64 hex digits>");
    }
    let after = query.cursor.map(|cursor| cursor.parse());
    if matches!(after, Some(Err(_))) {
        wrong.push("cursor is not from an earlier list");
    }
    if !wrong.is_empty() {
        return Err(ApiError::bad_request(wrong.join("; ")));
    }
    let limit = query.limit.map(|limit| limit.saturating_add(1));
    let filter = Filter {
        kind: query.kind,
        hash: hash.and_then(Result::ok),
        name: query.name,
        after: after.and_then(Result::ok),
        limit,
        order,
    };
    let mut entries = shared.store.list(&filter);
    let more = query.limit.is_some_and(|limit| entries.len() > limit);
    entries.truncate(query.limit.unwrap_or(usize::MAX));
    let mut headers = HeaderMap::new();
    if let Some(last) = entries
        .last()
        .filter(|_| more)
        .and_then(|last| HeaderValue::from_str(&Cursor::of(last).to_string()).ok())
    {
        headers.insert("x-next-cursor", last);
    }
    let assets: Vec<_> = entries
        .iter()
        .map(|entry| entry.show(&shared.config.domain, true))
        .collect();
    Ok((headers, Json(assets)).into_response())
}

/// `GET /assets/<id>`
pub(super) async fn show(
    State(shared): Shares,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let entry = find(&shared, &id)?;
    Ok(Json(entry.show(&shared.config.domain, true)).into_response())
}

/// `GET /assets/<id>/exists`
pub(super) async fn exists(State(shared): Shares, Path(id): Path<String>) -> Json<Value> {
    Json(json!({ "exists": find(&shared, &id).is_ok() }))
}

#[derive(Debug, Deserialize)]
pub(super) struct PresignedQuery {
    expires: Option<u64>,
}

/// `GET /assets/<id>/presigned`: an address that works without the token for a while.
pub(super) async fn presigned(
    State(shared): Shares,
    Path(id): Path<String>,
    Params(query): Params<PresignedQuery>,
) -> Result<Json<Value>, ApiError> {
    let entry = find(&shared, &id)?;
    let seconds = query.expires.unwrap_or(PRESIGNED_SECONDS);
    if seconds == 0 {
        return Err(ApiError::bad_request(
            "expires is how many seconds the address is good for, at least 1",
        ));
    }
    let seconds = seconds.min(PRESIGNED_SECONDS_MAX);
    let expires = now_seconds() + seconds;
    let path = format!("/assets/{}/download", entry.uuid);
    let signature = shared.config.tokens.master().sign(&path, expires);
    Ok(Json(
        json!({ "url": format!("{}{path}?exp={expires}&sig={signature}", shared.config.endpoint), "expiresIn": seconds }),
    ))
}

/// `PATCH /assets/<id>`
pub(super) async fn change(
    State(shared): Shares,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let patch = read_json::<Patch>(&shared, &headers, body).await?;
    let entry = find_own(&shared, &caller, &id)?;
    let entry = shared.store.update(entry.hash.into(), patch).await?;
    Ok(Json(entry.show(&shared.config.domain, true)).into_response())
}

/// `DELETE /assets/<id>`
pub(super) async fn delete(
    State(shared): Shares,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let entry = find_own(&shared, &caller, &id)?;
    shared.store.delete(entry.hash.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An entry that the caller may change: a node server only what it uploaded.
fn find_own(shared: &Shared, caller: &Caller, id: &str) -> Result<Arc<Entry>, ApiError> {
    let entry = find(shared, id)?;
    match caller {
        Caller::Master => Ok(entry),
        Caller::Server(uid) if entry.uploaded_by.as_ref() == Some(uid) => Ok(entry),
        Caller::Server(_) => Err(ApiError::forbidden(
            "a node server may change only what it uploaded",
        )),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceMessage {
    server_uid: String,
    action: String,
    data: nodewire_json::Json,
}

/// `POST /resources`
pub(super) async fn resource(
    State(shared): Shares,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let message: ResourceMessage = read_json(&shared, &headers, body).await?;
    if matches!(&caller, Caller::Server(uid) if **uid != *message.server_uid) {
        return Err(ApiError::forbidden(
            "a node server may speak of its own resources only",
        ));
    }
    let id = message
        .data
        .get("resourceId")
        .and_then(|id| id.decode::<String>().ok());
    let id = id.ok_or_else(|| ApiError::bad_request("data.resourceId is missing or no string"))?;
    match message.action.as_str() {
        "ALLOCATE"
            if shared
                .resources
                .allocate(&message.server_uid, &id, message.data) => {}
        "ALLOCATE" => {
            return Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "too many resources are allocated",
            ));
        }
        "FREE" => shared.resources.free(&message.server_uid, &id),
        _ => return Err(ApiError::bad_request("action is ALLOCATE or FREE")),
    }
    Ok(Json(json!({ "success": true })))
}

/// `GET /resources`
pub(super) async fn resources(State(shared): Shares) -> Response {
    Json(shared.resources.list()).into_response()
}

async fn read_json<T: DeserializeOwned>(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    expect_json(headers, &body)?;
    let bytes = read_body(body, JSON_BYTES_MAX, shared.config.body_timeout).await?;
    // Python writes tokens that strict JSON does not have.
    let json = nodewire_json::Json::parse_bytes(bytes)
        .map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))?;
    json.decode().map_err(|error| {
        let wrong = wrong_members::<T>(&json).unwrap_or_else(|| error.to_string());
        ApiError::bad_request(format!("the body does not fit: {wrong}"))
    })
}
