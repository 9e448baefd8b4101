//! What a node has done, in numbers.

use nodewire_core::{Counters, DropReason, NodeStats, RefusalKind, TimeStats};
use nodewire_json::Json;
use serde_json::{Map, Value, json};

/// A node's statistics: counters by name, what runs and waits now, and times in microseconds.
#[must_use]
pub fn stats(stats: &NodeStats) -> Json {
    Json::from(Value::Object(node_by_name(stats)))
}

/// Executions by how they ended.
#[must_use]
pub fn counters(counters: &Counters) -> Json {
    Json::from(Value::Object(counters_by_name(counters)))
}

/// [`stats`], for wires that add to it.
pub(crate) fn node_by_name(stats: &NodeStats) -> Map<String, Value> {
    let mut told = counters_by_name(&stats.counters);
    told.insert("running".to_owned(), json!(stats.running));
    told.insert("waiting".to_owned(), json!(stats.waiting));
    told.insert("queueTimeUs".to_owned(), times(&stats.queue_time));
    told.insert("runTimeUs".to_owned(), times(&stats.run_time));
    told
}

/// [`counters`], for wires that add to it.
pub(crate) fn counters_by_name(counters: &Counters) -> Map<String, Value> {
    let dropped = DropReason::ALL.map(|reason| (reason.name(), counters.dropped_for(reason)));
    let refused = RefusalKind::ALL.map(|kind| (kind.name(), counters.refused_for(kind)));
    let mut told = named(&[
        ("accepted", counters.accepted),
        ("completed", counters.completed),
        ("failed", counters.failed),
        ("cancelled", counters.cancelled),
        ("inFlight", counters.in_flight),
        ("abandoned", counters.abandoned),
        ("progressDropped", counters.progress_dropped),
    ]);
    told.insert("dropped".to_owned(), named(&dropped).into());
    told.insert("refused".to_owned(), named(&refused).into());
    told
}

fn named(counts: &[(&str, u64)]) -> Map<String, Value> {
    let counts = counts.iter();
    counts
        .map(|(name, count)| ((*name).to_owned(), json!(count)))
        .collect()
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
