//! Who waits, who runs, who is next. Pure: no clock, no database.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::live::Live;
use super::offers::{MissingNode, ServerWait, WaitingForServers};
use super::record::Time;
use super::unkept::Unkept;

/// The queue as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueView {
    /// Those being executed, oldest first.
    pub running: Vec<RunningRun>,
    /// Those that wait, next first.
    pub waiting: Vec<WaitingRun>,
    /// Those that wait for node servers, next first.
    pub waiting_for_servers: Vec<WaitingForServers>,
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
    /// Those that wait for node servers.
    lacking: BTreeMap<Place, Lacking>,
    /// When runs that have waited for node servers do so no more.
    deadlines: HashMap<Arc<str>, Instant>,
    /// Whether somebody looks after those that wait for node servers.
    is_watched: bool,
    next_turn: u64,
    places: HashMap<Arc<str>, Place>,
    active: HashMap<Arc<str>, Active>,
    /// Places of those that are being written down.
    reserved: usize,
    is_stopping: bool,
}

/// A run that waits for node servers.
#[derive(Debug)]
struct Lacking {
    run_id: Arc<str>,
    wait: ServerWait,
}

/// A run that is being executed.
#[derive(Debug, Clone)]
pub(super) struct Active {
    /// Tells it from the same run at another time.
    turn: u64,
    pub(super) run_id: Arc<str>,
    /// Its row.
    pub(super) seq: i64,
    pub(super) priority: i32,
    /// When this process began with it.
    pub(super) started_at: Time,
    /// When an earlier process did, if one did.
    first_started_at: Arc<OnceLock<Time>>,
    /// Stops it.
    pub(super) stop: CancellationToken,
    /// Somebody wants it to end.
    aborted: CancellationToken,
    /// How it ended, while that cannot be written down.
    unkept: Arc<OnceLock<Unkept>>,
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

    /// Notes when it began first. Later ones do not count.
    pub(super) fn note_first_start(&self, at: Time) {
        let _ = self.first_started_at.set(at);
    }

    /// From now on it has ended for whoever asks, although that is not on disk; false if it had already.
    pub(super) fn hold(&self, unkept: Unkept) -> bool {
        self.unkept.set(unkept).is_ok()
    }

    /// How it ended, if that is not on disk yet.
    pub(super) fn unkept(&self) -> Option<&Unkept> {
        self.unkept.get()
    }

    /// When it began, in this process or an earlier one.
    pub(super) fn first_started_at(&self) -> Time {
        *self.first_started_at.get().unwrap_or(&self.started_at)
    }
}

/// Where a run is.
pub(super) enum Whereabouts {
    Waiting { position: usize },
    WaitingForServers(ServerWait),
    Active(Active),
    Elsewhere,
}

