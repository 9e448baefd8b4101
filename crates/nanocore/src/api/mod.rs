//! The HTTP API of the daemon: routes, and the OpenAPI document made from the same table. spec: nanograph 19.3, 19.4
//!
//! A route is added together with its description (`document.rs`), so that the document names each
//! and no other. Every address but `/health` wants the master token. Answers are camelCase; refusals are
//! `{"error": {"code", "message"}}`. Bodies, streams and connections are limited in number and size ([`ApiOptions`]).

mod about;
mod access;
mod assets;
mod body;
mod collect;
mod document;
mod metrics;
mod nodes;
mod paths;
mod runs;
mod servers;
mod stream;
mod streams;
mod ws;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::HeaderValue;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use nodewire_telemetry::Tracer;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::assets::{AssetService, AssetTransfer, Tokens};
use crate::connections::{ConnectionLimits, Connections};
use crate::db::Database;
use crate::events::EventHub;
use crate::refusal::{ApiError, tell_as_json};
use crate::runs::RunManager;
use crate::supervisor::Supervisor;
use crate::workflow::StepCounts;
use document::{Operation, Routes};

/// What all routes of the API begin with; others are there for tools that expect them so.
const PREFIX: &str = "/api/v1";

/// The limits of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiOptions {
    /// Connections at a time; further ones wait. Default 4,096.
    pub connections_max: usize,
    /// How long a request's head may take; a connection that is idle for so long is closed, too. WebSockets, bodies and
    /// answers are not meant. Default 30 s.
    pub head_timeout: Duration,
    /// The longest JSON body, in bytes. Default 20 MiB.
    pub body_bytes_max: usize,
    /// How long a JSON body may take to arrive. Default 60 s.
    pub body_timeout: Duration,
    /// Bodies in memory at a time; further ones wait unread. Default 16.
    pub bodies_max: usize,
    /// Streams of events and logs at a time; further ones are refused. Default 2,048.
    pub streams_max: usize,
    /// Origins whose pages may use the API, such as `https://ui.example`; `*` for all. Default none.
    pub allow_origins: Vec<String>,
    /// Folders of model files by kind, told below `/api/v1/paths`.
    pub model_paths: BTreeMap<String, PathBuf>,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            head_timeout: Duration::from_secs(30),
            body_bytes_max: 20 << 20,
            body_timeout: Duration::from_secs(60),
            bodies_max: 16,
            streams_max: 2_048,
            allow_origins: Vec::new(),
            model_paths: BTreeMap::new(),
        }
    }
}

/// What the API speaks for.
#[derive(Debug)]
pub(crate) struct ApiParts {
    pub(crate) tokens: Tokens,
    pub(crate) assets: AssetService,
    pub(crate) transfer: AssetTransfer,
    pub(crate) database: Database,
    pub(crate) events: EventHub,
    pub(crate) supervisor: Supervisor,
    pub(crate) runs: RunManager,
    /// What was sent to node servers.
    pub(crate) steps: StepCounts,
    /// Has counted what became of spans.
    pub(crate) tracer: Option<Tracer>,
    pub(crate) domain: String,
    /// Whether only loopback names lead here.
    pub(crate) loopback_only: bool,
    /// Ends streams.
    pub(crate) stop: CancellationToken,
    /// Cancelled when a client asks the daemon to end.
    pub(crate) asked_to_end: CancellationToken,
    pub(crate) options: ApiOptions,
}

/// What every request handler sees. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Api(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    parts: ApiParts,
    bodies: Semaphore,
    streams: Arc<Semaphore>,
    timed_out: Arc<AtomicU64>,
    started_at: Timestamp,
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Deref for Shared {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.parts
    }
}

impl Api {
    pub(crate) fn new(parts: ApiParts) -> Self {
        Self(Arc::new(Shared {
            bodies: Semaphore::new(parts.options.bodies_max.max(1)),
            streams: Arc::new(Semaphore::new(parts.options.streams_max)),
            timed_out: Arc::default(),
            started_at: Timestamp::now(),
            parts,
        }))
    }

    /// Serves all routes.
    pub(crate) fn serve(&self, listener: TcpListener) -> Connections {
        let limits = ConnectionLimits {
            connections_max: self.options.connections_max,
            head_timeout: self.options.head_timeout,
        };
        Connections::serve(listener, self.router(), limits, Arc::clone(&self.timed_out))
    }

    /// All routes, those of assets included.
    fn router(&self) -> Router {
        let api = || self.clone();
        let (closed, streams, open, document) = routes();
        let document = Arc::new(document);
        let closed = closed
            .route(
                OPENAPI,
                get(move || std::future::ready(Json(Arc::clone(&document)))),
            )
            .route_layer(from_fn_with_state(api(), access::require_token));
        let streams =
            streams.route_layer(from_fn_with_state(api(), access::require_token_or_query));
        closed
            .merge(streams)
            .merge(open)
            // Bodies have a limit of their own where they are read.
            .layer(DefaultBodyLimit::disable())
            .with_state(api())
            .merge(self.assets.router())
            .fallback(|| async { ApiError::not_found("there is nothing at this address") })
            .layer(from_fn(tell_as_json))
            .layer(from_fn_with_state(api(), access::share_with_origins))
            .layer(from_fn_with_state(api(), access::check_host))
    }

    fn allows_origin(&self, origin: &HeaderValue) -> bool {
        let mut allowed = self.options.allow_origins.iter();
        allowed.any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes())
    }

    fn stream_place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let place = Arc::clone(&self.streams).try_acquire_owned();
        place.map_err(|_| {
            ApiError::busy(format!(
                "there are {} streams already; close one or try again",
                self.options.streams_max
            ))
        })
    }
}

/// Where the document is.
const OPENAPI: &str = "/api/v1/openapi.json";

/// The OpenAPI document of the API.
#[must_use]
pub fn openapi() -> Value {
    routes().3
}

/// The routes that want the token in a header, those that take it from the address too, and those that want none; and
/// their document.
fn routes() -> (Router<Api>, Router<Api>, Router<Api>, Value) {
    let mut routes = Routes::new();
    about::add(&mut routes);
    servers::add(&mut routes);
    nodes::add(&mut routes);
    runs::add(&mut routes);
    paths::add(&mut routes);
    metrics::add(&mut routes);
    collect::add(&mut routes);
    assets::add(&mut routes);
    assets::describe(&mut routes);
    let any = routes.schema::<Value>();
    routes.describe(Operation::get(OPENAPI, "openapi", "This document").answer(
        200,
        "OpenAPI 3.1.",
        any,
    ));
    let closed = routes.take();
    servers::add_streams(&mut routes);
    runs::add_streams(&mut routes);
    ws::add(&mut routes);
    let streams = routes.take();
    about::add_open(&mut routes);
    let open = routes.take();
    (closed, streams, open, routes.finish())
}
