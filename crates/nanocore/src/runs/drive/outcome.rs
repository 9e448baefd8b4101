//! What came of a run: written down, then told.

use std::time::Duration;

use serde_json::json;

use super::publish;
use super::retried::Retried;
use crate::db::DatabaseError;
use crate::runs::options::count;
use crate::runs::queue::Active;
use crate::runs::record::{RunState, Time};
use crate::runs::shared::{Shared, retry_delay};
use crate::runs::store::End;
use crate::runs::unkept::Unkept;
use crate::workflow::{Event, EventKind, RunResult};

/// What is to be told at the end.
pub(super) struct Told {
    end: End,
    /// What the engine said of it; `None` if it never began.
    event: Option<Event>,
}

pub(super) fn failed(active: &Active, reason: String) -> Told {
    not_executed(active, RunState::Error, Some(reason))
}

/// `None` if it goes on after the next start.
pub(super) fn stopped(active: &Active, durable: bool) -> Option<Told> {
    if active.is_aborted() {
        return Some(not_executed(active, RunState::Aborted, None));
    }
    let reason = "the daemon was stopped".to_owned();
    (!durable).then(|| not_executed(active, RunState::Interrupted, Some(reason)))
}

fn not_executed(active: &Active, state: RunState, reason: Option<String>) -> Told {
    let at = Time::now();
    let end = End {
        state,
        at,
        duration_ms: u64::try_from(at.0 - active.first_started_at().0).ok(),
        counts: None,
        reason,
    };
    Told { end, event: None }
}

/// What the engine says of a run. How long it took counts from its start on, maybe in an earlier process, as the times do
/// that are told with it.
pub(super) fn told(
    active: &Active,
    result: &RunResult,
    mut event: Option<Event>,
    is_broken_off: bool,
) -> Told {
    let at = Time::now();
    let took = u64::try_from(at.0 - active.first_started_at().0);
    // A clock that was set back knows less than the engine does.
    let took = took.map_or(result.duration, |took| {
        Duration::from_millis(took).max(result.duration)
    });
    if let Some(EventKind::RunFinished { duration, .. }) =
        event.as_mut().map(|event| &mut event.kind)
    {
        *duration = took;
    }
    let (state, reason) = if is_broken_off {
        (
            RunState::Interrupted,
            Some("the daemon was stopped".to_owned()),
        )
    } else {
        (result.status.into(), None)
    };
    let end = End {
        state,
        at,
        duration_ms: u64::try_from(took.as_millis()).ok(),
        counts: serde_json::to_string(&result.counts()).ok(),
        reason,
    };
    Told {
        end,
        event: event.filter(|_| !is_broken_off),
    }
}

/// Writes down what came of the run, takes it out of the queue, and tells it. What cannot be written soon is told before.
pub(super) async fn finish(shared: &Shared, active: &Active, told: Told) {
    let Told { end, event } = told;
    let kept = keep(shared, active, &end).await;
    // Whoever is told does not find it running any more.
    shared.queue().ended(active);
    let is_told = active.unkept().is_some();
    match (kept, event) {
        (Err(error), _) => {
            count(&shared.counts.not_kept);
            if !is_told {
                tell_unkept(shared, active, &end, &error);
            }
        }
        (Ok(()), _) if is_told => {}
        (Ok(()), Some(event)) => {
            publish(shared, active, event);
            shared.count_end(end.state);
        }
        (Ok(()), None) => shared.publish_end(&active.run_id, &end),
    }
}

/// From now on the run has ended for whoever asks; whoever waits for it is told that this is not on disk, once.
fn hold(shared: &Shared, active: &Active, end: &End, error: &DatabaseError) {
    let unkept = Unkept {
        end: end.clone(),
        error: error.clone(),
    };
    if active.hold(unkept) {
        tell_unkept(shared, active, end, error);
        shared.publish_queue();
    }
}

fn tell_unkept(shared: &Shared, active: &Active, end: &End, error: &DatabaseError) {
    let counts = end.counts.as_deref().unwrap_or("{}");
    let counts: serde_json::Value = serde_json::from_str(counts).unwrap_or_default();
    let fields = json!({
        "status": end.state,
        "durationMs": end.duration_ms.unwrap_or_default(),
        "counts": counts,
        "reason": end.reason,
        "notKept": error.to_string(),
    });
    shared
        .events
        .publish("run_finished", Some(&active.run_id), fields);
    shared.count_end(end.state);
}

/// Failures that do not pass are given up after this many tries.
const TRIES_MAX: u32 = 5;
/// After these, a fifth of a second, the end is told although it is not on disk.
const QUIET_TRIES: u32 = 3;
/// After these, about ten minutes, the end is written without what the nodes gave, if only this finds room.
const WHOLE_TRIES_MAX: u32 = 120;

/// Writes the end of a run down. While that may still go well, it is tried again: a full disk may get room. The run holds
/// its place meanwhile, so that no more ends are in memory than runs are executed at a time.
async fn keep(shared: &Shared, active: &Active, end: &End) -> Result<(), DatabaseError> {
    let mut write = Retried::new(
        &active.run_id,
        "the end of a run cannot be written",
        "the end of a run is on disk now",
    );
    loop {
        let nodes = active.live.records();
        let Err(error) = shared.save_end(active.seq, end.clone(), nodes).await else {
            write.succeeded();
            return Ok(());
        };
        write.failed(&error);
        let tries = write.failures();
        if !error.may_pass() && tries >= TRIES_MAX {
            return Err(error);
        }
        if error.may_pass() && tries >= QUIET_TRIES {
            hold(shared, active, end, &error);
        }
        let is_told = active.unkept().is_some();
        let is_ending =
            shared.given_up.is_cancelled() || (is_told && shared.stopping.is_cancelled());
        if is_ending || tries >= WHOLE_TRIES_MAX {
            let short = keep_short(shared, active, end, &error).await;
            if short.is_ok() {
                write.succeeded();
            }
            if is_ending || short.is_ok() {
                return short;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(retry_delay(tries)) => {}
            () = shared.given_up.cancelled() => {}
            () = shared.stopping.cancelled(), if is_told => {}
        }
    }
}

/// Writes down the end of a run without what its nodes gave.
async fn keep_short(
    shared: &Shared,
    active: &Active,
    end: &End,
    error: &DatabaseError,
) -> Result<(), DatabaseError> {
    let lost = format!("what its nodes gave could not be kept: {error}");
    let reason = match &end.reason {
        Some(reason) => format!("{reason}; {lost}"),
        None => lost,
    };
    let end = End {
        reason: Some(reason),
        ..end.clone()
    };
    let nodes = active.live.records();
    shared.save_short_end(active.seq, end, nodes).await
}
