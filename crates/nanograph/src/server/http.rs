//! The HTTP part of the port: status page and WebSocket upgrade. spec: nanograph 3, 4

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{
    ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::listener::Shared;
use super::{Backend, websocket};
use crate::message::text::{ObjectWriter, push_string, push_u64};

/// What a refused client is sent before its connection is dropped.
pub(super) const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n";

type Page = Response<Full<Bytes>>;

/// Serves one TCP connection: HTTP requests, and what follows once one of them is an upgrade.
pub(super) async fn serve<B: Backend>(server: &Shared<B>, stream: TcpStream) {
    let upgrade: Mutex<Option<OnUpgrade>> = Mutex::new(None);
    let keep = |on: OnUpgrade| *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(on);
    let service = service_fn(|mut request: Request<Incoming>| {
        let response = respond(server, &request);
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            keep(hyper::upgrade::on(&mut request));
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let limits = &server.options.limits;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes.max(8 << 10))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        result = connection => if let Err(error) = result {
            tracing::debug!(%error, "an HTTP connection ends");
        },
        () = server.stopping.cancelled() => return,
    }
    let upgrade = upgrade.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Some(Ok(upgraded)) = futures_util::future::OptionFuture::from(upgrade).await else {
        return;
    };
    if let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() {
        websocket::serve(server, parts.io.into_inner(), parts.read_buf.into()).await;
    }
}

fn respond<B: Backend>(server: &Shared<B>, request: &Request<Incoming>) -> Page {
    let answer = answer(
        server,
        request.method(),
        request.uri().path(),
        request.headers(),
    );
    server.stats.http_requests.increment();
    answer.unwrap_or_else(|refusal| {
        server.stats.http_refused.increment();
        *refusal
    })
}

fn answer<B: Backend>(
    server: &Shared<B>,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<Page, Box<Page>> {
    if path != "/" {
        return Err(refusal(StatusCode::NOT_FOUND, "404: Not Found", None));
    }
    if method != Method::GET && method != Method::HEAD {
        let allow = (ALLOW, HeaderValue::from_static("GET,HEAD"));
        return Err(refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "405: Method Not Allowed",
            Some(allow),
        ));
    }
    authorize(server, headers)?;
    if method == Method::GET && wants_upgrade(headers) {
        upgrade(headers)
    } else {
        Ok(status_page(server))
    }
}

fn authorize<B: Backend>(server: &Shared<B>, headers: &HeaderMap) -> Result<(), Box<Page>> {
    let Some(token) = &server.options.token else {
        return Ok(());
    };
    if headers
        .get(AUTHORIZATION)
        .is_some_and(|value| token.admits(value.as_bytes()))
    {
        return Ok(());
    }
    let challenge = (WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Err(refusal(
        StatusCode::UNAUTHORIZED,
        "401: Unauthorized",
        Some(challenge),
    ))
}

/// The headers are read as lists, as the standard has it; known servers want exactly one word. spec: nanograph 4, N5
fn wants_upgrade(headers: &HeaderMap) -> bool {
    names(headers, &CONNECTION, "upgrade") && names(headers, &UPGRADE, "websocket")
}

fn names(headers: &HeaderMap, header: &HeaderName, word: &str) -> bool {
    let values = headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(word))
}

fn upgrade(headers: &HeaderMap) -> Result<Page, Box<Page>> {
    let text = |header| {
        headers
            .get(header)
            .map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()))
    };
    let version = text(SEC_WEBSOCKET_VERSION).unwrap_or_default();
    if version != "13" {
        let supported = (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let message = format!("Unsupported version: {version}");
        return Err(refusal(StatusCode::BAD_REQUEST, message, Some(supported)));
    }
    let key = text(SEC_WEBSOCKET_KEY);
    let Some(key) = key.as_deref().filter(|key| is_websocket_key(key)) else {
        let shown = key.map_or_else(|| String::from("None"), |key| format!("'{key}'"));
        return Err(refusal(
            StatusCode::BAD_REQUEST,
            format!("Handshake error: {shown}"),
            None,
        ));
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.extend(accept.ok().map(|accept| (SEC_WEBSOCKET_ACCEPT, accept)));
    Ok(response)
}

/// Sixteen bytes as base64.
fn is_websocket_key(key: &str) -> bool {
    key.strip_suffix("==").is_some_and(|digits| {
        digits.len() == 22
            && digits
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
    })
}

fn status_page<B: Backend>(server: &Shared<B>) -> Page {
    let identity = &server.options.identity;
    let definitions = server.backend.definitions();
    let mut body = String::with_capacity(512);
    let mut page = ObjectWriter::new(&mut body);
    page.string("message", &identity.greeting);
    page.string("domain", &identity.domain);
    page.string("nanocoreHttpEndpoint", &identity.nanocore_http_endpoint);
    page.string("serverDisplayName", &identity.server_display_name);
    page.string("serverUid", &identity.server_uid);
    page.string("serverPackageId", &identity.server_package_id);
    push_u64(page.key("loadedNodes"), definitions.len() as u64);
    page.array("nodeUIDs", &definitions, |out, definition| {
        push_string(out, &definition.uid)
    });
    page.end();
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    response
}

fn refusal(
    status: StatusCode,
    body: impl Into<Bytes>,
    header: Option<(HeaderName, HeaderValue)>,
) -> Box<Page> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response.headers_mut().extend(header);
    Box::new(response)
}
