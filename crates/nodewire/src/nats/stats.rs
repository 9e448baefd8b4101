//! What the executor counts, as the `data` of `STATS`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nats_micro::EndpointSnapshot;
use nodewire_core::{Executor, NodeStats};
use serde_json::{Map, Value, json};

use super::describe;
use crate::capability::{Losses, Wire};
use crate::plain;

/// How old statistics may be: each endpoint asks, and they are made for all nodes at once.
const AGE_MAX: Duration = Duration::from_millis(20);

/// Makes the `data` of endpoints.
#[derive(Debug)]
pub(super) struct Statistics {
    executor: Executor,
    losses: Losses,
    last: Mutex<Option<(Instant, Vec<NodeStats>)>>,
}

impl Statistics {
    pub(super) fn new(executor: Executor, losses: Losses) -> Self {
        Self {
            executor,
            losses,
            last: Mutex::new(None),
        }
    }

    /// The node's statistics at its endpoint, those of all nodes at `execute`, else nothing.
    pub(super) fn data(&self, endpoint: &EndpointSnapshot) -> Value {
        if let Some(uid) = endpoint.info.metadata.get(describe::NODE) {
            return self.node(uid, endpoint.rejected);
        }
        if endpoint.info.name == describe::EXECUTE {
            return self.all();
        }
        Value::Null
    }

    fn node(&self, uid: &str, rejected: u64) -> Value {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = last.take().filter(|(at, _)| at.elapsed() < AGE_MAX);
        let (_, stats) = last
            .insert(fresh.unwrap_or_else(|| (Instant::now(), self.executor.registry().stats())));
        let Some(stats) = stats.iter().find(|stats| stats.uid == uid) else {
            return Value::Null;
        };
        let mut data = plain::node_by_name(stats);
        data.insert("node".to_owned(), json!(uid));
        data.insert("rejected".to_owned(), json!(rejected));
        data.into()
    }

    fn all(&self) -> Value {
        let mut data = plain::counters_by_name(&self.executor.counters());
        let lost = self.losses.snapshot().into_iter();
        let lost: Map<_, _> = lost
            .filter(|lost| lost.wire == Wire::Nats)
            .map(|lost| (lost.feature.name().to_owned(), json!(lost.executions)))
            .collect();
        data.insert("lost".to_owned(), lost.into());
        data.into()
    }
}
