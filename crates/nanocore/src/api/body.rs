//! What comes with a request: JSON bodies, limited in size, time and number.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use nodewire_json::{Json, Kind};
use serde::de::DeserializeOwned;

use super::Api;
use crate::refusal::ApiError;
use crate::request::{expect_json, read_body, refuse_announced, wrong_members};

/// A JSON body; an empty one counts as `{}`.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        expect_json(request.headers(), request.body())?;
        let json = read(request.into_body(), api).await?;
        let decoded = json.decode();
        decoded.map(Self).map_err(|error| {
            let wrong = wrong_members::<T>(&json).unwrap_or_else(|| error.to_string());
            ApiError::bad_request(format!("the body does not fit: {wrong}"))
        })
    }
}

async fn read(body: Body, api: &Api) -> Result<Json, ApiError> {
    let limit = api.options.body_bytes_max;
    refuse_announced(&body, limit)?;
    // Closed never; as many bodies as this are in memory at most, and others wait unread.
    let _permit = api.bodies.acquire().await;
    let bytes = read_body(body, limit, api.options.body_timeout).await?;
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
