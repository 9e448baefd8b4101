//! Results that are there already. spec: nanograph 18

use std::time::Instant;

use nodewire_json::Json;

use super::{Output, Scheduler};
use crate::workflow::cache::KeyBase;
use crate::workflow::plan::Work;
use crate::workflow::state::{NodeError, NodeErrorCode, NodeState};

const LOST: &str = "it was sent when the daemon ended, and may have been executed; it is not executed again (exec.idempotent: false)";

/// What became of a look-up.
#[derive(Debug)]
pub(crate) enum LookedUp {
    /// These outputs: an object.
    Found(Json),
    /// Nothing; the node is to be executed, and its result kept.
    Missing,
    /// The key does not fit any more; the node is to be executed, its result not kept.
    Outdated,
}

impl Scheduler {
    /// Nodes that an earlier run has executed are complete from the start.
    pub(super) fn reuse(&mut self, now: Instant) {
        let plan = self.plan.clone();
        for (node, planned) in plan.nodes.iter().enumerate() {
            if let Work::Reused(outputs) = &planned.work {
                self.nodes[node].reused = true;
                self.nodes[node].outputs_json = Some(outputs.clone());
                self.take_outputs(node, outputs);
                self.end(node, NodeState::Complete, now);
            }
        }
        self.tell_successors(now);
    }

    /// Nodes that an earlier run may have executed fail at the start, since they must not be executed twice.
    pub(super) fn fail_lost(&mut self, now: Instant) {
        let error = NodeError::new(NodeErrorCode::ServerLost, LOST);
        let plan = self.plan.clone();
        let is_lost = |node: &usize| matches!(plan.nodes[*node].work, Work::Lost);
        let lost: Vec<usize> = (0..plan.nodes.len()).filter(is_lost).collect();
        for node in &lost {
            self.nodes[*node].error = Some(error.clone());
        }
        for node in lost {
            // The first of them may have ended the others.
            if !self.nodes[node].state.is_terminal() {
                self.fail(node, error.clone(), now);
            }
        }
    }

    /// A node is ready whose result may be there already.
    pub(super) fn find_result(&mut self, node: usize, base: &KeyBase, now: Instant) {
        let plan = self.plan.clone();
        let inputs = match self.inputs_of(&plan.nodes[node]) {
            Ok(inputs) => inputs,
            Err(error) => return self.fail(node, error, now),
        };
        // What was just assembled is well-formed; without a key the node is executed as any other.
        let key = base.key(&inputs, self.settings.assets.as_deref()).ok();
        self.nodes[node].key = key;
        match key.filter(|_| self.settings.looks_up) {
            Some(key) => {
                self.nodes[node].looking_up = true;
                self.outputs.push_back(Output::LookUp { node, key });
            }
            None => self.queue(node),
        }
    }

    /// A look-up is over. Whether the node waited for it still.
    pub(crate) fn handle_looked_up(&mut self, node: usize, found: LookedUp, now: Instant) -> bool {
        if !self.nodes[node].looking_up {
            return false;
        }
        self.nodes[node].looking_up = false;
        match found {
            LookedUp::Found(outputs) => {
                self.nodes[node].cached = true;
                self.complete_logged(node, outputs, now);
            }
            LookedUp::Missing => self.queue(node),
            LookedUp::Outdated => {
                self.nodes[node].key = None;
                self.queue(node);
            }
        }
        self.advance(now);
        true
    }

    /// Tells what became of a node that others may wait for.
    pub(super) fn end_in_cache(&mut self, node: usize) {
        let run = &mut self.nodes[node];
        if let Some(key) = run.key.take() {
            let is_new = run.state == NodeState::Complete;
            let outputs = run.outputs_json.clone().filter(|_| is_new);
            self.outputs
                .push_back(Output::CacheEnd { node, key, outputs });
        }
    }
}
