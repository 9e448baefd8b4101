//! Runs that have ended, but whose end is not on disk: as whoever asks is told of them meanwhile.

use nodewire_json::Json;

use super::queue::{Queue, Whereabouts};
use super::record::{RunState, RunSummary};
use super::store::End;
use crate::db::DatabaseError;

/// How a run ended, and why that is not on disk yet. Its nodes are in memory.
#[derive(Debug)]
pub(super) struct Unkept {
    pub(super) end: End,
    pub(super) error: DatabaseError,
}

/// Runs that have ended, but whose end cannot be written down now. Each keeps its place until it is.
#[derive(Debug, Clone)]
pub struct UnkeptRuns {
    /// How many there are; at most as many as are executed at a time.
    pub runs: usize,
    /// Why one of them is not on disk.
    pub error: DatabaseError,
}

impl Unkept {
    /// Puts the end into what is on disk of the run.
    pub(super) fn show(&self, summary: &mut RunSummary) {
        let end = self.end.clone();
        summary.status = end.state;
        summary.finished_at = Some(end.at);
        summary.duration_ms = end.duration_ms;
        summary.counts = end.counts.and_then(|counts| Json::parse(counts).ok());
        summary.reason = end.reason;
        summary.not_kept = Some(self.error.to_string());
    }
}

/// Puts the ends into a list, and takes out what has another state than the one that is wanted by that.
pub(super) fn shown(queue: &Queue, runs: &mut Vec<RunSummary>, wanted: Option<RunState>) {
    runs.retain_mut(|run| {
        let has_ended = run.status.is_finished();
        if let Whereabouts::Active(active) = queue.find(&run.run_id)
            && let Some(unkept) = active.unkept().filter(|_| !has_ended)
        {
            unkept.show(run);
            return wanted.is_none_or(|wanted| wanted == run.status);
        }
        true
    });
}

pub(super) fn all(queue: &Queue) -> Option<UnkeptRuns> {
    let active = queue.active();
    let mut unkept = active.iter().filter_map(|active| active.unkept());
    let error = unkept.next()?.error.clone();
    Some(UnkeptRuns {
        runs: 1 + unkept.count(),
        error,
    })
}
