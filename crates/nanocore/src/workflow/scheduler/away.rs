//! Servers that are away and will be back: nodes that were not sent yet wait for them. spec: nanograph 16.2

use std::time::Instant;

use super::Scheduler;
use super::timers::{RUN, TimerKind};
use crate::workflow::graph::MAX_TIME;
use crate::workflow::state::NodeState;

/// How a server is, as the run sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Here,
    /// Nodes wait for it until then; then they are sent all the same, and fail as its loss has it. `None` if they wait
    /// as long as it takes.
    Away(Option<Instant>),
    /// It was away for too long.
    GivenUp,
}

impl Scheduler {
    /// Says which servers of the plan are away for a while. Nothing is sent to them until they are back or given up;
    /// the nodes stay ready, and hold no place.
    pub(crate) fn handle_servers(&mut self, away: &[bool], now: Instant) {
        self.note_away(away, now);
        self.release_held();
        self.advance(now);
    }

    pub(super) fn note_away(&mut self, away: &[bool], now: Instant) {
        self.servers.resize(away.len(), Presence::Here);
        let wait = self.settings.away_wait.map(|wait| wait.min(MAX_TIME));
        let until = wait.map(|wait| now + wait);
        for (server, is_away) in self.servers.iter_mut().zip(away) {
            *server = match (is_away, *server) {
                (false, _) => Presence::Here,
                (true, Presence::Here) => Presence::Away(until),
                (true, before) => before,
            };
        }
        self.set_away_timer();
    }

    /// Those that were away for too long are given up.
    pub(super) fn give_up_away(&mut self, now: Instant) {
        self.is_away_timer_set = false;
        for server in &mut self.servers {
            if matches!(*server, Presence::Away(Some(until)) if until <= now) {
                *server = Presence::GivenUp;
            }
        }
        self.set_away_timer();
        self.release_held();
    }

    /// Whether a node has to wait for its server.
    pub(super) fn is_away(&self, node: usize) -> bool {
        let remote = self.plan.nodes[node].remote();
        let presence = remote.and_then(|remote| self.servers.get(remote.server));
        matches!(presence, Some(Presence::Away(_)))
    }

    /// One timer at a time, for whichever server is to be given up first.
    fn set_away_timer(&mut self) {
        let until = |server: &Presence| match server {
            Presence::Away(until) => *until,
            Presence::Here | Presence::GivenUp => None,
        };
        let first = self.servers.iter().filter_map(until).min();
        if let Some(first) = first.filter(|_| !self.is_away_timer_set) {
            self.timers.set(first, RUN, TimerKind::Away);
            self.is_away_timer_set = true;
        }
    }

    fn release_held(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].held && !self.is_away(node) {
                self.nodes[node].held = false;
                if self.nodes[node].state == NodeState::Ready {
                    self.queue(node);
                }
            }
        }
    }
}
