//! The step log of one run.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::live::Live;
use super::record::Time;
use super::store;
use crate::db::Database;
use crate::workflow::{FinishedStep, NodeState, StepLog, StepLogError};

/// Notes what a run has done: for whoever asks while it runs, and, if it is durable, on disk.
#[derive(Debug)]
pub(super) struct Steps {
    pub(super) live: Live,
    /// Of a durable run: where to.
    pub(super) row: Option<Row>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) db: Database,
    pub(super) seq: i64,
}

impl Steps {
    pub(super) fn shared(self) -> Arc<dyn StepLog> {
        Arc::new(self)
    }
}

impl StepLog for Steps {
    fn started(&self, node_id: u64, attempt: u32) {
        let (Some(Row { db, seq }), Some(mut node)) = (&self.row, self.live.node(node_id)) else {
            return;
        };
        let (seq, place) = (*seq, self.live.place(node_id));
        node.attempts = attempt;
        node.state = NodeState::Dispatched.as_str().to_owned();
        node.started_at.get_or_insert_with(Time::now);
        // A lost note changes nothing but what is told of a run that breaks off here; it is counted.
        let _ = db.write_later(move |connection| store::attempt(connection, seq, place, &node));
    }

    fn finished(&self, step: FinishedStep) -> BoxFuture<'static, Result<(), StepLogError>> {
        self.live.step(&step);
        let (Some(Row { db, seq }), Some(mut node)) = (&self.row, self.live.node(step.node_id))
        else {
            return std::future::ready(Ok(())).boxed();
        };
        let (db, seq, place) = (db.clone(), *seq, self.live.place(step.node_id));
        let state = if step.cached {
            NodeState::Cached
        } else {
            NodeState::Complete
        };
        node.state = state.as_str().to_owned();
        node.attempts = node.attempts.max(step.attempt);
        node.cached = step.cached;
        node.ended_at = Some(Time::now());
        node.duration_ms = u64::try_from(step.duration.as_millis()).ok();
        node.outputs = Some(step.outputs);
        async move {
            let saved =
                db.write(move |connection| store::save(connection, seq, place, &node).map(drop));
            saved.await.map_err(|error| StepLogError {
                reason: error.to_string(),
                source: Some(Box::new(error)),
            })
        }
        .boxed()
    }
}
