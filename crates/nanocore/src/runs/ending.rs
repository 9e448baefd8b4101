//! Stops runs, forgets them, and stops all of them.

use std::sync::Arc;
use std::time::Duration;

use super::RunError;
use super::calls::{Aborted, QueueChange, QueueChanged};
use super::manager::not_found;
use super::queue::Whereabouts;
use super::record::{RunState, Time};
use super::shared::Shared;
use super::store::{self, End};
use crate::db::DatabaseError;

/// Runs to its end, although whoever waits for it is dropped.
pub(super) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, RunError>> + Send + 'static,
) -> Result<T, RunError> {
    // It fails only with the runtime.
    tokio::spawn(work)
        .await
        .unwrap_or(Err(RunError::Database(DatabaseError::Closed)))
}

pub(super) async fn abort(shared: &Arc<Shared>, run_id: &str) -> Result<Aborted, RunError> {
    let whereabouts = shared.queue().find(run_id);
    let answer = |status: RunState, was_finished| Aborted {
        run_id: run_id.to_owned(),
        status,
        was_finished,
    };
    match whereabouts {
        Whereabouts::Active(active) => {
            if let Some(unkept) = active.unkept() {
                return Ok(answer(unkept.end.state, true));
            }
            active.abort();
            return Ok(answer(RunState::Running, false));
        }
        Whereabouts::Waiting { .. } | Whereabouts::WaitingForServers(_)
            if remove(shared, run_id, "it was taken out of the queue").await? =>
        {
            return Ok(answer(RunState::Aborted, false));
        }
        Whereabouts::Waiting { .. }
        | Whereabouts::WaitingForServers(_)
        | Whereabouts::Elsewhere => {}
    }
    // It was started, or taken out by another call, right now.
    if let Whereabouts::Active(active) = shared.queue().find(run_id) {
        active.abort();
        return Ok(answer(RunState::Running, false));
    }
    let id = run_id.to_owned();
    let state = shared
        .db
        .read(move |connection| store::state_of(connection, &id))
        .await?;
    let state = state.ok_or_else(|| not_found(run_id))?;
    Ok(answer(state, state.is_finished()))
}

/// Takes a run out of the queue and writes down its end; whether it waited.
async fn remove(shared: &Arc<Shared>, run_id: &str, reason: &str) -> Result<bool, RunError> {
    let removed = shared.queue().remove(run_id);
    let Some((seq, priority)) = removed else {
        return Ok(false);
    };
    let end = End {
        state: RunState::Aborted,
        at: Time::now(),
        duration_ms: None,
        counts: None,
        reason: Some(reason.to_owned()),
    };
    if let Err(error) = shared.save_end(seq, end.clone(), Vec::new()).await {
        shared.queue().enter(run_id.into(), seq, priority);
        shared.start_next();
        return Err(error.into());
    }
    shared.publish_end(&run_id.into(), &end);
    shared.publish_queue();
    Ok(true)
}

pub(super) async fn delete(shared: &Arc<Shared>, run_id: &str) -> Result<(), RunError> {
    remove(shared, run_id, "it was deleted").await?;
    let active = || RunError::Active {
        run_id: run_id.to_owned(),
    };
    if let Whereabouts::Active(found) = shared.queue().find(run_id) {
        let unkept = found.unkept().map(|unkept| unkept.error.clone());
        return Err(unkept.map_or_else(active, RunError::Database));
    }
    let id = run_id.to_owned();
    let deleted = shared.db.write(move |connection| {
        match store::state_of(connection, &id)? {
            // Another call is about to end it, or to start it.
            Some(state) if !state.is_finished() => Ok(None),
            Some(_) => store::delete(connection, &id).map(Some),
            None => Ok(Some(false)),
        }
    });
    match deleted.await? {
        None => Err(active()),
        Some(false) => Err(not_found(run_id)),
        Some(true) => Ok(()),
    }
}

pub(super) async fn change_queue(
    shared: &Arc<Shared>,
    change: QueueChange,
) -> Result<QueueChanged, RunError> {
    let mut changed = QueueChanged::default();
    let waiting = if change.clear {
        shared.queue().waiting_ids()
    } else {
        Vec::new()
    };
    for run_id in waiting {
        if remove(shared, &run_id, "the queue was cleared").await? {
            changed.removed.push(run_id.to_string());
        }
    }
    for run_id in change.delete {
        if changed.removed.contains(&run_id) {
            continue;
        }
        let list = if remove(shared, &run_id, "it was taken out of the queue").await? {
            &mut changed.removed
        } else {
            &mut changed.not_waiting
        };
        list.push(run_id);
    }
    Ok(changed)
}

pub(super) async fn shutdown(shared: &Arc<Shared>, grace: Duration) {
    shared.stopping.cancel();
    shared.queue().stop();
    for active in shared.queue().active() {
        active.stop.cancel();
    }
    shared.tasks.close();
    if tokio::time::timeout(grace, shared.tasks.wait())
        .await
        .is_err()
    {
        shared.given_up.cancel();
        // What can be told and written at once still is.
        let last = shared.options.abort_grace.min(Duration::from_secs(1));
        if tokio::time::timeout(last, shared.tasks.wait())
            .await
            .is_err()
        {
            let left = shared.queue().active().len();
            tracing::warn!(
                left,
                "runs were left: they are interrupted, or resumed, at the next start"
            );
        }
    }
    if let Some(cache) = &shared.cache {
        cache.flush().await;
    }
}
