//! What servers say, and when they say nothing. spec: nanograph 15

use std::time::{Duration, Instant};

use nanograph::message::{Progress, Status, StatusKind};
use nodewire_json::{Json, Kind};

use super::node::Throttled;
use super::timers::{RUN, TimerKind};
use super::{Output, Phase, Scheduler, Ticket};
use crate::workflow::event::EventKind;
use crate::workflow::invoker::Report;
use crate::workflow::state::{NodeErrorCode, NodeState};

/// How long outputs may follow a `complete` without any. spec: nanograph 15.1
const OUTPUTS_WAIT: Duration = Duration::from_secs(1);
/// How the SDKs say that they do not know a node. spec: nanograph 5.4
const NOT_FOUND: &str = "Node definition not found";

impl Scheduler {
    /// A report about an attempt. Whether further ones are wanted.
    pub(crate) fn handle_report(&mut self, ticket: Ticket, report: Report, now: Instant) -> bool {
        if !self.is_current(ticket) {
            self.late_reports += 1;
            return false;
        }
        match report {
            Report::Status(status) => self.status(ticket, status, now),
            Report::Failed(error) if error.code.is_infrastructure() => {
                self.lost(ticket.node, error.code, error.message, now);
            }
            Report::Failed(error) => self.fail_attempt(ticket.node, error.code, error.message, now),
        }
        self.advance(now);
        self.is_current(ticket)
    }

    /// No further reports about an attempt will come.
    pub(crate) fn handle_end_of_reports(&mut self, ticket: Ticket, now: Instant) {
        if !self.is_current(ticket) {
            return;
        }
        if self.nodes[ticket.node].awaits_outputs {
            self.complete_remote(ticket.node, &empty_object(), now);
        } else {
            let reason = "the server went away before the node ended".to_owned();
            self.lost(ticket.node, NodeErrorCode::ServerLost, reason, now);
        }
        self.advance(now);
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some((ticket, kind)) = self.timers.pop_due(now) {
            if ticket == RUN {
                self.run_timer(kind, now);
            } else if self.nodes[ticket.node].attempt == ticket.attempt {
                self.node_timer(ticket, kind, now);
            }
        }
        self.advance(now);
    }

    /// Whether an attempt that was given out for dispatch, but is not sent yet, is still wanted.
    pub(crate) fn may_send(&self, ticket: Ticket) -> bool {
        self.is_current(ticket) && !matches!(self.phase, Phase::Aborting { .. })
    }

    /// Whether an attempt has not ended.
    pub(crate) fn is_current(&self, ticket: Ticket) -> bool {
        let node = &self.nodes[ticket.node];
        node.attempt == ticket.attempt && node.is_executing()
    }

    fn status(&mut self, ticket: Ticket, status: Status, now: Instant) {
        let node = &mut self.nodes[ticket.node];
        node.last_report = Some(now);
        if node.awaits_outputs && !(status.kind == StatusKind::Complete && status.outputs.is_some())
        {
            // The first terminal status wins.
            self.late_reports += 1;
            return;
        }
        match status.kind {
            StatusKind::Complete => self.complete_status(ticket, status, now),
            StatusKind::Error => {
                self.error_status(ticket.node, status.message.unwrap_or_default(), now)
            }
            StatusKind::Running => {
                node.state = NodeState::Running;
                self.forward(ticket, status, now);
            }
            StatusKind::Idle | StatusKind::Missing | StatusKind::Other(_) => {
                self.forward(ticket, status, now)
            }
        }
    }

    fn complete_status(&mut self, ticket: Ticket, status: Status, now: Instant) {
        match status.outputs {
            Some(outputs) if outputs.is_null() => {
                self.complete_remote(ticket.node, &empty_object(), now)
            }
            Some(outputs) if outputs.kind() == Kind::Object => {
                self.complete_remote(ticket.node, &outputs, now)
            }
            Some(outputs) => {
                let message = format!(
                    "the node returned {} instead of an object",
                    kind_name(outputs.kind())
                );
                self.fail_attempt(ticket.node, NodeErrorCode::InvalidOutputs, message, now);
            }
            None => {
                self.nodes[ticket.node].awaits_outputs = true;
                self.timers
                    .set(now + OUTPUTS_WAIT, ticket, TimerKind::Outputs);
            }
        }
    }

    fn error_status(&mut self, node: usize, message: String, now: Instant) {
        if message.is_empty() {
            self.fail_attempt(
                node,
                NodeErrorCode::NodeFailed,
                "node failed without a message".to_owned(),
                now,
            );
        } else if self.nodes[node].state == NodeState::Dispatched && message.starts_with(NOT_FOUND)
        {
            // Without a `running` before it, the server itself says so; while it reloads, that passes.
            self.lost(node, NodeErrorCode::NodeNotFound, message, now);
        } else {
            self.fail_attempt(node, NodeErrorCode::NodeFailed, message, now);
        }
    }

