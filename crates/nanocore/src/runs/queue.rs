//! Who waits, who runs, who is next. Pure: no clock, no database.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::live::Live;
use super::record::Time;

/// The queue as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueView {
    /// Those being executed, oldest first.
    pub running: Vec<RunningRun>,
    /// Those that wait, next first.
    pub waiting: Vec<WaitingRun>,
}

/// A run that is being executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunningRun {
    /// The run.
    pub run_id: Arc<str>,
    /// Higher goes first.
    pub priority: i32,
    /// When it began.
    pub started_at: Time,
}

/// A run that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaitingRun {
    /// The run.
    pub run_id: Arc<str>,
    /// Its place, from 0.
    pub position: usize,
    /// Higher goes first.
    pub priority: i32,
}

/// A run in the queue: highest priority first, then in the order of submission.
type Place = (Reverse<i32>, i64);

#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Place, Arc<str>>,
    places: HashMap<Arc<str>, Place>,
    active: HashMap<Arc<str>, Active>,
    /// Places of those that are being written down.
    reserved: usize,
    is_stopping: bool,
}

/// A run that is being executed.
#[derive(Debug, Clone)]
pub(super) struct Active {
    pub(super) run_id: Arc<str>,
    /// Its row.
    pub(super) seq: i64,
    pub(super) priority: i32,
    pub(super) started_at: Time,
    /// Stops it.
    pub(super) stop: CancellationToken,
    /// Somebody wants it to end.
    aborted: CancellationToken,
    pub(super) live: Live,
}

impl Active {
    /// Stops it since somebody wants it to end.
    pub(super) fn abort(&self) {
        self.aborted.cancel();
        self.stop.cancel();
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.aborted.is_cancelled()
    }
}

/// Where a run is.
pub(super) enum Whereabouts {
    Waiting { position: usize },
    Active(Active),
    Elsewhere,
}

impl Queue {
    /// A place for a run that will be entered; its position, or `None` if there is none.
    pub(super) fn reserve(&mut self, priority: i32, waiting_max: usize) -> Option<usize> {
        if self.waiting.len() + self.reserved >= waiting_max {
            return None;
        }
        self.reserved += 1;
        let before = (Reverse(priority), i64::MAX);
        Some(self.waiting.range(..before).count())
    }

    /// Gives a reserved place back.
    pub(super) fn unreserve(&mut self) {
        self.reserved -= 1;
    }

    pub(super) fn enter(&mut self, run_id: Arc<str>, seq: i64, priority: i32) {
        let place = (Reverse(priority), seq);
        self.places.insert(run_id.clone(), place);
        self.waiting.insert(place, run_id);
    }

    /// The next run, now active, if there is one and not too many are.
    pub(super) fn start_next(&mut self, active_max: usize) -> Option<Active> {
        if self.is_stopping || self.active.len() >= active_max {
            return None;
        }
        let ((Reverse(priority), seq), run_id) = self.waiting.pop_first()?;
        self.places.remove(&run_id);
        let active = Active {
            run_id: run_id.clone(),
            seq,
            priority,
            started_at: Time::now(),
            stop: CancellationToken::new(),
            aborted: CancellationToken::new(),
            live: Live::default(),
        };
        self.active.insert(run_id, active.clone());
        Some(active)
    }

    pub(super) fn ended(&mut self, run_id: &str) {
        self.active.remove(run_id);
    }

    /// Takes a run out of the queue; its row and its priority, if it waited.
    pub(super) fn remove(&mut self, run_id: &str) -> Option<(i64, i32)> {
        let (priority, seq) = self.places.remove(run_id)?;
        self.waiting.remove(&(priority, seq));
        Some((seq, priority.0))
    }

    pub(super) fn find(&self, run_id: &str) -> Whereabouts {
        if let Some(active) = self.active.get(run_id) {
            return Whereabouts::Active(active.clone());
        }
        match self.places.get(run_id) {
            Some(place) => Whereabouts::Waiting {
                position: self.waiting.range(..place).count(),
            },
            None => Whereabouts::Elsewhere,
        }
    }

    pub(super) fn waiting_ids(&self) -> Vec<Arc<str>> {
        self.waiting.values().cloned().collect()
    }

    pub(super) fn active(&self) -> Vec<Active> {
        self.active.values().cloned().collect()
    }

    /// Nothing is started any more.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// How many wait and how many run.
    pub(super) fn lengths(&self) -> (usize, usize) {
        (self.waiting.len(), self.active.len())
    }

    pub(super) fn view(&self) -> QueueView {
        let mut running: Vec<&Active> = self.active.values().collect();
        running.sort_by_key(|active| (active.started_at, active.seq));
        let running = running.into_iter().map(|active| RunningRun {
            run_id: active.run_id.clone(),
            priority: active.priority,
            started_at: active.started_at,
        });
        let waiting = (0..)
            .zip(&self.waiting)
            .map(|(position, ((priority, _), run_id))| WaitingRun {
                run_id: run_id.clone(),
                position,
                priority: priority.0,
            });
        QueueView {
            running: running.collect(),
            waiting: waiting.collect(),
        }
    }
}
