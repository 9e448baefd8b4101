//! Who may call: tokens, the `Host` header, and pages of other origins. spec: nanograph 19, 19.5

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use crate::assets::{Caller, is_loopback};
use crate::refusal::ApiError;

/// How long a browser may remember what is allowed, in seconds.
const PREFLIGHT_SECONDS: &str = "600";

/// Lets in whoever has the master token.
pub(super) async fn require_token(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    check(&api, bearer(request.headers()))?;
    Ok(next.run(request).await)
}

/// As [`require_token`], and takes the token from the address too: browsers cannot send headers with event streams.
pub(super) async fn require_token_or_query(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let in_query = query_token(request.uri().query().unwrap_or_default());
    check(&api, bearer(request.headers()).or(in_query.as_deref()))?;
    Ok(next.run(request).await)
}

fn check(api: &Api, token: Option<&str>) -> Result<(), ApiError> {
    match token.and_then(|token| api.tokens.check(token)) {
        Some(Caller::Master) => Ok(()),
        Some(Caller::Server(_)) => Err(ApiError::forbidden(
            "the token of a node server is good for assets and resources only",
        )),
        None => Err(ApiError::unauthorized("the token of the data folder")),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = given.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn query_token(query: &str) -> Option<String> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("token="))?;
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    decoded.ok().map(std::borrow::Cow::into_owned)
}

/// A web page that lures a browser to a loopback address by a name of its own is turned away.
pub(super) async fn check_host(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let host = request
        .headers()
        .get(header::HOST)
        .map(|host| host.to_str().unwrap_or_default());
    if api.loopback_only && host.is_some_and(|host| !is_loopback(host)) {
        return Err(ApiError::forbidden(
            "this daemon answers to loopback names only",
        ));
    }
    Ok(next.run(request).await)
}

/// Lets pages of the allowed origins read answers; none are by default.
pub(super) async fn share_with_origins(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let Some(origin) = origin.filter(|origin| api.allows_origin(origin)) else {
        return next.run(request).await;
    };
    let asks_before = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks_before {
        preflight()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    response
}

fn preflight() -> Response {
    let allowed = [
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, HEAD, POST, PATCH, DELETE",
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Filename",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_the_address_is_decoded() {
        assert_eq!(query_token("since=1&token=a%20b").as_deref(), Some("a b"));
        assert_eq!(query_token("xtoken=a"), None);
    }
}
