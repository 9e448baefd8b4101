//! What the executor counts, as the `data` of `STATS`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nats_micro::EndpointSnapshot;
use nodewire_core::{Counters, DropReason, Executor, NodeStats, RefusalKind, TimeStats};
use serde_json::{Map, Value, json};

use super::describe;
use crate::capability::{Losses, Wire};

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
        let mut data = counters(&stats.counters);
        data.insert("node".to_owned(), json!(uid));
        data.insert("rejected".to_owned(), json!(rejected));
        data.insert("running".to_owned(), json!(stats.running));
        data.insert("waiting".to_owned(), json!(stats.waiting));
        data.insert("queueTimeUs".to_owned(), times(&stats.queue_time));
        data.insert("runTimeUs".to_owned(), times(&stats.run_time));
        data.into()
    }

    fn all(&self) -> Value {
        let mut data = counters(&self.executor.counters());
        let lost = self.losses.snapshot().into_iter();
        let lost: Map<_, _> = lost
            .filter(|lost| lost.wire == Wire::Nats)
            .map(|lost| (lost.feature.name().to_owned(), json!(lost.executions)))
            .collect();
        data.insert("lost".to_owned(), lost.into());
        data.into()
    }
}

fn counters(counters: &Counters) -> Map<String, Value> {
    let dropped = DropReason::ALL.map(|reason| (reason.name(), counters.dropped_for(reason)));
    let refused = RefusalKind::ALL.map(|kind| (kind.name(), counters.refused_for(kind)));
    let named = |counts: &[(&str, u64)]| {
        let counts = counts.iter();
        counts
            .map(|(name, count)| ((*name).to_owned(), json!(count)))
            .collect::<Map<_, _>>()
    };
    let mut data = named(&[
        ("accepted", counters.accepted),
        ("completed", counters.completed),
        ("failed", counters.failed),
        ("cancelled", counters.cancelled),
        ("inFlight", counters.in_flight),
        ("abandoned", counters.abandoned),
        ("progressDropped", counters.progress_dropped),
    ]);
    data.insert("dropped".to_owned(), named(&dropped).into());
    data.insert("refused".to_owned(), named(&refused).into());
    data
}

fn times(times: &TimeStats) -> Value {
    json!({
        "count": times.count,
        "mean": times.mean_us,
        "p50": times.p50_us,
        "p99": times.p99_us,
        "max": times.max_us,
    })
}
