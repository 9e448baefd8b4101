//! One run, from its start to its end.

mod outcome;
mod retried;

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use nodewire_json::Json;
use serde_json::json;

use super::offers::{self, MissingNode};
use super::options::count;
use super::planning::{executed_once, will_run};
use super::queue::Active;
use super::record::{NodeRecord, shortened};
use super::request::RunRequest;
use super::room;
use super::shared::{Shared, retry_delay};
use super::steps::Steps;
use super::store::{self, Begun};
use crate::db::DatabaseError;
use crate::workflow::{Event, EventFields, EventKind, Run, RunOptions, RunStatus, all_exist};
use outcome::{Told, failed, finish, stopped, told};
use retried::Retried;

/// Executes a run, writes down what came of it, tells its end, and starts the next.
pub(super) async fn run(shared: Arc<Shared>, active: Active) {
    shared.publish_queue();
    let place = Place {
        shared: &shared,
        active: &active,
    };
    // What goes wrong in one run is the end of this run only.
    let executed = AssertUnwindSafe(execute(&shared, &active)).catch_unwind();
    let told = executed.await.unwrap_or_else(|_| {
        count(&shared.counts.panicked);
        let reason = "internal: a fault of the program ended it; its log says which";
        Some(failed(&active, reason.to_owned()))
    });
    if let Some(told) = told {
        let finished = AssertUnwindSafe(finish(&shared, &active, told)).catch_unwind();
        if finished.await.is_err() {
            count(&shared.counts.panicked);
        }
    }
    drop(place);
    shared.publish_queue();
    shared.start_next();
}

/// A run's place among those that are executed. Dropping it, however that comes, gives the place back.
struct Place<'r> {
    shared: &'r Shared,
    active: &'r Active,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.queue().ended(self.active);
    }
}

/// Why a run did not start.
enum NotStarted {
    /// It cannot run.
    Impossible(String),
    /// Nobody offers these nodes now.
    Lacking(Vec<MissingNode>, String),
    /// It was stopped before it began.
    Stopped,
}

/// `None` if there is nothing to be written: the run is gone, it waits for node servers, or it will be resumed.
async fn execute(shared: &Arc<Shared>, active: &Active) -> Option<Told> {
    let begun = match begin(shared, active).await {
        Ok(begun) => begun,
        Err(told) => return told,
    };
    active.note_first_start(begun.started_at);
    let durable = begun.durable || shared.options.resume;
    let mut run = match start(shared, active, begun, durable).await {
        Ok(run) => run,
        Err(NotStarted::Impossible(reason)) => return Some(failed(active, reason)),
        Err(NotStarted::Lacking(missing, reason)) => {
            return wait_for_servers(shared, active, durable, (missing, reason)).await;
        }
        Err(NotStarted::Stopped) => return stopped(active, durable),
    };
    let last = watch_events(shared, active, &mut run).await;
    let Ok(result) = run.result().await else {
        return Some(failed(
            active,
            "it ended without a result; this is a fault of the program".to_owned(),
        ));
    };
    active.live.finish(&result);
    let is_broken_off = result.status == RunStatus::Aborted
        && shared.stopping.is_cancelled()
        && !active.is_aborted();
    if is_broken_off && durable {
        return None;
    }
    Some(told(active, &result, last, is_broken_off))
}

/// Gives the place back until servers offer what is missing; `None` if it waits.
async fn wait_for_servers(
    shared: &Arc<Shared>,
    active: &Active,
    durable: bool,
    (missing, reason): (Vec<MissingNode>, String),
) -> Option<Told> {
    let seq = active.seq;
    let mut write = Retried::new(&active.run_id, "a run cannot wait", "a run waits now");
    loop {
        let put_back = move |connection: &rusqlite::Connection| store::put_back(connection, seq);
        let Err(error) = shared.db.write(put_back).await else {
            write.succeeded();
            break;
        };
        write.failed(&error);
        tokio::select! {
            () = tokio::time::sleep(retry_delay(write.failures())) => {}
            () = active.stop.cancelled() => break,
        }
    }
    if active.stop.is_cancelled() {
        return stopped(active, durable);
    }
    let is_waiting = offers::park(shared, active, missing, !durable);
    (!is_waiting).then(|| failed(active, reason))
}

