//! Accepts a run.

use std::collections::HashSet;
use std::sync::Arc;

use nodewire_json::Json;
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::SubmitError;
use super::manager::Submitted;
use super::options::count;
use super::record::{NodeRecord, Time};
use super::request::{RunRequest, bad, with_dependants};
use super::shared::Shared;
use super::store::{self, Inserted, Known, NewRun, Rerun};
use crate::workflow::{Graph, InvalidGraph, Level, Problem};

const KEY_BYTES_MAX: usize = 255;

/// What is to be accepted.
pub(super) struct Submission {
    pub(super) request: RunRequest,
    pub(super) idempotency_key: Option<String>,
    pub(super) rerun: Option<Rerun>,
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
    let hash = hash(&submission.request);
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
    let run = new_run(submission, &graph, hash, (position, &warnings));
    let run_id = run.run_id.clone();
    let inserted = shared
        .db
        .write(move |connection| store::insert(connection, &run))
        .await;
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

fn new_run(
    submission: Submission,
    graph: &Graph,
    request_hash: [u8; 32],
    (position, warnings): (usize, &Json),
) -> NewRun {
    let Submission {
        request,
        idempotency_key,
        rerun,
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
    // The graph to the letter, the rest as it is written here.
    let mut hash = Sha256::new();
    hash.update(request.options_json().as_str());
    hash.update([0]);
    hash.update(request.graph.as_str());
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
