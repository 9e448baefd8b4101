//! The scheduler: a pure state machine of one run. spec: nanograph 15.1, 16
//!
//! Theory of operation: `start`, `handle_*` say what happened, always with the time; after each of them the caller
//! takes everything out of [`Scheduler::poll_output`] and does it, then waits for the next report or for
//! [`Scheduler::poll_timeout`]. Nothing here blocks, spawns, or reads a clock.
//!
//! A node waits until each of its sources is terminal; the last of them makes it ready in one pass over its links.
//! Nodes that need no server complete at that moment. The others queue per server, longest remaining way first, and
//! are dispatched while the limits allow.
//!
//! Invariants: every node ends in exactly one terminal state; a node is dispatched only after all its sources are
//! terminal and those of its required inputs complete; in flight are never more nodes than the limits say; a
//! completion is reported before the dispatches it allows; `RunFinished` is the last output.

mod away;
mod cached;
mod dispatch;
mod ending;
mod logging;
mod node;
mod ready;
mod reports;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nodewire_json::Json;
use tokio::sync::Notify;

use super::asset_links::AssetLinks;
use super::cache::CacheKey;
use super::capacity::{Capacity, Places};
use super::event::EventKind;
use super::graph::OnError;
use super::invoker::Call;
use super::plan::{Plan, PlanNode, Work};
use super::result::Counts;
use super::state::{NodeState, RunStatus};
use super::step_log::FinishedStep;
pub(crate) use cached::LookedUp;
pub(crate) use dispatch::{ENVELOPE_BYTES, MAX_REQUEST_BYTES};
use node::NodeRun;
use timers::Timers;

/// How many nodes may be in flight at a time. spec: nanograph 16.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Over all servers.
    pub in_flight: usize,
    /// Per server, unless the server has [a limit of its own](super::Server::max_in_flight).
    pub in_flight_per_server: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 64,
            in_flight_per_server: 4,
        }
    }
}

/// What the scheduler wants done, in this order.
#[derive(Debug)]
pub(crate) enum Output {
    /// Tell whoever watches.
    Event(EventKind),
    /// Execute a node; its reports come back with the ticket.
    Dispatch(Ticket, Box<Call>),
    /// Stop what runs under an instance id on a server.
    Stop {
        server: usize,
        instance_id: Arc<str>,
    },
    /// Look for a result of a node; what is found comes back with [`Scheduler::handle_looked_up`].
    LookUp { node: usize, key: CacheKey },
    /// A node with a key has ended; with outputs if they may be used again.
    CacheEnd {
        node: usize,
        key: CacheKey,
        outputs: Option<Json>,
    },
    /// Log a step; what comes of it comes back with [`Scheduler::handle_logged`].
    Log(Ticket, Box<FinishedStep>),
}

/// Which attempt of which node a report belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) node: usize,
    pub(crate) attempt: u32,
}

/// Settings of a run.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) run_id: Arc<str>,
    pub(crate) capacity: Capacity,
    /// Higher goes first.
    pub(crate) priority: i32,
    /// Whether results are looked up before nodes are executed.
    pub(crate) looks_up: bool,
    /// Whether steps are logged.
    pub(crate) logs_steps: bool,
    /// The assets that values may name.
    pub(crate) assets: Option<Arc<dyn AssetLinks>>,
    pub(crate) abort_grace: Duration,
    /// How long nodes wait for a server that is away; `None` for as long as it takes.
    pub(crate) away_wait: Option<Duration>,
    /// Makes the jitter of retry delays.
    pub(crate) seed: u64,
}

/// Whether further nodes are dispatched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// A node failed; what is in flight may finish.
    Halted,
    /// What is in flight is being stopped; because of a node, or on request.
    Aborting {
        cause: Option<u64>,
    },
    Finished,
}

/// The state of one run.
pub(crate) struct Scheduler {
    plan: Arc<Plan>,
    settings: Settings,
    nodes: Vec<NodeRun>,
    places: Places,
    /// How the servers are; empty before anything was said of them.
    servers: Vec<away::Presence>,
    is_away_timer_set: bool,
    timers: Timers,
    outputs: VecDeque<Output>,
    phase: Phase,
    /// Nodes that are not terminal yet.
    open: usize,
    /// Terminal nodes whose successors do not know yet.
    settled: Vec<usize>,
    started: Instant,
    ended: Option<Instant>,
    late_reports: u64,
    random: u64,
}