    fn forward(&mut self, ticket: Ticket, mut status: Status, now: Instant) {
        status.progress = status.progress.and_then(shown_progress);
        match self.nodes[ticket.node].throttle.offer(status, now) {
            Throttled::Forward(status) => self.emit_status(ticket.node, status),
            Throttled::KeptUntil(at) => self.timers.set(at, ticket, TimerKind::Status),
            Throttled::Replaced => {}
        }
    }

    /// Forwards the status that is kept, if there is one.
    pub(super) fn flush_status(&mut self, node: usize, now: Instant) {
        if let Some(status) = self.nodes[node].throttle.take(now) {
            self.emit_status(node, status);
        }
    }

    fn emit_status(&mut self, node: usize, status: Status) {
        self.emit(EventKind::NodeStatus {
            node_id: self.plan.nodes[node].id,
            status,
        });
    }

    fn node_timer(&mut self, ticket: Ticket, kind: TimerKind, now: Instant) {
        let node = ticket.node;
        if kind == TimerKind::Retry {
            return self.retry(node);
        }
        if !self.nodes[node].is_executing() {
            return;
        }
        match kind {
            TimerKind::Start => self.check_started(ticket, now),
            TimerKind::Idle => self.check_idle(ticket, now),
            TimerKind::Timeout => {
                let limit = self.plan.nodes[node].exec.timeout.unwrap_or_default();
                let message = format!("not done after {limit:?}");
                self.stop_attempt(node);
                self.fail_attempt(node, NodeErrorCode::Timeout, message, now);
            }
            TimerKind::Status => self.flush_status(node, now),
            TimerKind::Outputs => self.complete_remote(node, &empty_object(), now),
            TimerKind::Retry | TimerKind::StopAgain | TimerKind::GiveUp | TimerKind::Away => {}
        }
    }

    /// Silence only counts while the server does nothing else: a node may wait for its turn there.
    /// spec: nanograph 15.3
    fn check_started(&mut self, ticket: Ticket, now: Instant) {
        let node = ticket.node;
        if self.nodes[node].last_report.is_some() {
            return;
        }
        let limit = self.start_timeout(node);
        if self.is_server_busy(node, now) {
            // A limit of zero would come back at once, for ever.
            let again = now + limit.max(Duration::from_millis(1));
            return self.timers.set(again, ticket, TimerKind::Start);
        }
        self.stop_attempt(node);
        let message = format!("the server said nothing for {limit:?}");
        self.lost(node, NodeErrorCode::NoResponse, message, now);
    }

    /// Whether another node on the same server is being worked on, as far as one can know: it said something, or had
    /// no time yet to do so. Nodes that are all silent for too long do not excuse each other.
    fn is_server_busy(&self, node: usize, now: Instant) -> bool {
        let on = |node: usize| self.plan.nodes[node].remote().map(|remote| remote.server);
        let works = |other: usize| {
            let run = &self.nodes[other];
            let has_time = || {
                run.dispatched
                    .is_some_and(|at| at + self.start_timeout(other) > now)
            };
            run.is_executing() && (run.last_report.is_some() || has_time())
        };
        (0..self.nodes.len()).any(|other| other != node && on(other) == on(node) && works(other))
    }

    fn check_idle(&mut self, ticket: Ticket, now: Instant) {
        let run = &self.nodes[ticket.node];
        let Some(limit) = self.plan.nodes[ticket.node].exec.idle_timeout else {
            return;
        };
        let due = run
            .last_report
            .or(run.dispatched)
            .map(|last| last + limit)
            .filter(|due| *due > now);
        if let Some(due) = due {
            return self.timers.set(due, ticket, TimerKind::Idle);
        }
        self.stop_attempt(ticket.node);
        self.fail_attempt(
            ticket.node,
            NodeErrorCode::IdleTimeout,
            format!("no status for {limit:?}"),
            now,
        );
    }

    /// Stops the node's attempt on its server.
    pub(super) fn stop_attempt(&mut self, node: usize) {
        if let Some(remote) = self.plan.nodes[node].remote() {
            let instance_id = self.nodes[node].instance_id.clone();
            self.outputs.push_back(Output::Stop {
                server: remote.server,
                instance_id,
            });
        }
    }
}

/// Progress as it can be shown: `step <= total`, and `total` not 0. spec: nanograph 15.1
fn shown_progress(progress: Progress) -> Option<Progress> {
    let Progress { step, total } = progress;
    (total > 0).then_some(Progress {
        step: step.min(total),
        total,
    })
}

fn empty_object() -> Json {
    Json::from(serde_json::Value::Object(serde_json::Map::new()))
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Bool => "a boolean",
        Kind::Number => "a number",
        Kind::String => "a string",
        Kind::Array => "a list",
        Kind::Object => "an object",
    }
}
