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

mod ending;
mod node;
mod queue;
mod reports;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nanograph::message::{ExecutionRequest, NodeId};
use nodewire_json::Json;

use super::event::EventKind;
use super::graph::OnError;
use super::invoker::Call;
use super::plan::{Plan, PlanNode, Work};
use super::request::{SourceValue, assemble_inputs};
use super::result::Counts;
use super::state::{NodeError, NodeErrorCode, NodeState, RunStatus};
use node::NodeRun;
use queue::ReadyQueues;
use timers::{TimerKind, Timers};

/// The largest request that every known node server accepts. spec: nanograph 4.2
const MAX_REQUEST_BYTES: usize = 4_194_303;
/// More than a request's envelope ever takes.
const ENVELOPE_BYTES: usize = 65_536;

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
}

/// Which attempt of which node a report belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) node: usize,
    pub(crate) attempt: u32,
}

/// Settings of a run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) run_id: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) abort_grace: Duration,
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
#[derive(Debug)]
pub(crate) struct Scheduler {
    plan: Arc<Plan>,
    settings: Settings,
    nodes: Vec<NodeRun>,
    queues: ReadyQueues,
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
            queues: ReadyQueues::new(&plan, settings.limits),
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

    /// Begins the run. Once, first.
    pub(crate) fn start(&mut self, now: Instant) {
        self.emit(EventKind::RunStarted {
            nodes: self.plan.nodes.iter().map(|node| node.id).collect(),
        });
        for node in 0..self.nodes.len() {
            if self.nodes[node].waiting == 0 {
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

    /// All sources of a node are terminal.
    fn make_ready(&mut self, node: usize, now: Instant) {
        let plan = self.plan.clone();
        let planned = &plan.nodes[node];
        if let Some(cause) = planned.blocked_by.or_else(|| self.blocking_source(planned)) {
            return self.skip(node, cause, now);
        }
        match &planned.work {
            Work::Remote(remote) => {
                self.nodes[node].state = NodeState::Ready;
                self.queues.push(node, planned, remote);
            }
            Work::Constant(outputs) => self.complete_here(node, outputs.clone(), None, now),
            Work::Show => match self.inputs_of(planned) {
                Ok(inputs) => self.complete_here(node, Vec::new(), Some(inputs), now),
                Err(error) => self.fail(node, error, now),
            },
            Work::Bypass(outputs) => match self.bypassed(planned, outputs) {
                Ok(outputs) => self.complete_here(node, outputs, None, now),
                Err(error) => self.fail(node, error, now),
            },
        }
    }

    /// The node because of which a required input gets nothing. spec: nanograph 16.3
    fn blocking_source(&self, planned: &PlanNode) -> Option<u64> {
        // A muted node takes nothing itself: whoever is behind it is to know that the value is missing.
        let is_bypass = matches!(planned.work, Work::Bypass(_));
        let required = planned
            .inputs
            .iter()
            .filter(|input| !input.optional || is_bypass);
        let mut sources = required
            .flat_map(|input| &input.sources)
            .map(|(source, _)| *source);
        let failed = sources.find(|source| self.nodes[*source].state != NodeState::Complete)?;
        // A chain of skipped nodes names the one it began with.
        Some(
            self.nodes[failed]
                .cause
                .unwrap_or(self.plan.nodes[failed].id),
        )
    }

    fn inputs_of(&self, planned: &PlanNode) -> Result<Json, NodeError> {
        assemble_inputs(&planned.inputs, |source, name| {
            self.source_value(source, name)
        })
        .map_err(|error| {
            NodeError::new(
                NodeErrorCode::InvalidInputs,
                format!("the inputs cannot be sent: {error}"),
            )
        })
    }

    fn source_value(&self, source: usize, name: &str) -> SourceValue<'_> {
        let source = &self.nodes[source];
        if source.state != NodeState::Complete {
            return SourceValue::Unusable;
        }
        let found = source.outputs.iter().rfind(|(output, _)| output == name);
        found.map_or(SourceValue::Nothing, |(_, value)| SourceValue::Value(value))
    }

    // spec: nanograph 17.5
    fn bypassed(
        &self,
        planned: &PlanNode,
        outputs: &[(String, Option<usize>)],
    ) -> Result<Vec<(String, Json)>, NodeError> {
        let inputs = self.inputs_of(planned)?;
        let passed = outputs.iter().filter_map(|(output, input)| {
            let list = inputs.get(&planned.inputs.get((*input)?)?.name)?;
            Some((output.clone(), list))
        });
        Ok(passed.collect())
    }

    fn next_to_dispatch(&mut self) -> Option<usize> {
        if self.phase == Phase::Running {
            self.queues.pop()
        } else {
            None
        }
    }

    fn dispatch(&mut self, node: usize, now: Instant) {
        let plan = self.plan.clone();
        let planned = &plan.nodes[node];
        let Work::Remote(remote) = &planned.work else {
            return;
        };
        self.nodes[node].begin_attempt(planned, &self.settings.run_id, now);
        let server = &plan.servers[remote.server];
        let call = self
            .request(node, planned, &remote.graph_node)
            .and_then(|request| {
                check_size(&request, &server.uid)?;
                Ok(Call {
                    server: server.clone(),
                    request,
                })
            });
        match call {
            Ok(call) => {
                let attempt = self.nodes[node].attempt;
                self.emit(EventKind::NodeState {
                    node_id: planned.id,
                    state: NodeState::Dispatched,
                    attempt,
                    server_uid: Some(server.uid.clone()),
                    cause: None,
                });
                self.outputs
                    .push_back(Output::Dispatch(Ticket { node, attempt }, Box::new(call)));
                self.set_attempt_timers(node, now);
            }
            Err(error) => {
                self.queues.release(node, &plan);
                self.fail(node, error, now);
            }
        }
    }

    fn request(
        &self,
        node: usize,
        planned: &PlanNode,
        graph_node: &Json,
    ) -> Result<ExecutionRequest, NodeError> {
        if graph_node.is_null() {
            return Err(NodeError::new(
                NodeErrorCode::InvalidInputs,
                "a parameter's value is nested too deeply",
            ));
        }
        let instance_id: &str = &self.nodes[node].instance_id;
        let inputs = self.inputs_of(planned)?;
        Ok(ExecutionRequest::new(
            instance_id,
            NodeId::from(planned.id),
            &*planned.uid,
            inputs,
            graph_node.clone(),
        ))
    }

    fn set_attempt_timers(&mut self, node: usize, now: Instant) {
        let ticket = Ticket {
            node,
            attempt: self.nodes[node].attempt,
        };
        let exec = &self.plan.nodes[node].exec;
        self.timers
            .set(now + self.start_timeout(node), ticket, TimerKind::Start);
        if let Some(timeout) = exec.timeout {
            self.timers.set(now + timeout, ticket, TimerKind::Timeout);
        }
        if let Some(idle) = exec.idle_timeout {
            self.timers.set(now + idle, ticket, TimerKind::Idle);
        }
    }

    fn start_timeout(&self, node: usize) -> Duration {
        let own = self.plan.nodes[node].exec.start_timeout;
        own.unwrap_or(DEFAULT_START_TIMEOUT)
    }

    fn on_error(&self, node: usize) -> OnError {
        self.plan.nodes[node].exec.on_error.unwrap_or_default()
    }
}

/// How long a server that does nothing else may say nothing. spec: nanograph 15.3
const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(60);

// spec: nanograph 16.3
fn status_of(counts: Counts) -> RunStatus {
    match counts {
        Counts { error: 1.., .. } => RunStatus::Error,
        Counts { aborted: 1.., .. } => RunStatus::Aborted,
        Counts { .. } => RunStatus::Complete,
    }
}

// spec: nanograph 14.3
fn check_size(request: &ExecutionRequest, server_uid: &str) -> Result<(), NodeError> {
    let values = request.inputs.as_str().len() + request.graph_node.as_str().len();
    if values + ENVELOPE_BYTES <= MAX_REQUEST_BYTES {
        return Ok(());
    }
    let bytes = if values > MAX_REQUEST_BYTES {
        values
    } else {
        request.to_text(server_uid).len()
    };
    if bytes <= MAX_REQUEST_BYTES {
        return Ok(());
    }
    let message = format!(
        "the request has {bytes} bytes, node servers accept {MAX_REQUEST_BYTES}; pass large values as assets, not inline"
    );
    Err(NodeError::new(NodeErrorCode::InputTooLarge, message))
}
