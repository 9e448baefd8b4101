//! Runs: submitted, listed, looked at, aborted, repeated, forgotten; and their queue. spec: nanograph 19.3

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use nodewire_telemetry::{TraceParent, TraceState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::body::JsonBody;
use super::document::{Operation, Routes};
use super::stream::answer;
use super::streams::{Resume, Watch};
use crate::refusal::{ApiError, ErrorBody};
use crate::request::{Params, Path};
use crate::runs::{
    Aborted, NodeRecord, Page, QueueChange, QueueChanged, QueueView, Rerun, RunError, RunFilter,
    RunRecord, RunRequest, RunState, RunSummary, SubmitError, Submitted, Validation,
};
use crate::workflow::Problem;

/// The header that makes a submission happen once, however often it is sent.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// W3C trace context.
const TRACE_PARENT: &str = "traceparent";
const TRACE_STATE: &str = "tracestate";
const KEY_BYTES_MAX: usize = 255;

pub(super) fn add(routes: &mut Routes) {
    add_submissions(routes);
    add_records(routes);
    let aborted = routes.schema::<Aborted>();
    routes.add(
        Operation::post("/api/v1/runs/{id}/abort", "abortRun", "Stops a run").answer(
            202,
            "It is stopping, or had ended.",
            aborted,
        ),
        post(abort),
    );
    routes.add(
        Operation::delete(
            "/api/v1/runs/{id}",
            "deleteRun",
            "Forgets a run that has ended, or takes one that waits out of the queue",
        )
        .empty(204, "It is forgotten."),
        delete(forget),
    );
    let queue = routes.schema::<QueueView>();
    routes.add(
        Operation::get("/api/v1/queue", "queue", "Who runs and who waits").answer(
            200,
            "The queue.",
            queue,
        ),
        get(show_queue),
    );
    let (change, changed) = (
        routes.schema::<QueueChange>(),
        routes.schema::<QueueChanged>(),
    );
    routes.add(
        Operation::post(
            "/api/v1/queue",
            "changeQueue",
            "Takes runs out of the queue",
        )
        .body(change)
        .answer(200, "What was taken out.", changed),
        post(change_queue),
    );
}

fn add_submissions(routes: &mut Routes) {
    let (request, invalid) = (routes.schema::<RunRequest>(), routes.schema::<Invalid>());
    let (submitted, validation) = (routes.schema::<Submitted>(), routes.schema::<Validation>());
    routes.add(
        Operation::post(
            "/api/v1/validate",
            "validate",
            "What is wrong with a request, and which nodes it would run",
        )
        .body(request.clone())
        .answer(
            200,
            "Without errors among the problems it can run.",
            validation,
        ),
        post(validate),
    );
    routes.add(
        Operation::post("/api/v1/runs", "submitRun", "Puts a run into the queue")
            .header(
                "Idempotency-Key",
                "The same request with the same key gives the same run; at most 255 bytes.",
            )
            .header("traceparent", "W3C: the trace that the run is part of.")
            .header(
                "tracestate",
                "W3C: what tracing systems added to it; passed on.",
            )
            .body(request)
            .answer(202, "It is kept on disk and waits.", submitted.clone())
            .answer(422, "The graph cannot run.", invalid.clone()),
        post(submit),
    );
    let rerun = routes.schema::<Rerun>();
    routes.add(
        Operation::post(
            "/api/v1/runs/{id}/rerun",
            "rerun",
            "Runs a run's request again, as it was or with changes",
        )
        .header(
            "Idempotency-Key",
            "The same rerun with the same key gives the same run; at most 255 bytes.",
        )
        .header("traceparent", "W3C: the trace that the run is part of.")
        .header(
            "tracestate",
            "W3C: what tracing systems added to it; passed on.",
        )
        .body(rerun)
        .answer(202, "A new run, kept on disk and waiting.", submitted)
        .answer(422, "The graph cannot run.", invalid),
        post(run_again),
    );
}

fn add_records(routes: &mut Routes) {
    let (page, query) = (
        routes.schema::<Page<RunSummary>>(),
        routes.query::<ListQuery>(),
    );
    routes.add(
        Operation::get("/api/v1/runs", "runs", "Runs, newest first")
            .query(query)
            .answer(200, "A page.", page),
        get(list),
    );
    let record = routes.schema::<RunRecord>();
    routes.add(
        Operation::get(
            "/api/v1/runs/{id}",
            "run",
            "All about a run; large values by address",
        )
        .answer(200, "The run.", record),
        get(show),
    );
    let node = routes.schema::<NodeRecord>();
    routes.add(
        Operation::get(
            "/api/v1/runs/{id}/nodes/{nodeId}",
            "runNode",
            "A node of a run, with all its values",
        )
        .answer(200, "The node.", node),
        get(show_node),
    );
}

/// Adds what may be read with the token in the address.
pub(super) fn add_streams(routes: &mut Routes) {
    let (event, query) = (
        routes.schema::<serde_json::Value>(),
        routes.query::<Resume>(),
    );
    routes.add(
        Operation::get(
            "/api/v1/runs/{id}/events",
            "runEvents",
            "The events of a run as server-sent events, to its end",
        )
        .query(query)
        .header(
            "Last-Event-ID",
            "The `id` of the last event, `<epoch>.<seq>`; `since` goes before it.",
        )
        .answer_of(
            200,
            "`hello` comes first, then `reset` if events are missing, then events.",
            "text/event-stream",
            &event,
        ),
        get(events),
    );
}

/// A graph that cannot run, and everything that is wrong with it.
#[derive(Debug, Serialize, JsonSchema)]
struct Invalid {
    #[serde(flatten)]
    error: ErrorBody,
    problems: Vec<Problem>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    /// Only those in this state.
    status: Option<String>,
    /// Only those that this client submitted.
    client_id: Option<String>,
    /// How many at most; 100 by default, 1,000 at most.
    limit: Option<usize>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

async fn validate(
    State(api): State<Api>,
    JsonBody(request): JsonBody<RunRequest>,
) -> Result<Json<Validation>, Response> {
    // A large graph takes its time, which others must not wait for.
    let runs = api.runs.clone();
    let looked = tokio::task::spawn_blocking(move || runs.validate(&request)).await;
    let looked = looked.map_err(|error| ApiError::internal(&error).into_response())?;
    looked.map(Json).map_err(refused)
}

async fn submit(
    State(api): State<Api>,
    headers: HeaderMap,
    JsonBody(mut request): JsonBody<RunRequest>,
) -> Result<Response, Response> {
    let key = idempotency_key(&headers).map_err(IntoResponse::into_response)?;
    let trace = (&mut request.traceparent, &mut request.tracestate);
    add_trace(trace, &headers);
    let submitted = api.runs.submit(request, key).await;
    submitted.map(accepted).map_err(refused)
}

async fn run_again(
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(mut rerun): JsonBody<Rerun>,
) -> Result<Response, Response> {
    let key = idempotency_key(&headers).map_err(IntoResponse::into_response)?;
    let overrides = &mut rerun.overrides;
    let trace = (&mut overrides.traceparent, &mut overrides.tracestate);
    add_trace(trace, &headers);
    let submitted = api.runs.rerun(&id, rerun, key).await;
    submitted.map(accepted).map_err(refused)
}

/// What the headers say of the trace, where the body names none.
fn add_trace((parent, state): (&mut Option<String>, &mut Option<String>), headers: &HeaderMap) {
    if parent.is_some() {
        return;
    }
    *parent = trace_parent(headers);
    *state = parent.as_ref().and_then(|_| trace_state(headers));
}

fn trace_state(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(TRACE_STATE).iter();
    let texts: Result<Vec<_>, _> = all.map(HeaderValue::to_str).collect();
    Some(TraceState::join(texts.ok()?)?.to_string())
}

/// One that cannot be read counts as none, as its standard says.
fn trace_parent(headers: &HeaderMap) -> Option<String> {
    let mut given = headers.get_all(TRACE_PARENT).iter();
    let (Some(parent), None) = (given.next(), given.next()) else {
        return None;
    };
    Some(TraceParent::parse(parent.to_str().ok()?)?.to_string())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = key.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(ApiError::bad_request(format!(
            "Idempotency-Key: must be 1 to {KEY_BYTES_MAX} ASCII characters"
        )));
    }
    Ok(Some(key.to_owned()))
}

fn accepted<T: Serialize>(answer: T) -> Response {
    (StatusCode::ACCEPTED, Json(answer)).into_response()
}

async fn list(
    State(api): State<Api>,
    Params(query): Params<ListQuery>,
) -> Result<Json<Page<RunSummary>>, ApiError> {
    let status = query.status.as_deref().map(RunState::from_word);
    let mut wrong = Vec::new();
    if let (Some(word), Some(None)) = (&query.status, status) {
        wrong.push(format!("status: \"{word}\" is no state of a run"));
    }
    if let Some(cursor) = query
        .cursor
        .clone()
        .filter(|cursor| !RunFilter::is_cursor(cursor))
    {
        wrong.push(RunError::BadCursor { cursor }.to_string());
    }
    if !wrong.is_empty() {
        return Err(ApiError::bad_request(wrong.join("; ")));
    }
    let filter = RunFilter {
        status: status.flatten(),
        client_id: query.client_id,
        limit: query.limit,
        cursor: query.cursor,
    };
    Ok(Json(api.runs.list(filter).await?))
}

async fn show(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<RunRecord>, ApiError> {
    Ok(Json(api.runs.get(&id).await?))
}

async fn show_node(
    State(api): State<Api>,
    Path((id, node_id)): Path<(String, String)>,
) -> Result<Json<NodeRecord>, ApiError> {
    let number = node_id.parse();
    let node_id = number.map_err(|_| ApiError::bad_request("a node's id is a number"))?;
    Ok(Json(api.runs.node(&id, node_id).await?))
}

async fn abort(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, ApiError> {
    Ok(accepted(api.runs.abort(&id).await?))
}

async fn forget(State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    api.runs.delete(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn show_queue(State(api): State<Api>) -> Json<QueueView> {
    Json(api.runs.queue())
}

async fn change_queue(
    State(api): State<Api>,
    JsonBody(change): JsonBody<QueueChange>,
) -> Result<Json<QueueChanged>, ApiError> {
    Ok(Json(api.runs.change_queue(change).await?))
}

async fn events(
    State(api): State<Api>,
    Path(id): Path<String>,
    Params(mut resume): Params<Resume>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if let Some(id) = headers.get("last-event-id") {
        resume.after_event(id.to_str().unwrap_or_default());
    }
    // Before the run is looked at, so that its end is not missed in between.
    let watch = Watch::run(&api, &resume, &id)?;
    let run = api.runs.get(&id).await?.summary;
    Ok(answer(api, watch, run))
}

fn refused(error: SubmitError) -> Response {
    let message = error.to_string();
    let refusal = match error {
        SubmitError::Invalid { problems } => {
            let code = "invalid_graph";
            let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, message).body();
            let body = Json(Invalid { error, problems });
            return (StatusCode::UNPROCESSABLE_ENTITY, body).into_response();
        }
        SubmitError::BadRequest { .. } => ApiError::bad_request(message),
        SubmitError::TooLarge { .. } => ApiError::too_large(message),
        SubmitError::QueueFull { .. } => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "queue_full", message)
        }
        SubmitError::KeyReused { .. } => ApiError::conflict("key_reused", message),
        SubmitError::NotFound { .. } => ApiError::not_found(message),
        SubmitError::Stopping => ApiError::stopping(),
        SubmitError::Database(error) => ApiError::internal(&error),
    };
    refusal.into_response()
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        match &error {
            RunError::NotFound { .. } | RunError::NodeNotFound { .. } => {
                Self::not_found(error.to_string())
            }
            RunError::Active { .. } => Self::conflict("active", error.to_string()),
            RunError::BadCursor { .. } => Self::bad_request(error.to_string()),
            RunError::Database(error) => Self::internal(error),
        }
    }
}
