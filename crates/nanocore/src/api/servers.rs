//! Supervised node servers. spec: nanograph 12.6, 19.3

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream::{self, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Api;
use super::document::{Operation, Routes};
use super::stream::answer_texts;
use crate::refusal::ApiError;
use crate::registry::NameError;
use crate::request::{Params, Path};
use crate::supervisor::{Followed, LogLine, ServerStatus, SupervisorError};

/// Lines of a log that are told unless a number is asked for, and at most.
const TAIL: usize = 200;
const TAIL_MAX: usize = 10_000;

pub(super) fn add(routes: &mut Routes) {
    let servers = routes.schema::<Servers>();
    routes.add(
        Operation::get("/api/v1/servers", "servers", "All registered node servers").answer(
            200,
            "Servers, by uid.",
            servers,
        ),
        get(list),
    );
    let server = routes.schema::<ServerStatus>();
    routes.add(
        Operation::get(
            "/api/v1/servers/{uid}",
            "server",
            "One server, by uid, package id, display name or path",
        )
        .answer(200, "The server.", server.clone()),
        get(show),
    );
    let accepted = "It was told; its state follows.";
    routes.add(
        Operation::post(
            "/api/v1/servers/{uid}/start",
            "startServer",
            "Has a server run, also one that was given up",
        )
        .answer(202, accepted, server.clone()),
        post(start),
    );
    routes.add(
        Operation::post(
            "/api/v1/servers/{uid}/stop",
            "stopServer",
            "Has a server stop, when its executions have ended",
        )
        .answer(202, accepted, server.clone()),
        post(stop),
    );
    routes.add(
        Operation::post(
            "/api/v1/servers/{uid}/restart",
            "restartServer",
            "Has a server start anew, when its executions have ended",
        )
        .answer(202, accepted, server),
        post(restart),
    );
}

/// Adds what may be read with the token in the address.
pub(super) fn add_streams(routes: &mut Routes) {
    let (lines, query) = (routes.schema::<Lines>(), routes.query::<LogQuery>());
    let line = routes.schema::<LogLine>();
    routes.add(
        Operation::get(
            "/api/v1/servers/{uid}/logs",
            "serverLogs",
            "The last lines a server wrote, and on wish those that come, as server-sent events",
        )
        .query(query)
        .answer(200, "Lines, oldest first.", lines)
        .also(200, "text/event-stream", &line),
        get(logs),
    );
}

/// The registered servers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Servers {
    servers: Vec<ServerStatus>,
    /// Why the registry file cannot be read now; what it said before holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    registry_problem: Option<String>,
}

async fn list(State(api): State<Api>) -> Json<Servers> {
    Json(Servers {
        servers: api.supervisor.list(),
        registry_problem: api.supervisor.registry_problem(),
    })
}

async fn show(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<ServerStatus>, ApiError> {
    Ok(Json(api.supervisor.get(&name)?))
}

async fn start(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, ApiError> {
    Ok(accepted(api.supervisor.start_server(&name).await?))
}

async fn stop(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, ApiError> {
    Ok(accepted(api.supervisor.stop_server(&name).await?))
}

async fn restart(State(api): State<Api>, Path(name): Path<String>) -> Result<Response, ApiError> {
    Ok(accepted(api.supervisor.restart_server(&name).await?))
}

fn accepted(server: ServerStatus) -> Response {
    (StatusCode::ACCEPTED, Json(server)).into_response()
}

#[derive(Debug, Deserialize, JsonSchema)]
struct LogQuery {
    /// How many of the last lines; 200 by default, 10,000 at most.
    tail: Option<usize>,
    /// Go on with lines as they are written.
    #[serde(default)]
    follow: bool,
}

/// Lines that a server wrote.
#[derive(Debug, Serialize, JsonSchema)]
struct Lines {
    lines: Vec<Arc<LogLine>>,
}

async fn logs(
    State(api): State<Api>,
    Path(name): Path<String>,
    Params(query): Params<LogQuery>,
) -> Result<Response, ApiError> {
    let tail = query.tail.unwrap_or(TAIL).min(TAIL_MAX);
    if !query.follow {
        let lines = api.supervisor.logs(&name, tail)?;
        return Ok(Json(Lines { lines }).into_response());
    }
    let place = api.stream_place()?;
    let (lines, follower) = api.supervisor.follow(&name, tail)?;
    let before = stream::iter(lines).map(Followed::Line);
    let after = stream::unfold((follower, place), async |(mut follower, place)| {
        let followed = follower.next().await?;
        Some((followed, (follower, place)))
    });
    let texts = before.chain(after).map(|followed| match followed {
        // Texts, numbers and times: it cannot fail.
        Followed::Line(line) => serde_json::to_string(&line).unwrap_or_default(),
        Followed::Missed(missed) => json!({ "missed": missed }).to_string(),
    });
    Ok(answer_texts(api, texts))
}

impl From<SupervisorError> for ApiError {
    fn from(error: SupervisorError) -> Self {
        match &error {
            SupervisorError::Name(NameError::Unknown { .. }) => Self::not_found(error.to_string()),
            SupervisorError::Name(NameError::Ambiguous { .. }) => {
                Self::conflict("ambiguous", error.to_string())
            }
            SupervisorError::Stopping => Self::stopping(),
            SupervisorError::Registry(_) | SupervisorError::Records { .. } => {
                Self::internal(&error)
            }
        }
    }
}
