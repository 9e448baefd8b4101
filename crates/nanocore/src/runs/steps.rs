//! The step log of one run.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::Connection;

use super::live::Live;
use super::record::{NodeRecord, Time};
use super::{room, store};
use crate::db::{Database, DatabaseError};
use crate::workflow::{FinishedStep, NodeState, StepLog, StepLogError};

/// Notes what a run has done: for whoever asks while it runs, and, if it is durable, on disk. What must not be executed
/// twice is on disk before it is sent.
#[derive(Debug)]
pub(super) struct Steps {
    pub(super) live: Live,
    pub(super) db: Database,
    /// The run's row.
    pub(super) seq: i64,
    /// Whether finished steps outlive the process.
    pub(super) durable: bool,
}

impl Steps {
    pub(super) fn shared(self) -> Arc<dyn StepLog> {
        Arc::new(self)
    }

    /// A node as it is noted when an attempt begins, and its place.
    fn begun(&self, node_id: u64, attempt: u32) -> Option<(usize, NodeRecord)> {
        let mut node = self.live.node(node_id)?;
        node.attempts = attempt;
        node.state = NodeState::Dispatched.as_str().to_owned();
        node.started_at.get_or_insert_with(Time::now);
        Some((self.live.place(node_id), node))
    }
}

impl StepLog for Steps {
    fn started(&self, node_id: u64, attempt: u32) {
        if !self.durable {
            return;
        }
        let (seq, begun) = (self.seq, self.begun(node_id, attempt));
        if let Some((place, node)) = begun {
            // A lost note changes nothing but what is told of a run that breaks off here; it is counted.
            let write = move |connection: &_| store::attempt(connection, seq, place, &node);
            let _ = self.db.write_later(write);
        }
    }

    fn starting(&self, node_id: u64, attempt: u32) -> BoxFuture<'static, Result<(), StepLogError>> {
        // Also of a run that is not durable: a later process may be told to go on with every run.
        let Some((place, node)) = self.begun(node_id, attempt) else {
            return std::future::ready(Ok(())).boxed();
        };
        let (db, seq) = (self.db.clone(), self.seq);
        async move {
            let write =
                move |connection: &Connection| store::attempt(connection, seq, place, &node);
            room::write(&db, write).await.map_err(not_logged)
        }
        .boxed()
    }

    fn finished(&self, step: FinishedStep) -> BoxFuture<'static, Result<(), StepLogError>> {
        self.live.step(&step);
        let live = self.live.node(step.node_id).filter(|_| self.durable);
        let Some(mut node) = live else {
            return std::future::ready(Ok(())).boxed();
        };
        let (db, seq, place) = (self.db.clone(), self.seq, self.live.place(step.node_id));
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
            let write =
                move |connection: &Connection| store::save(connection, seq, place, &node).map(drop);
            room::write(&db, write).await.map_err(not_logged)
        }
        .boxed()
    }
}

fn not_logged(error: DatabaseError) -> StepLogError {
    StepLogError {
        reason: error.to_string(),
        source: Some(Box::new(error)),
    }
}
