//! What the wire counts beside the executor and the sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

/// What became of outputs that were longer than a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NnrpCounts {
    /// Results whose outputs, or the longest bytes among them, were kept as assets.
    pub results_kept_as_assets: u64,
    /// Frames that ended with an error, as there is no store, or it failed.
    pub results_too_long: u64,
}

/// Counts them. Clones share everything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    kept: AtomicU64,
    too_long: AtomicU64,
}

impl Counted {
    pub(super) fn kept(&self) {
        self.0.kept.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn too_long(&self) {
        self.0.too_long.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> NnrpCounts {
        NnrpCounts {
            results_kept_as_assets: self.0.kept.load(Ordering::Relaxed),
            results_too_long: self.0.too_long.load(Ordering::Relaxed),
        }
    }

    pub(super) fn told(&self) -> Value {
        let counts = self.snapshot();
        json!({"keptAsAssets": counts.results_kept_as_assets, "tooLong": counts.results_too_long})
    }
}
