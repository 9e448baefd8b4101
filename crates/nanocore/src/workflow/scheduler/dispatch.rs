//! Sending nodes to their servers. spec: nanograph 14.2, 14.3

use std::time::{Duration, Instant};

use nanograph::message::{ExecutionRequest, NodeId};
use nodewire_json::Json;

use super::timers::TimerKind;
use super::{Output, Phase, Scheduler, Ticket};
use crate::workflow::event::EventKind;
use crate::workflow::invoker::Call;
use crate::workflow::plan::PlanNode;
use crate::workflow::state::{NodeError, NodeErrorCode, NodeState};

/// The largest request that every known node server accepts. spec: nanograph 4.2
pub(crate) const MAX_REQUEST_BYTES: usize = 4_194_303;
/// More than a request's envelope ever takes.
pub(crate) const ENVELOPE_BYTES: usize = 65_536;

/// How long a server that does nothing else may say nothing. spec: nanograph 15.3
const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(60);

impl Scheduler {
    pub(super) fn next_to_dispatch(&mut self) -> Option<usize> {
        // Also a run that is being stopped hands on what it does not use any more.
        let mut node = self.places.next()?;
        while self.is_away(node) {
            self.places.release(node);
            self.nodes[node].queued = false;
            self.nodes[node].held = true;
            node = self.places.next()?;
        }
        debug_assert!(
            self.phase == Phase::Running,
            "nothing waits in a run that is being stopped"
        );
        self.nodes[node].queued = false;
        Some(node)
    }

    pub(super) fn dispatch(&mut self, node: usize, now: Instant) {
        let plan = self.plan.clone();
        let planned = &plan.nodes[node];
        let Some(remote) = planned.remote() else {
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
                    timeout: planned.exec.timeout,
                    priority: self.settings.priority,
                })
            });
        match call {
            Ok(call) => {
                if self.settings.logs_steps {
                    self.nodes[node].sent = Some(call.request.inputs.clone());
                }
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
                self.places.release(node);
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

    pub(super) fn start_timeout(&self, node: usize) -> Duration {
        let own = self.plan.nodes[node].exec.start_timeout;
        own.unwrap_or(DEFAULT_START_TIMEOUT)
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