/// Writes down that the run begins. While the database fails, nothing is executed, and whoever waits for the run is told
/// why; else what is to be told instead.
async fn begin(shared: &Shared, active: &Active) -> Result<Begun, Option<Told>> {
    let (seq, at) = (active.seq, active.started_at);
    let mut write = Retried::new(&active.run_id, "a run cannot begin", "a run begins now");
    loop {
        let begin = move |connection: &rusqlite::Connection| store::begin(connection, seq, at);
        let begun = room::write(&shared.db, begin).await;
        match begun {
            Ok(Some(begun)) => {
                write.succeeded();
                return Ok(begun);
            }
            Ok(None) => return Err(None),
            Err(error) => {
                write.failed(&error);
                if write.failures() == 1 {
                    tell_held(shared, active, &error);
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(retry_delay(write.failures())) => {}
            () = active.stop.cancelled() => return Err(stopped(active, true)),
            () = shared.stopping.cancelled() => return Err(None),
        }
    }
}

/// A run that cannot begin yet.
fn tell_held(shared: &Shared, active: &Active, error: &DatabaseError) {
    let fields = json!({ "reason": error.to_string() });
    shared
        .events
        .publish("run_held", Some(&active.run_id), fields);
}

async fn start(
    shared: &Shared,
    active: &Active,
    begun: Begun,
    durable: bool,
) -> Result<Run, NotStarted> {
    let unreadable =
        |_| NotStarted::Impossible("what was kept of its request cannot be read".to_owned());
    let mut request: RunRequest = serde_json::from_str(&begun.options).map_err(unreadable)?;
    request.graph = Json::parse(begun.graph).unwrap_or_default();
    let impossible = |error: &dyn Error| NotStarted::Impossible(error.to_string());
    let graph = request.graph().map_err(|error| impossible(&error))?;
    let once = executed_once(&graph);
    let reused = reusable(shared, active.seq, begun.finished, &once).await;
    let mut known = reused.map_err(|error| impossible(&error))?;
    let sent = begun.sent.into_iter().map(|node| (node.node_id, node));
    let lost: HashMap<_, _> = sent.filter(|(id, _)| once.contains(id)).collect();
    let lost_ids = lost.keys().copied().collect();
    known.extend(lost);
    // Before anything runs, so that no step comes first.
    active
        .live
        .begin(&graph, &will_run(&graph, &request.targets), &known);
    let outputs = |(id, node): (&u64, &NodeRecord)| Some((*id, node.outputs.clone()?));
    let steps = Steps {
        live: active.live.clone(),
        db: shared.db.clone(),
        seq: active.seq,
        durable,
    };
    let options = RunOptions {
        run_id: active.run_id.parse().unwrap_or_default(),
        finished: known.iter().filter_map(outputs).collect(),
        lost: lost_ids,
        steps: Some(steps.shared()),
        // A durable run waits as long as it takes.
        away_wait: (!durable).then_some(shared.options.offers_wait),
        ..shared.run_options(&request)
    };
    if active.stop.is_cancelled() {
        return Err(NotStarted::Stopped);
    }
    // After a start of the process its node servers are not ready yet.
    shared.engine.start(&graph, options).map_err(|invalid| {
        match offers::missing(&graph, &invalid) {
            Some(missing) => NotStarted::Lacking(missing, invalid.to_string()),
            None => impossible(&invalid),
        }
    })
}

/// The steps that can be used again: those of servers whose assets are still there. The others are forgotten, and run
/// again, unless they must not; what no server executes costs nothing, and tells again what it shows.
async fn reusable(
    shared: &Shared,
    seq: i64,
    finished: Vec<NodeRecord>,
    once: &HashSet<u64>,
) -> Result<HashMap<u64, NodeRecord>, DatabaseError> {
    let is_there = |outputs: &Json| {
        let assets = shared.assets.as_deref();
        assets.is_none_or(|assets| all_exist(outputs, assets))
    };
    let is_usable = |node: &NodeRecord| {
        let is_kept = once.contains(&node.node_id);
        node.server_uid.is_some() && (is_kept || node.outputs.as_ref().is_some_and(is_there))
    };
    let (usable, others): (Vec<_>, Vec<_>) = finished.into_iter().partition(is_usable);
    if !others.is_empty() {
        let forget = move |connection: &rusqlite::Connection| {
            let mut ids = others.iter().map(|node| node.node_id);
            ids.try_for_each(|node_id| store::forget(connection, seq, node_id))
        };
        shared.db.write(forget).await?;
    }
    Ok(usable
        .into_iter()
        .map(|node| (node.node_id, node))
        .collect())
}

/// Passes all events on but the last, which is given back: it is told when what came of the run is kept.
async fn watch_events(shared: &Shared, active: &Active, run: &mut Run) -> Option<Event> {
    let abort = run.abort_handle();
    let mut is_stopped = false;
    let mut last = None;
    loop {
        tokio::select! {
            event = run.next_event() => match event {
                None => return last,
                Some(event) if matches!(event.kind, EventKind::RunFinished { .. }) => last = Some(event),
                Some(event) => {
                    active.live.event(&event);
                    publish(shared, active, event);
                }
            },
            () = active.stop.cancelled(), if !is_stopped => {
                is_stopped = true;
                abort.abort();
            }
        }
    }
}

fn publish(shared: &Shared, active: &Active, mut event: Event) {
    if let EventKind::NodeComplete {
        node_id,
        outputs,
        inputs,
        ..
    } = &mut event.kind
    {
        let short = |value: &Json| shortened(value, &active.run_id, *node_id);
        if let Some(short) = short(outputs) {
            *outputs = short;
        }
        if let Some(short) = inputs.as_ref().and_then(short) {
            *inputs = Some(short);
        }
    }
    let type_name = event.kind.type_name();
    shared
        .events
        .publish(type_name, Some(&active.run_id), EventFields(&event));
}
