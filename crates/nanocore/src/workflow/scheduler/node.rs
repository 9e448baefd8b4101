//! The state of one node in a run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nanograph::message::Status;
use nodewire_json::Json;

use crate::workflow::cache::CacheKey;
use crate::workflow::plan::PlanNode;
use crate::workflow::state::{NodeError, NodeState};

/// Shortest time between two forwarded statuses of a node. spec: nanograph 15.1
const STATUS_INTERVAL: Duration = Duration::from_millis(50);
/// Further attempts after the server was lost, if it is not the node's fault. spec: nanograph 16.2
const LOST_RETRIES: u32 = 2;

/// The state of one node.
#[derive(Debug)]
pub(super) struct NodeRun {
    pub(super) state: NodeState,
    /// From 1; 0 before the first dispatch.
    pub(super) attempt: u32,
    /// Sources that are not terminal yet.
    pub(super) waiting: usize,
    pub(super) retries_left: u32,
    pub(super) lost_retries_left: u32,
    /// Waits for the time of its next attempt.
    pub(super) retry_pending: bool,
    /// Waits for a place, or has one it does not use yet.
    pub(super) queued: bool,
    /// Waits for its server to be back.
    pub(super) held: bool,
    /// Waits for what the result cache has.
    pub(super) looking_up: bool,
    /// Waits for the step log to keep these outputs.
    pub(super) logging: Option<Json>,
    /// Its key in the result cache.
    pub(super) key: Option<CacheKey>,
    /// What was sent, while it is in flight, for the step log.
    pub(super) sent: Option<Json>,
    /// Its outputs were not made by executing it in this run.
    pub(super) cached: bool,
    pub(super) reused: bool,
    pub(super) instance_id: Arc<str>,
    pub(super) started: Option<Instant>,
    pub(super) dispatched: Option<Instant>,
    pub(super) ended: Option<Instant>,
    pub(super) last_report: Option<Instant>,
    /// It said that it completed, but not with what.
    pub(super) awaits_outputs: bool,
    pub(super) throttle: Throttle,
    pub(super) outputs: Vec<(String, Json)>,
    pub(super) outputs_json: Option<Json>,
    pub(super) inputs_json: Option<Json>,
    pub(super) error: Option<NodeError>,
    pub(super) cause: Option<u64>,
    pub(super) unconfirmed: bool,
}

impl NodeRun {
    pub(super) fn new(planned: &PlanNode) -> Self {
        let lost_retries_left = if planned.exec.idempotent == Some(false) {
            0
        } else {
            LOST_RETRIES
        };
        Self {
            state: NodeState::Pending,
            attempt: 0,
            waiting: planned.sources,
            retries_left: planned.exec.retries.unwrap_or_default(),
            lost_retries_left,
            retry_pending: false,
            queued: false,
            held: false,
            looking_up: false,
            logging: None,
            key: None,
            sent: None,
            cached: false,
            reused: false,
            instance_id: "".into(),
            started: None,
            dispatched: None,
            ended: None,
            last_report: None,
            awaits_outputs: false,
            throttle: Throttle::default(),
            outputs: Vec::new(),
            outputs_json: None,
            inputs_json: None,
            error: None,
            cause: None,
            unconfirmed: false,
        }
    }

    /// Whether a server is working on it.
    pub(super) fn is_executing(&self) -> bool {
        self.state.is_in_flight() && self.logging.is_none()
    }

    pub(super) fn begin_attempt(&mut self, planned: &PlanNode, run_id: &Arc<str>, now: Instant) {
        self.attempt += 1;
        self.state = NodeState::Dispatched;
        self.started = self.started.or(Some(now));
        self.dispatched = Some(now);
        self.last_report = None;
        self.awaits_outputs = false;
        self.throttle = Throttle::default();
        // What must be stoppable on its own, and what must be told from an earlier attempt, has an id of its own.
        // spec: nanograph 14.2
        let has_own_limit = planned.exec.timeout.is_some() || planned.exec.idle_timeout.is_some();
        self.instance_id = if has_own_limit || self.attempt > 1 {
            format!("{run_id}.{}.{}", planned.id, self.attempt).into()
        } else {
            run_id.clone()
        };
    }
}

/// Lets through at most one status per interval, and keeps the last.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    forwarded: Option<Instant>,
    kept: Option<Status>,
}

/// What becomes of a status.
pub(super) enum Throttled {
    /// It goes through.
    Forward(Status),
    /// It is kept, and is to be taken at this time.
    KeptUntil(Instant),
    /// It takes the place of one that is kept already.
    Replaced,
}

impl Throttle {
    pub(super) fn offer(&mut self, status: Status, now: Instant) -> Throttled {
        let next = self
            .forwarded
            .map(|forwarded| forwarded + STATUS_INTERVAL)
            .filter(|next| *next > now);
        let Some(next) = next else {
            self.forwarded = Some(now);
            self.kept = None;
            return Throttled::Forward(status);
        };
        match self.kept.replace(status) {
            Some(_) => Throttled::Replaced,
            None => Throttled::KeptUntil(next),
        }
    }

    /// Takes what is kept.
    pub(super) fn take(&mut self, now: Instant) -> Option<Status> {
        let kept = self.kept.take()?;
        self.forwarded = Some(now);
        Some(kept)
    }
}
