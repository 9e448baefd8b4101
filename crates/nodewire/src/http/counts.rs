//! What the wire counts.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::listener::ConnectionCounts;

/// Statuses of errors that are answered, each counted by itself.
const STATUSES: [u16; 15] = [
    400, 401, 403, 404, 405, 406, 408, 413, 415, 429, 499, 500, 501, 503, 504,
];

/// What the wire counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    requests: AtomicU64,
    errors: [AtomicU64; STATUSES.len()],
}

impl Counts {
    /// A request was answered, or its stream has begun.
    pub(super) fn answered(&self, status: StatusCode) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(i) = STATUSES.iter().position(|known| status == *known) {
            self.errors[i].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn told(&self, connections: &ConnectionCounts) -> Value {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let errors: Map<_, _> = STATUSES
            .iter()
            .zip(&self.errors)
            .map(|(status, errors)| (status.to_string(), json!(count(errors))))
            .collect();
        json!({
            "connections": count(&connections.accepted),
            "silentConnections": count(&connections.silent),
            "stalledConnections": count(&connections.stalled),
            "requestsAnswered": count(&self.requests),
            "errors": errors,
        })
    }
}
