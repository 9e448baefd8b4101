//! Outputs count when the step log has them. spec: nanograph 16.5

use std::time::Instant;

use nodewire_json::Json;

use super::{Output, Phase, Scheduler, Ticket};
use crate::workflow::state::{NodeError, NodeErrorCode, NodeState};
use crate::workflow::step_log::{FinishedStep, StepLogError};

impl Scheduler {
    /// A node on a server has outputs; it is complete once they are logged.
    pub(super) fn complete_logged(&mut self, node: usize, outputs: Json, now: Instant) {
        if !self.settings.logs_steps {
            self.take_outputs(node, &outputs);
            return self.complete(node, outputs, now);
        }
        let plan = self.plan.clone();
        let planned = &plan.nodes[node];
        let inputs = self.nodes[node].sent.take();
        let run = &self.nodes[node];
        let step = FinishedStep {
            node_id: planned.id,
            attempt: run.attempt,
            server_uid: planned
                .remote()
                .map(|remote| remote.server_uid.to_string())
                .unwrap_or_default(),
            // What came from the cache was not sent; what was looked up could be assembled.
            inputs: inputs
                .or_else(|| self.inputs_of(planned).ok())
                .unwrap_or_default(),
            outputs: outputs.clone(),
            cached: run.cached,
            duration: run
                .dispatched
                .map(|from| now.duration_since(from))
                .unwrap_or_default(),
        };
        let ticket = Ticket {
            node,
            attempt: run.attempt,
        };
        self.nodes[node].logging = Some(outputs);
        self.outputs.push_back(Output::Log(ticket, Box::new(step)));
    }

    /// The log has a step, or cannot keep it.
    pub(crate) fn handle_logged(
        &mut self,
        ticket: Ticket,
        logged: Result<(), StepLogError>,
        now: Instant,
    ) {
        let node = ticket.node;
        // A node that was given up meanwhile has ended.
        let Some(outputs) = self.nodes[node].logging.take() else {
            return;
        };
        match logged {
            Ok(()) => {
                self.take_outputs(node, &outputs);
                self.complete(node, outputs, now);
            }
            Err(_) if matches!(self.phase, Phase::Aborting { .. }) => {
                self.settle(node, NodeState::Aborted, now);
            }
            Err(error) => {
                let error = NodeError::new(NodeErrorCode::StepNotLogged, error.to_string());
                self.fail(node, error, now);
            }
        }
        self.advance(now);
    }
}
