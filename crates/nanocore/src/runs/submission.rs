//! Accepts a run.

use std::collections::HashSet;
use std::sync::Arc;

use nodewire_json::Json;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::SubmitError;
use super::calls::Submitted;
use super::options::count;
use super::planning::with_dependants;
use super::record::{NodeRecord, Time};
use super::request::{Overrides, RunRequest, bad};
use super::room;
use super::shared::Shared;
use super::store::{self, Filled, Inserted, Known, NewRun, Rerun};
use crate::workflow::{Graph, InvalidGraph, Level, Problem};

const KEY_BYTES_MAX: usize = 255;

/// What is to be accepted.
pub(super) struct Submission {
    pub(super) request: RunRequest,
    pub(super) idempotency_key: Option<String>,
    pub(super) rerun: Option<Rerun>,
    /// Tells whether another submission with the same key is the same.
    pub(super) hash: [u8; 32],
}

impl Submission {
    pub(super) fn new(request: RunRequest, idempotency_key: Option<String>) -> Self {
        let hash = hash(&request);
        Self {
            request,
            idempotency_key,
            rerun: None,
            hash,
        }
    }
}

/// Checks a submission, writes it down, and enters it into the queue.
pub(super) async fn accept(
    shared: &Arc<Shared>,
    submission: Submission,
) -> Result<Submitted, SubmitError> {
    if shared.stopping.is_cancelled() {
        return Err(SubmitError::Stopping);
    }
    submission.request.check(shared.options.request_bytes_max)?;
    let hash = submission.hash;
    if let Some(known) = known(shared, submission.idempotency_key.as_deref()).await? {
        return again(known, &hash);
    }
    let checking = shared.clone();
    // A large graph takes a while.
    let checked = tokio::task::spawn_blocking(move || check(&checking, submission)).await;
    let (submission, graph, warnings) = checked.unwrap_or(Err(SubmitError::Stopping))?;
    let priority = submission.request.priority;
    let waiting_max = shared.options.waiting_max;
    let reserved = shared.queue().reserve(priority, waiting_max);
    let Some(position) = reserved else {
        count(&shared.counts.refused);
        return Err(SubmitError::QueueFull { waiting_max });
    };
    let run = new_run(submission, &graph, (position, &warnings));
    let run_id = run.run_id.clone();
    let repeated = run.rerun.as_ref().map(|rerun| rerun.run_id.clone());
    let insert = move |connection: &rusqlite::Connection| store::insert(connection, &run);
    let inserted = room::write_sparing(&shared.db, repeated.unwrap_or_default(), insert).await;
    enter(shared, &run_id, priority, position, inserted.as_ref().ok());
    match inserted? {
        Inserted::Known(known) => again(known, &hash),
        Inserted::New { .. } => Ok(Submitted {
            run_id: run_id.to_string(),
            position: position as u64,
            warnings,
            is_known: false,
        }),
    }
}

/// Uses the reserved place, or gives it back.
fn enter(
    shared: &Arc<Shared>,
    run_id: &Arc<str>,
    priority: i32,
    position: usize,
    inserted: Option<&Inserted>,
) {
    let mut queue = shared.queue();
    queue.unreserve();
    let Some(Inserted::New { seq }) = inserted else {
        return;
    };
    // Told before anybody can start it.
    shared
        .events
        .publish("run_queued", Some(run_id), json!({ "position": position }));
    queue.enter(run_id.clone(), *seq, priority);
    drop(queue);
    count(&shared.counts.submitted);
    shared.publish_queue();
    shared.start_next();
}

async fn known(shared: &Shared, key: Option<&str>) -> Result<Option<Known>, SubmitError> {
    let Some(key) = key.map(str::to_owned) else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(bad(format!(
            "an idempotency key has 1 to {KEY_BYTES_MAX} bytes"
        )));
    }
    Ok(shared
        .db
        .read(move |connection| store::find_key(connection, &key))
        .await?)
}

/// The first answer again.
fn again(known: Known, hash: &[u8; 32]) -> Result<Submitted, SubmitError> {
    let Known {
        run_id,
        request_hash,
        answer,
    } = known;
    if request_hash != hash {
        return Err(SubmitError::KeyReused { run_id });
    }
    let answer = Json::parse(answer).unwrap_or_default();
    let position = answer
        .get("position")
        .and_then(|position| position.decode().ok());
    Ok(Submitted {
        run_id,
        position: position.unwrap_or_default(),
        warnings: answer.get("warnings").unwrap_or_else(|| Json::array([])),
        is_known: true,
    })
}

