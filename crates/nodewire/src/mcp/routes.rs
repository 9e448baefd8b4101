//! The route, who may take it, and what is held while a request is answered.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::Full;
use http_body_util::combinators::BoxBody;
use hyper::body::{Frame, SizeHint};
use nodewire_json::Json;
use rmcp::ErrorData;
use rmcp::model::{ErrorCode, JsonRpcError};
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::service_fn;

use super::calls::Gone;
use super::config::McpConfig;
use super::counts::add;
use super::sessions::{Sessions, Use, noting_refusal};
use super::tools::{SessionTools, Shared};
use crate::http::{Access, Bodies, Problem, Room};

/// Where MCP is served.
pub(super) const PATH: &str = "/mcp";

const SESSION_ID: &str = "mcp-session-id";

/// A message is kept until the SDK could read it, to say what is wrong with it otherwise. Of a longer one we look for that
/// first, as it would be in memory twice while it is executed.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// What all requests share.
pub(super) struct Door {
    pub(super) shared: Arc<Shared>,
    pub(super) sessions: Arc<Sessions>,
    /// Requests that are being answered; streams that a client keeps open are not among them.
    pub(super) answering: TaskTracker,
    /// Ends all sessions and streams.
    pub(super) end: CancellationToken,
    pub(super) idle_timeout: Duration,
    sdk: StreamableHttpService<SessionTools, Sessions>,
    bodies: Bodies,
    body_timeout: Duration,
    access: Access,
    origins: Vec<String>,
}

impl Door {
    pub(super) fn new(config: McpConfig, shared: Arc<Shared>) -> Arc<Self> {
        let sessions = Sessions::new(&shared, config.sessions_max);
        let end = CancellationToken::new();
        let sdk_config = StreamableHttpServerConfig::default()
            .with_allowed_hosts(config.hosts)
            .with_sse_retry(None)
            .with_json_response(true)
            .with_cancellation_token(end.clone())
            .with_max_request_body_bytes(shared.options.message_bytes_max);
        let tools = {
            let shared = Arc::clone(&shared);
            move || Ok(SessionTools::new(&shared))
        };
        Arc::new(Self {
            sdk: StreamableHttpService::new(tools, Arc::clone(&sessions), sdk_config),
            sessions,
            answering: TaskTracker::new(),
            end,
            idle_timeout: config.idle_timeout,
            bodies: Bodies::new(shared.options.message_bytes_max, config.bodies_bytes_max),
            body_timeout: config.body_timeout,
            access: config.access,
            origins: config.origins,
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

    async fn handle(self: &Arc<Self>, request: Request<Body>) -> Result<Response, Problem> {
        self.admit(request.headers())?;
        let mut held = self.hold(&request)?;
        let is_post = request.method() == Method::POST;
        let (mut head, body) = request.into_parts();
        let body = match &mut held.room {
            Some(room) => self.read(&head.headers, body, room).await?,
            None => Bytes::new(),
        };
        // Without a session the SDK itself sees the end of the connection.
        if head.headers.contains_key(SESSION_ID) {
            let gone = CancellationToken::new();
            held.gone = Some(gone.clone().drop_guard());
            head.extensions.insert(Gone(gone));
        }
        let kept = (body.len() <= KEPT_BYTES_MAX).then(|| body.clone());
        if kept.is_none() && Json::parse_bytes(body.clone()).is_err() {
            return Err(no_message(Some(body)));
        }
        let request = Request::from_parts(head, Full::new(body));
        // Boxed, as it holds the request and all that may become of it.
        let answering = Box::pin(self.sdk.handle(request));
        let (response, was_refused) = noting_refusal(answering).await;
        if was_refused {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many_sessions",
                "all sessions are in use; try again later",
            ));
        }
        // It says so of what is no message, too. The media type is right, or nothing would have been read.
        if is_post && response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            return Err(no_message(kept));
        }
        Ok(response.map(|body| Body::new(Held { body, _held: held })))
    }

    /// What is held while the request is answered. Of its body nothing was read yet.
    fn hold(self: &Arc<Self>, request: &Request<Body>) -> Result<Hold, Problem> {
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

    /// All of a body, which is said to be JSON.
    async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        room: &mut Room,
    ) -> Result<Bytes, Problem> {
        if !is_json(headers) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "send `application/json`",
            ));
        }
        let read = tokio::time::timeout(self.body_timeout, self.bodies.read(body)).await;
        let body = read.map_err(|_| Problem::too_slow(self.body_timeout))??;
        room.keep(body.len());
        Ok(body)
    }
}

/// The route.
pub(super) fn router(door: &Arc<Door>) -> Router {
    let door = Arc::clone(door);
    let serve = move |request| serve(Arc::clone(&door), request);
    Router::new().route_service(PATH, service_fn(serve))
}

async fn serve(door: Arc<Door>, request: Request<Body>) -> Result<Response, Infallible> {
    let answered = door.handle(request).await;
    let response = answered.unwrap_or_else(IntoResponse::into_response);
    add(&door.shared.counts.requests);
    if response.status().is_client_error() || response.status().is_server_error() {
        add(&door.shared.counts.http_errors);
    }
    Ok(response)
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next());
    essence.is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json"))
}

/// The answer to what is no message: without an id, as none can be read. `None` is known to be JSON.
fn no_message(body: Option<Bytes>) -> Problem {
    let (code, text) = match body.map(Json::parse_bytes) {
        None | Some(Ok(_)) => (ErrorCode::INVALID_REQUEST, "the body is no message of MCP"),
        Some(Err(_)) => (ErrorCode::PARSE_ERROR, "the body is no JSON"),
    };
    let error = JsonRpcError::new(None, ErrorData::new(code, text, None));
    let body = Json::from_serialize(&error).unwrap_or_else(|_| Json::from(text));
    Problem::with_body(StatusCode::BAD_REQUEST, body)
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("shared", &self.shared)
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
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
    body: BoxBody<Bytes, Infallible>,
    _held: Hold,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
