//! The route, who may take it, and what is held while a request is answered.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{RequestExt, Router};
use hyper::body::{Frame, SizeHint};
use nodewire_json::Json;
use rmcp::ErrorData;
use rmcp::model::{ErrorCode, JsonRpcError};
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::calls::Gone;
use super::config::McpConfig;
use super::counts::add;
use super::sessions::{Sessions, Use, Visit};
use super::tools::{SessionTools, Shared};
use crate::http::{Access, Bodies, Problem, Room};

/// Where MCP is served.
pub(super) const PATH: &str = "/mcp";

const SESSION_ID: &str = "mcp-session-id";

/// What all requests share.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) shared: Arc<Shared>,
    pub(super) sessions: Arc<Sessions>,
    /// Requests that are being answered; streams that a client keeps open are not among them.
    pub(super) answering: TaskTracker,
    /// Ends all sessions and streams.
    pub(super) end: CancellationToken,
    pub(super) idle_timeout: Duration,
    bodies: Bodies,
    body_timeout: Duration,
    access: Access,
    origins: Vec<String>,
    hosts: Vec<String>,
}

impl Door {
    pub(super) fn new(config: McpConfig, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            sessions: Sessions::new(&shared, config.sessions_max),
            answering: TaskTracker::new(),
            end: CancellationToken::new(),
            idle_timeout: config.idle_timeout,
            bodies: Bodies::new(shared.options.message_bytes_max, config.bodies_bytes_max),
            body_timeout: config.body_timeout,
            access: config.access,
            origins: config.origins,
            hosts: config.hosts,
            shared,
        })
    }

    /// Lets in who may.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        self.access.check(headers)?;
        let is_allowed = |origin: &[u8]| {
            let mut origins = self.origins.iter();
            origins.any(|own| own.as_bytes().eq_ignore_ascii_case(origin))
        };
        match headers.get(ORIGIN) {
            Some(origin) if !is_allowed(origin.as_bytes()) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "pages of this origin may not call; the server's configuration lists those that may",
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn sdk_config(&self) -> StreamableHttpServerConfig {
        StreamableHttpServerConfig::default()
            .with_allowed_hosts(&self.hosts)
            .with_sse_retry(None)
            .with_json_response(true)
            .with_cancellation_token(self.end.clone())
            .with_max_request_body_bytes(self.shared.options.message_bytes_max)
    }

    async fn handle(self: &Arc<Self>, request: Request) -> Result<Response, Problem> {
        self.admit(request.headers())?;
        let mut held = self.hold(&request)?;
        let gone = CancellationToken::new();
        held.gone = Some(gone.clone().drop_guard());
        let is_post = request.method() == Method::POST;
        let mut request = self.with_body(request, &mut held).await?;
        request.extensions_mut().insert(Gone(gone));
        let visit = Visit::new(&self.sessions);
        let shared = Arc::clone(&self.shared);
        let tools = move || Ok(SessionTools::new(&shared));
        let sdk = StreamableHttpService::new(tools, Arc::clone(&visit), self.sdk_config());
        // Boxed, as it holds the request and all that may become of it.
        let response = Box::pin(sdk.handle(request)).await;
        if visit.was_refused() {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many_sessions",
                "all sessions are in use; try again later",
            ));
        }
        // It says so of what is no message, too.
        if is_post && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            let text = "the body is no message of MCP";
            return Err(no_message(ErrorCode::INVALID_REQUEST, text));
        }
        Ok(response.map(|body| {
            Body::new(Held {
                body: Body::new(body),
                _held: held,
            })
        }))
    }

    /// What is held while the request is answered. Of its body nothing was read yet.
    fn hold(self: &Arc<Self>, request: &Request) -> Result<Hold, Problem> {
        let is_post = request.method() == Method::POST;
        let id = request.headers().get(SESSION_ID);
        let id = id.and_then(|id| id.to_str().ok());
        Ok(Hold {
            gone: None,
            room: is_post.then(|| self.bodies.room(request)).transpose()?,
            _session: id.and_then(|id| self.sessions.begin_use(id)),
            _answering: is_post.then(|| self.answering.token()),
        })
    }

    /// The request with all of its body, which is JSON.
    async fn with_body(&self, request: Request, held: &mut Hold) -> Result<Request, Problem> {
        let Some(room) = &mut held.room else {
            return Ok(request);
        };
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "send `application/json`",
            ));
        }
        let (parts, body) = request.into_parts();
        let mut reading = Request::new(body);
        DefaultBodyLimit::max(self.shared.options.message_bytes_max).apply(&mut reading);
        let read = tokio::time::timeout(self.body_timeout, reading.extract::<Bytes, _>()).await;
        let body = read
            .map_err(|_| Problem::too_slow(self.body_timeout))?
            .map_err(|error| self.bodies.problem(&error))?;
        room.keep(body.len());
        if Json::parse_bytes(body.clone()).is_err() {
            return Err(no_message(ErrorCode::PARSE_ERROR, "the body is no JSON"));
        }
        Ok(Request::from_parts(parts, Body::from(body)))
    }
}

/// The route.
pub(super) fn router(door: &Arc<Door>) -> Router {
    Router::new()
        .route(PATH, any(serve))
        .with_state(Arc::clone(door))
}

async fn serve(State(door): State<Arc<Door>>, request: Request) -> Response {
    let answered = door.handle(request).await;
    let response = answered.unwrap_or_else(IntoResponse::into_response);
    add(&door.shared.counts.requests);
    if response.status().is_client_error() || response.status().is_server_error() {
        add(&door.shared.counts.http_errors);
    }
    response
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next());
    essence.is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json"))
}

/// The answer to what is no message: without an id, as none can be read.
fn no_message(code: ErrorCode, text: &'static str) -> Problem {
    let error = JsonRpcError::new(None, ErrorData::new(code, text, None));
    let body = Json::from_serialize(&error).unwrap_or_else(|_| Json::from(text));
    Problem::with_body(StatusCode::BAD_REQUEST, body)
}

/// What a request holds until its answer has gone out, or its connection has ended.
struct Hold {
    gone: Option<DropGuard>,
    room: Option<Room>,
    _session: Option<Use>,
    _answering: Option<TaskTrackerToken>,
}

/// An answer's body, and what is held for it.
struct Held {
    body: Body,
    _held: Hold,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
