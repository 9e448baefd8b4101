//! What the daemon says of itself, and how it is told to end.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::assets::AssetStoreStatus;
use super::document::{Operation, Routes};

/// The one address that answers without a token.
pub(super) const HEALTH: &str = "/health";

/// Adds what needs no token.
pub(super) fn add_open(routes: &mut Routes) {
    let health = routes.schema::<Health>();
    routes.add(
        Operation::get(HEALTH, "health", "Whether the daemon lives; needs no token").answer(
            200,
            "It lives.",
            health,
        ),
        get(|| async { Json(Health { status: "ok" }) }),
    );
}

pub(super) fn add(routes: &mut Routes) {
    let info = routes.schema::<Info>();
    routes.add(
        Operation::get("/api/v1/info", "info", "Version, domain and limits").answer(
            200,
            "About the daemon.",
            info,
        ),
        get(show),
    );
    routes.add(
        Operation::post(
            "/api/v1/shutdown",
            "shutdown",
            "Ends the daemon: runs, then node servers, then itself",
        )
        .empty(202, "It is ending."),
        post(shutdown),
    );
}

#[derive(Debug, Serialize, JsonSchema)]
struct Health {
    status: &'static str,
}

/// About the daemon.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Info {
    /// Of the program.
    version: &'static str,
    /// What its assets' addresses name.
    domain: String,
    /// Its process.
    pid: u32,
    /// The base address that node servers use.
    endpoint: String,
    #[schemars(with = "String")]
    started_at: Timestamp,
    /// Tells the numbers of this process's events from those of another.
    epoch: String,
    /// The number of the newest event.
    seq: u64,
    /// The NATS on which servers are looked for whose entry names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    nats: Option<Nats>,
    /// For people: why the database cannot be written now, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    database_problem: Option<String>,
    /// Runs that have ended, but whose end is not on disk yet for that reason.
    runs_not_kept: usize,
    /// Where the contents of assets lie.
    asset_store: AssetStoreStatus,
    limits: Limits,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Nats {
    /// Its address, without credentials.
    url: String,
    /// Whether it is a broker inside the daemon.
    embedded: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Limits {
    /// Longest JSON body, in bytes.
    body_bytes_max: usize,
    /// Events kept for watchers that come back.
    events_kept: usize,
    /// Watchers at a time.
    streams_max: usize,
    /// Runs that are executed at a time.
    active_runs: usize,
    /// Runs that may wait.
    queued_runs: usize,
    /// Nodes that are executed at a time, over all servers.
    nodes_in_flight: usize,
    /// Nodes at a time on a server that has no limit of its own.
    nodes_in_flight_per_server: usize,
    /// Finished runs that are kept.
    history_runs: usize,
    /// What they may take together, in bytes.
    history_bytes: u64,
    /// The largest asset, in bytes.
    max_asset_size: u64,
}

async fn show(State(api): State<Api>) -> Json<Info> {
    let runs = api.runs.options();
    let unkept = api.runs.unkept();
    let runs_not_kept = unkept.as_ref().map_or(0, |unkept| unkept.runs);
    let database_problem = match unkept {
        Some(unkept) => Some(unkept.error.to_string()),
        None => api
            .database
            .trouble()
            .await
            .map(|now| now.error.to_string()),
    };
    Json(Info {
        version: env!("CARGO_PKG_VERSION"),
        domain: api.domain.clone(),
        pid: std::process::id(),
        endpoint: api.assets.endpoint().to_owned(),
        started_at: api.started_at,
        epoch: api.events.epoch().to_owned(),
        seq: api.events.seq(),
        nats: api
            .supervisor
            .nats()
            .map(|(url, embedded)| Nats { url, embedded }),
        database_problem,
        runs_not_kept,
        asset_store: AssetStoreStatus::of(api.assets.store()),
        limits: Limits {
            body_bytes_max: api.options.body_bytes_max,
            events_kept: api.events.options().events_max,
            streams_max: api.options.streams_max,
            active_runs: runs.active_max,
            queued_runs: runs.waiting_max,
            nodes_in_flight: runs.limits.in_flight,
            nodes_in_flight_per_server: runs.limits.in_flight_per_server,
            history_runs: runs.history_max,
            history_bytes: runs.history_bytes_max,
            max_asset_size: api.assets.store().options().asset_bytes_max,
        },
    })
}

async fn shutdown(State(api): State<Api>) -> StatusCode {
    api.asked_to_end.cancel();
    StatusCode::ACCEPTED
}