fn check(
    shared: &Shared,
    submission: Submission,
) -> Result<(Submission, Graph, Json), SubmitError> {
    let graph = submission.request.graph()?;
    let mut options = shared.run_options(&submission.request);
    if let Some(rerun) = &submission.rerun {
        let empty = Json::parse("{}").unwrap_or_default();
        options.finished = rerun.keep.iter().map(|id| (*id, empty.clone())).collect();
    }
    let problems = shared.engine.check(&graph, &options);
    let checked = InvalidGraph { problems };
    let waits = submission.request.wait_servers && checked.lacks_offers_only();
    let mut problems = checked.problems;
    if problems.iter().any(Problem::is_error) && !waits {
        return Err(SubmitError::Invalid { problems });
    }
    // It runs once there are servers: nothing here prevents that.
    problems
        .iter_mut()
        .for_each(|problem| problem.level = Level::Warning);
    let warnings = Json::from_serialize(&problems).unwrap_or_else(|_| Json::array([]));
    Ok((submission, graph, warnings))
}

fn new_run(submission: Submission, graph: &Graph, (position, warnings): (usize, &Json)) -> NewRun {
    let Submission {
        request,
        idempotency_key,
        rerun,
        hash: request_hash,
    } = submission;
    let name = graph.meta.get("name").and_then(|name| name.decode().ok());
    let answer = Json::object([
        ("position", Json::from(serde_json::Value::from(position))),
        ("warnings", warnings.clone()),
    ]);
    NewRun {
        run_id: Uuid::new_v4().to_string().into(),
        priority: request.priority,
        durable: request.durable,
        idempotency_key,
        request_hash,
        options: request.options_json(),
        graph: request.graph,
        name,
        client_id: request.client_id,
        rerun,
        answer,
        submitted_at: Time::now(),
    }
}

fn hash(request: &RunRequest) -> [u8; 32] {
    // The graph to the letter, the rest as it is written here. The same request may come in another trace.
    let untraced = RunRequest {
        graph: Json::default(),
        traceparent: None,
        tracestate: None,
        ..request.clone()
    };
    let mut hash = Sha256::new();
    hash.update(untraced.options_json().as_str());
    hash.update([0]);
    hash.update(request.graph.as_str());
    hash.finalize().into()
}

/// Runs the request of a run again, with changes.
pub(super) async fn rerun(
    shared: &Arc<Shared>,
    run_id: String,
    rerun: super::Rerun,
    idempotency_key: Option<String>,
) -> Result<Submitted, SubmitError> {
    let hash = rerun_hash(&run_id, &rerun);
    // The run that is repeated may be gone meanwhile.
    if let Some(known) = known(shared, idempotency_key.as_deref()).await? {
        return again(known, &hash);
    }
    let id = run_id.clone();
    let read = shared.db.read(move |connection| {
        let Some(kept) = store::record(connection, &id)? else {
            return Ok(None);
        };
        let mut nothing = |_, _| Some(Json::default());
        let nodes = Filled {
            short: &mut nothing,
        }
        .nodes(connection, kept.seq)?;
        Ok(Some((kept, nodes)))
    });
    let missing = || SubmitError::NotFound {
        run_id: run_id.clone(),
    };
    let (kept, nodes) = read.await?.ok_or_else(missing)?;
    if rerun.from_failed && !kept.summary.status.is_finished() {
        return Err(bad(
            "the run has not ended; abort it first, or run all of it again",
        ));
    }
    let stored = serde_json::from_str::<RunRequest>(kept.options.as_str());
    let mut request =
        stored.map_err(|error| bad(format!("its request cannot be read: {error}")))?;
    request.graph = kept.graph;
    let (request, changed) = request.overridden(rerun.overrides);
    let keep = if rerun.from_failed {
        self::kept(&request, changed, &nodes)?
    } else {
        HashSet::new()
    };
    let submission = Submission {
        request,
        idempotency_key,
        rerun: Some(Rerun { run_id, keep }),
        hash,
    };
    accept(shared, submission).await
}

fn rerun_hash(run_id: &str, rerun: &super::Rerun) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(format!("rerun {run_id} {}", rerun.from_failed));
    hash.update([0]);
    let untraced = Overrides {
        traceparent: None,
        tracestate: None,
        ..rerun.overrides.clone()
    };
    let overrides = Json::from_serialize(&untraced).unwrap_or_default();
    hash.update(overrides.as_str());
    hash.finalize().into()
}

/// The nodes of a run that a rerun of this request can take over.
pub(super) fn kept(
    request: &RunRequest,
    changed: HashSet<u64>,
    nodes: &[NodeRecord],
) -> Result<HashSet<u64>, SubmitError> {
    let changed = with_dependants(&request.graph()?, changed);
    let has_outputs = |node: &&NodeRecord| {
        node.outputs.is_some() && node.server_uid.is_some() && !changed.contains(&node.node_id)
    };
    let is_done = |node: &&NodeRecord| matches!(&*node.state, "complete" | "cached");
    let kept = nodes.iter().filter(is_done).filter(has_outputs);
    Ok(kept.map(|node| node.node_id).collect())
}
