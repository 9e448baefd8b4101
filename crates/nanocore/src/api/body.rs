//! What comes with a request: JSON bodies, limited in size, time and number.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use nodewire_json::{Json, Kind};
use serde::de::DeserializeOwned;

use super::Api;
use crate::refusal::ApiError;
use crate::request::expect_json;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A JSON body; an empty one counts as `{}`.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        expect_json(request.headers(), request.body())?;
        let json = read(request.into_body(), api).await?;
        let decoded = json.decode();
        decoded
            .map(Self)
            .map_err(|error| ApiError::bad_request(format!("the body does not fit: {error}")))
    }
}

async fn read(body: Body, api: &Api) -> Result<Json, ApiError> {
    // Closed never; as many bodies as this are in memory at most, and others wait unread.
    let _permit = api.bodies.acquire().await;
    let limit = api.options.body_bytes_max;
    let bytes = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, limit)).await;
    let bytes = bytes
        .map_err(|_| ApiError::bad_request("the body took longer than 60 s to arrive"))?
        .map_err(|_| {
            ApiError::too_large(format!("the body is cut off or longer than {limit} bytes"))
        })?;
    if bytes.is_empty() {
        let none: [(&str, Json); 0] = [];
        return Ok(Json::object(none));
    }
    // Python writes tokens that strict JSON does not have.
    let json = Json::parse_bytes(bytes)
        .map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))?;
    // A list of the right length would be taken for one otherwise.
    let is_object = json.kind() == Kind::Object;
    is_object
        .then_some(json)
        .ok_or_else(|| ApiError::bad_request("the body is not an object"))
}
