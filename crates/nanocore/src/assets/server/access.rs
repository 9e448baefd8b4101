//! Tokens, signatures and the `Host` header.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::Shared;
use crate::assets::tokens::Caller;
use crate::refusal::ApiError;

/// The part of a presigned address that proves it.
#[derive(Debug, Deserialize)]
pub(super) struct Signature {
    /// A number, unless somebody altered it.
    exp: Option<String>,
    sig: Option<String>,
}

/// Lets in whoever has a token; handlers find the [`Caller`] among the request's extensions.
pub(super) async fn require_token(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = check_token(&shared, request.headers())?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

fn check_token(shared: &Shared, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let (scheme, token) = given.split_once(' ').unwrap_or_default();
    let caller = scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| shared.config.tokens.check(token.trim()));
    caller
        .flatten()
        .ok_or_else(|| ApiError::unauthorized("the right token"))
}

/// A download needs the token or a signature for exactly this path.
pub(super) fn check_download(
    shared: &Shared,
    headers: &HeaderMap,
    path: &str,
    signature: &Signature,
) -> Result<(), ApiError> {
    let (expires, sig) = match signature {
        Signature {
            exp: None,
            sig: None,
        } => return check_token(shared, headers).map(drop),
        Signature {
            exp: Some(expires),
            sig: Some(sig),
        } => (expires.parse().ok(), sig),
        Signature { .. } => {
            return Err(ApiError::forbidden(
                "the address is not complete: exp and sig belong together",
            ));
        }
    };
    let signed = |expires: &u64| shared.config.tokens.master().verify(path, *expires, sig);
    let Some(expires) = expires.filter(signed) else {
        return Err(ApiError::forbidden(
            "the address was altered: its signature does not fit",
        ));
    };
    if expires < now_seconds() {
        return Err(ApiError::forbidden(
            "the address has expired; ask for a new one",
        ));
    }
    Ok(())
}

pub(super) fn now_seconds() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}

/// Which names the server answers to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    pub(super) loopback_only: bool,
}

/// A web page that lures a browser to this address by a name of its own is turned away. spec: nanograph 19.5
pub(super) async fn check_host(
    State(access): State<Access>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    if access.loopback_only && host.is_some_and(|host| !is_loopback(host)) {
        return Err(ApiError::forbidden(
            "this server answers to loopback names only",
        ));
    }
    Ok(next.run(request).await)
}

/// Whether the value of a `Host` header names this machine only.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn loopback_names() {
        assert!(
            [
                "localhost",
                "LOCALHOST:80",
                "127.0.0.1:3001",
                "127.9.9.9",
                "[::1]:80"
            ]
            .into_iter()
            .all(is_loopback)
        );
        assert!(
            ![
                "evil.example",
                "127.0.0.1.evil.example",
                "10.0.0.1:80",
                "",
                "[::2]"
            ]
            .into_iter()
            .any(is_loopback)
        );
    }
}
