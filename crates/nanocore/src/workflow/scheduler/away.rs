//! Servers that are away and will be back: nodes that were not sent yet wait for them. spec: nanograph 16.2

use std::time::Instant;

use super::Scheduler;
use crate::workflow::state::NodeState;

impl Scheduler {
    /// Says which servers of the plan are away for a while. Nothing is sent to them until they are back or given up;
    /// the nodes stay ready, and hold no place.
    pub(crate) fn handle_servers(&mut self, away: Vec<bool>, now: Instant) {
        self.away = away;
        for node in 0..self.nodes.len() {
            if self.nodes[node].held && !self.is_away(node) {
                self.nodes[node].held = false;
                if self.nodes[node].state == NodeState::Ready {
                    self.queue(node);
                }
            }
        }
        self.advance(now);
    }

    /// Whether a node has to wait for its server.
    pub(super) fn is_away(&self, node: usize) -> bool {
        let remote = self.plan.nodes[node].remote();
        remote.is_some_and(|remote| self.away.get(remote.server) == Some(&true))
    }
}