impl Scheduler {
    pub(crate) fn new(plan: Arc<Plan>, settings: Settings, now: Instant) -> Self {
        let nodes = plan.nodes.iter().map(NodeRun::new).collect::<Vec<_>>();
        Self {
            places: settings.capacity.join(settings.priority),
            servers: Vec::new(),
            is_away_timer_set: false,
            open: nodes.len(),
            nodes,
            timers: Timers::default(),
            outputs: VecDeque::new(),
            phase: Phase::Running,
            settled: Vec::new(),
            started: now,
            ended: None,
            late_reports: 0,
            random: settings.seed,
            plan,
            settings,
        }
    }

    /// Begins the run, with the servers that are [away](Self::handle_servers). Once, first.
    pub(crate) fn start(&mut self, away: &[bool], now: Instant) {
        self.note_away(away, now);
        let plan = self.plan.clone();
        let is_reused = |node: &PlanNode| matches!(node.work, Work::Reused(_));
        let (reused, nodes): (Vec<&PlanNode>, Vec<&PlanNode>) =
            plan.nodes.iter().partition(|node| is_reused(node));
        let ids = |nodes: Vec<&PlanNode>| nodes.iter().map(|node| node.id).collect();
        self.emit(EventKind::RunStarted {
            nodes: ids(nodes),
            reused: ids(reused),
        });
        self.reuse(now);
        self.fail_lost(now);
        for node in 0..self.nodes.len() {
            // One that fails at once may have ended the others.
            if self.nodes[node].waiting == 0 && self.nodes[node].state == NodeState::Pending {
                self.make_ready(node, now);
            }
        }
        self.advance(now);
    }

    /// What to do next, in order; `None` when all is done for now.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called, unless something else happens before.
    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        let nodes = &self.nodes;
        self.timers.next(|ticket| {
            nodes[ticket.node].attempt == ticket.attempt && !nodes[ticket.node].state.is_terminal()
        })
    }

    /// Whether the run is over.
    pub(crate) fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// The servers of the plan, by the numbers in [`Output::Stop`].
    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// What is told when the run got places that it did not ask for itself.
    pub(crate) fn places_changed(&self) -> Arc<Notify> {
        self.places.changed()
    }

    /// The run got places.
    pub(crate) fn handle_places(&mut self, now: Instant) {
        self.advance(now);
    }

    fn emit(&mut self, event: EventKind) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Does everything that has become possible.
    fn advance(&mut self, now: Instant) {
        loop {
            self.tell_successors(now);
            let Some(node) = self.next_to_dispatch() else {
                break;
            };
            self.dispatch(node, now);
        }
        if self.open == 0 && self.phase != Phase::Finished {
            self.finish(now);
        }
    }

    fn finish(&mut self, now: Instant) {
        self.phase = Phase::Finished;
        self.ended = Some(now);
        let counts: Counts = self.nodes.iter().map(|node| node.state).collect();
        let duration = now.duration_since(self.started);
        self.emit(EventKind::RunFinished {
            status: status_of(counts),
            duration,
            counts,
        });
    }

    fn tell_successors(&mut self, now: Instant) {
        let plan = self.plan.clone();
        while let Some(node) = self.settled.pop() {
            for &next in &plan.nodes[node].successors {
                self.nodes[next].waiting -= 1;
                if self.nodes[next].waiting == 0 && self.nodes[next].state == NodeState::Pending {
                    self.make_ready(next, now);
                }
            }
        }
    }

    fn on_error(&self, node: usize) -> OnError {
        self.plan.nodes[node].exec.on_error.unwrap_or_default()
    }
}

// spec: nanograph 16.3
fn status_of(counts: Counts) -> RunStatus {
    match counts {
        Counts { error: 1.., .. } => RunStatus::Error,
        Counts { aborted: 1.., .. } => RunStatus::Aborted,
        Counts { .. } => RunStatus::Complete,
    }
}