impl Queue {
    /// A place for a run that will be entered; its position, or `None` if there is none.
    pub(super) fn reserve(&mut self, priority: i32, waiting_max: usize) -> Option<usize> {
        if self.waiting.len() + self.lacking.len() + self.reserved >= waiting_max {
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
        self.next_turn += 1;
        let active = Active {
            turn: self.next_turn,
            run_id: run_id.clone(),
            seq,
            priority,
            started_at: Time::now(),
            first_started_at: Arc::default(),
            stop: CancellationToken::new(),
            aborted: CancellationToken::new(),
            unkept: Arc::default(),
            live: Live::default(),
        };
        self.active.insert(run_id, active.clone());
        Some(active)
    }

    /// Gives the place of a run back. Again, or when it waits by now: nothing happens.
    pub(super) fn ended(&mut self, active: &Active) {
        let current = self.active.get(&active.run_id);
        if current.is_some_and(|current| current.turn == active.turn) {
            self.active.remove(&active.run_id);
            self.deadlines.remove(&active.run_id);
        }
    }

    /// Gives the place of a run back until there are servers for it; false if it has waited long enough. Its time runs
    /// from the first call on.
    pub(super) fn park(
        &mut self,
        active: &Active,
        missing: Vec<MissingNode>,
        limit: Option<Duration>,
    ) -> bool {
        let (now, run_id) = (Instant::now(), active.run_id.clone());
        let until = limit.and_then(|limit| now.checked_add(limit));
        let until = until.map(|until| *self.deadlines.entry(run_id.clone()).or_insert(until));
        if until.is_some_and(|until| until <= now) {
            return false;
        }
        self.active.remove(&run_id);
        let since = Time::now();
        let left_ms = until.map(|until| i64::try_from((until - now).as_millis()));
        let wait = ServerWait {
            missing,
            since,
            until: left_ms.and_then(|left| Some(Time(since.0.saturating_add(left.ok()?)))),
        };
        let place = (Reverse(active.priority), active.seq);
        self.places.insert(run_id.clone(), place);
        self.lacking.insert(place, Lacking { run_id, wait });
        true
    }

    /// From now on somebody looks after those that wait for servers; whether somebody did already.
    pub(super) fn watch(&mut self) -> bool {
        std::mem::replace(&mut self.is_watched, true)
    }

    /// The nodes that runs wait for. `None` if no run does: nobody looks after them from then on.
    pub(super) fn lacked(&mut self) -> Option<BTreeSet<String>> {
        self.is_watched = !self.lacking.is_empty();
        let missing = self.lacking.values().flat_map(|run| &run.wait.missing);
        let uids = || missing.map(|node| node.uid.clone()).collect();
        self.is_watched.then(uids)
    }

    /// Lets runs wait for their turn again that lack nothing any more, or have waited long enough; whether there were any.
    pub(super) fn wake(&mut self, offered: &BTreeSet<String>, now: Instant) -> bool {
        let deadlines = &self.deadlines;
        let is_ready = |run: &Lacking| {
            let mut missing = run.wait.missing.iter();
            missing.all(|node| offered.contains(&node.uid))
                || deadlines.get(&run.run_id).is_some_and(|at| *at <= now)
        };
        let ready = self.lacking.iter().filter(|(_, run)| is_ready(run));
        let places: Vec<Place> = ready.map(|(place, _)| *place).collect();
        for place in &places {
            if let Some(run) = self.lacking.remove(place) {
                self.waiting.insert(*place, run.run_id);
            }
        }
        !places.is_empty()
    }

    /// When the first of those that wait for servers does so no more.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let runs = self.lacking.values();
        runs.filter_map(|run| self.deadlines.get(&run.run_id).copied())
            .min()
    }

    /// Takes a run out of the queue; its row and its priority, if it waited.
    pub(super) fn remove(&mut self, run_id: &str) -> Option<(i64, i32)> {
        let (priority, seq) = self.places.remove(run_id)?;
        self.waiting.remove(&(priority, seq));
        self.lacking.remove(&(priority, seq));
        self.deadlines.remove(run_id);
        Some((seq, priority.0))
    }

    pub(super) fn find(&self, run_id: &str) -> Whereabouts {
        if let Some(active) = self.active.get(run_id) {
            return Whereabouts::Active(active.clone());
        }
        let place = self.places.get(run_id);
        if let Some(run) = place.and_then(|place| self.lacking.get(place)) {
            return Whereabouts::WaitingForServers(run.wait.clone());
        }
        match place {
            Some(place) => Whereabouts::Waiting {
                position: self.waiting.range(..place).count(),
            },
            None => Whereabouts::Elsewhere,
        }
    }

    pub(super) fn waiting_ids(&self) -> Vec<Arc<str>> {
        let lacking = self.lacking.values().map(|run| &run.run_id);
        self.waiting.values().chain(lacking).cloned().collect()
    }

    pub(super) fn active(&self) -> Vec<Active> {
        self.active.values().cloned().collect()
    }

    /// Those that are being executed: others among the active have ended, and are not on disk yet.
    fn running(&self) -> impl Iterator<Item = &Active> {
        let active = self.active.values();
        active.filter(|active| active.unkept().is_none())
    }

    /// Nothing is started any more.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// How many wait, how many of them for servers, and how many run.
    pub(super) fn lengths(&self) -> (usize, usize, usize) {
        let lacking = self.lacking.len();
        let running = self.running().count();
        (self.waiting.len() + lacking, lacking, running)
    }

    pub(super) fn view(&self) -> QueueView {
        let mut running: Vec<&Active> = self.running().collect();
        running.sort_by_key(|active| (active.first_started_at(), active.seq));
        let running = running.into_iter().map(|active| RunningRun {
            run_id: active.run_id.clone(),
            priority: active.priority,
            started_at: active.first_started_at(),
        });
        let waiting = (0..)
            .zip(&self.waiting)
            .map(|(position, ((priority, _), run_id))| WaitingRun {
                run_id: run_id.clone(),
                position,
                priority: priority.0,
            });
        let lacking = self
            .lacking
            .iter()
            .map(|((priority, _), run)| WaitingForServers {
                run_id: run.run_id.clone(),
                priority: priority.0,
                wait: run.wait.clone(),
            });
        QueueView {
            running: running.collect(),
            waiting: waiting.collect(),
            waiting_for_servers: lacking.collect(),
        }
    }
}
