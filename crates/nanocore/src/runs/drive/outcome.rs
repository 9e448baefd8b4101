//! What came of a run: written down, then told.

use std::error::Error;
use std::time::Duration;

use serde_json::json;

use super::publish;
use crate::db::DatabaseError;
use crate::runs::options::count;
use crate::runs::queue::Active;
use crate::runs::record::{RunState, Time};
use crate::runs::shared::{Shared, retry_delay};
use crate::runs::store::End;
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

/// `before`: the time from its start in an earlier process to that in this one.
pub(super) fn told(
    result: &RunResult,
    before: Duration,
    mut event: Option<Event>,
    is_broken_off: bool,
) -> Told {
    if let Some(EventKind::RunFinished { duration, .. }) =
        event.as_mut().map(|event| &mut event.kind)
    {
        *duration += before;
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
        at: Time::now(),
        duration_ms: u64::try_from((before + result.duration).as_millis()).ok(),
        counts: serde_json::to_string(&result.counts()).ok(),
        reason,
    };
    Told {
        end,
        event: event.filter(|_| !is_broken_off),
    }
}

/// Writes down what came of the run, takes it out of the queue, and tells it.
pub(super) async fn finish(shared: &Shared, active: &Active, told: Told) {
    let Told { end, event } = told;
    let kept = keep(shared, active, &end).await;
    // Whoever is told does not find it running any more.
    shared.queue().ended(active);
    if let Err(error) = kept {
        count(&shared.counts.not_kept);
        let fields = json!({
            "status": end.state, "durationMs": end.duration_ms, "counts": {}, "notKept": error.to_string(),
        });
        shared
            .events
            .publish("run_finished", Some(&active.run_id), fields);
        shared.count_end(end.state);
        return;
    }
    match event {
        Some(event) => {
            publish(shared, active, event);
            shared.count_end(end.state);
        }
        None => shared.publish_end(&active.run_id, &end),
    }
}

/// Tries again while there is hope: a full disk may get room, and until then nothing is lost. Other failures are given
/// up after this many tries.
const TRIES_MAX: u32 = 5;
/// Also hope ends: the run holds its place while it waits, for about ten minutes.
const HOPEFUL_TRIES_MAX: u32 = 120;

async fn keep(shared: &Shared, active: &Active, end: &End) -> Result<(), DatabaseError> {
    let mut tries = 0;
    loop {
        let nodes = active.live.records();
        let Err(error) = shared.save_end(active.seq, end.clone(), nodes).await else {
            return Ok(());
        };
        let run_id = &*active.run_id;
        tracing::error!(
            run_id,
            error = &error as &dyn Error,
            "the end of a run cannot be written"
        );
        tries += 1;
        let has_hope = matches!(error, DatabaseError::Full { .. } | DatabaseError::Busy);
        let tries_max = if has_hope {
            HOPEFUL_TRIES_MAX
        } else {
            TRIES_MAX
        };
        if shared.given_up.is_cancelled() || tries >= tries_max {
            return Err(error);
        }
        tokio::select! {
            () = tokio::time::sleep(retry_delay(tries)) => {}
            () = shared.given_up.cancelled() => {}
        }
    }
}
