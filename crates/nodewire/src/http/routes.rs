//! The routes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use nodewire_core::{DynNode, NodeDefinition, Refusal, RefusalKind};
use nodewire_json::{Json, Member};
use serde_json::{Map, Value, json};

use super::access::Access;
use super::admission::Admission;
use super::answer::{once, stream};
use super::error::{self, Problem};
use super::openapi;
use super::read::{Form, read};
use super::shared::Shared;
use crate::capability::{Support, Wire, capabilities};
use crate::metrics::CONTENT_TYPE as CONTENT_TYPE_METRICS;
use crate::plain;

/// Answers everybody.
pub(super) const HEALTH: &str = "/healthz";

type Answer = Result<Response, Problem>;

pub(super) fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/nodes", get(nodes))
        .route("/nodes/{uid}", get(node))
        .route("/nodes/{uid}/execute", post(execute))
        .route("/openapi.json", get(api))
        .route("/stats", get(stats))
        .route("/metrics", get(metrics))
        .route(HEALTH, get(health))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(Admission::new(Arc::clone(shared)))
        .with_state(Arc::clone(shared))
}

async fn no_route() -> Problem {
    let text = "there is no such route; GET /openapi.json lists them";
    Problem::new(StatusCode::NOT_FOUND, "not_found", text)
}

async fn no_method() -> Problem {
    let text = "this route has another method; GET /openapi.json lists them";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", text)
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let (status, text) = if shared.is_leaving.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else {
        (StatusCode::OK, "ok")
    };
    error::json(status, Json::object([("status", Json::from(text))]))
}

async fn nodes(State(shared): State<Arc<Shared>>) -> Response {
    let definitions = shared.executor.registry().definitions();
    let nodes = definitions.iter().map(described).collect();
    let body = Json::object([
        ("server", Member::from(Json::from(shared.identity.told()))),
        ("nodes", Member::List(nodes)),
        ("capabilities", Member::from(wire())),
    ]);
    error::json(StatusCode::OK, body)
}

async fn node(
    State(shared): State<Arc<Shared>>,
    uid: Result<Path<String>, PathRejection>,
) -> Answer {
    let node = find(&shared, &path(uid)?)?;
    let definition = node.definition();
    let body = Json::object([
        ("definition", plain::definition(definition)),
        ("schema", plain::schema(definition)),
        ("capabilities", wire()),
    ]);
    Ok(error::json(StatusCode::OK, body))
}

async fn execute(
    State(shared): State<Arc<Shared>>,
    uid: Result<Path<String>, PathRejection>,
    request: Request,
) -> Answer {
    let uid = path(uid)?;
    // On every other wire it is the executor that refuses, and counts.
    let count = |_: &Problem| shared.executor.refused(&uid, RefusalKind::UnknownNode);
    let node = find(&shared, &uid).inspect_err(count)?;
    let asked = read(&shared, uid, node.definition(), request).await?;
    match asked.form {
        Form::Events => stream(&shared, asked),
        Form::Json | Form::Bytes => once(&shared, asked).await,
    }
}

async fn api(State(shared): State<Arc<Shared>>) -> Response {
    let definitions = shared.executor.registry().definitions();
    let has_token = matches!(shared.config.access, Access::Token(_));
    let document = openapi::document(&shared.identity, &definitions, has_token);
    error::json(StatusCode::OK, document.into())
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Answer {
    let text = shared.metrics.text().map_err(|_| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, "internal", "the metrics cannot be written")
    })?;
    Ok(([(CONTENT_TYPE, CONTENT_TYPE_METRICS)], text).into_response())
}

async fn stats(State(shared): State<Arc<Shared>>) -> Response {
    let nodes = shared.executor.registry().stats();
    let nodes = nodes.iter();
    let nodes = Json::object(nodes.map(|node| (node.uid.as_str(), plain::stats(node))));
    let lost = shared.losses.snapshot().into_iter();
    let lost: Map<_, _> = lost
        .filter(|lost| lost.wire == Wire::Http)
        .map(|lost| (lost.feature.name().to_owned(), json!(lost.executions)))
        .collect();
    let body = Json::object([
        ("executor", plain::counters(&shared.executor.counters())),
        ("nodes", nodes),
        ("http", shared.counts.told(&shared.connections).into()),
        ("lost", Value::Object(lost).into()),
    ]);
    error::json(StatusCode::OK, body)
}

fn path(uid: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let invalid = |error: PathRejection| {
        Problem::new(StatusCode::BAD_REQUEST, "invalid_input", &error.body_text())
    };
    uid.map(|Path(uid)| uid).map_err(invalid)
}

fn find(shared: &Shared, uid: &str) -> Result<Arc<dyn DynNode>, Problem> {
    let node = shared.executor.registry().get(uid);
    node.ok_or_else(|| Refusal::UnknownNode(uid.to_owned()).into())
}

fn described(definition: &NodeDefinition) -> Json {
    Json::object([
        ("definition", plain::definition(definition)),
        ("schema", plain::schema(definition)),
    ])
}

/// What the wire can express, by feature.
fn wire() -> Json {
    let features = capabilities(Wire::Http).map(|(feature, support)| {
        let text = match support {
            Support::Full => "full".to_owned(),
            Support::As(form) => format!("as: {form}"),
            Support::No(reason) => format!("no: {reason}"),
        };
        (feature.name(), Json::from(text.as_str()))
    });
    Json::object(features)
}
