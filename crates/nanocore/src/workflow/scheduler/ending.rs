//! How nodes end, and what that means for the others. spec: nanograph 16.2 - 16.4

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nodewire_json::Json;

use super::timers::{RUN, TimerKind};
use super::{Output, Phase, Scheduler, Ticket, status_of};
use crate::workflow::event::EventKind;
use crate::workflow::graph::OnError;
use crate::workflow::object::ObjectWriter;
use crate::workflow::result::{NodeResult, RunResult};
use crate::workflow::state::{NodeError, NodeErrorCode, NodeState};

const RETRY_DELAY: Duration = Duration::from_secs(1);
const RETRY_MAX_DELAY: Duration = Duration::from_secs(60);
const RETRY_BACKOFF_MILLI: u32 = 2_000;

impl Scheduler {
    /// Stops the run: nothing further is dispatched, and what is in flight is stopped. Again: nothing happens.
    pub(crate) fn handle_abort(&mut self, now: Instant) {
        self.abort(None, now);
        self.advance(now);
    }

    fn abort(&mut self, cause: Option<u64>, now: Instant) {
        if matches!(self.phase, Phase::Aborting { .. } | Phase::Finished) {
            return;
        }
        self.phase = Phase::Aborting { cause };
        for node in 0..self.nodes.len() {
            let state = self.nodes[node].state;
            match (cause, state) {
                (None, NodeState::Pending | NodeState::Ready) => {
                    self.settle(node, NodeState::Aborted, now)
                }
                (Some(cause), NodeState::Pending | NodeState::Ready) => {
                    self.give_up_waiting(node, cause, now)
                }
                _ => {}
            }
        }
        self.stop_all();
        let grace = self.settings.abort_grace;
        self.timers.set(now + grace / 2, RUN, TimerKind::StopAgain);
        self.timers.set(now + grace, RUN, TimerKind::GiveUp);
    }

    /// One stop per server and instance with nodes in flight.
    fn stop_all(&mut self) {
        let mut stops: BTreeSet<(usize, Arc<str>)> = BTreeSet::new();
        for (run, planned) in self.nodes.iter().zip(&self.plan.nodes) {
            if let (true, Some(remote)) = (run.is_executing(), planned.remote()) {
                stops.insert((remote.server, run.instance_id.clone()));
            }
        }
        self.outputs
            .extend(stops.into_iter().map(|(server, instance_id)| Output::Stop {
                server,
                instance_id,
            }));
    }

    pub(super) fn run_timer(&mut self, kind: TimerKind, now: Instant) {
        match kind {
            // A second stop ends nodes that swallowed the first.
            TimerKind::StopAgain => self.stop_all(),
            TimerKind::Away => self.give_up_away(now),
            TimerKind::GiveUp => {
                for node in 0..self.nodes.len() {
                    if self.nodes[node].state.is_in_flight() {
                        self.flush_status(node, now);
                        self.nodes[node].unconfirmed = true;
                        self.settle(node, NodeState::Aborted, now);
                    }
                }
            }
            TimerKind::Start
            | TimerKind::Idle
            | TimerKind::Timeout
            | TimerKind::Retry
            | TimerKind::Status
            | TimerKind::Outputs => {}
        }
    }

    /// Nothing new is dispatched; the rest is skipped because of a node.
    fn halt(&mut self, cause: u64, now: Instant) {
        if self.phase != Phase::Running {
            return;
        }
        self.phase = Phase::Halted;
        for node in 0..self.nodes.len() {
            if matches!(
                self.nodes[node].state,
                NodeState::Pending | NodeState::Ready
            ) {
                self.give_up_waiting(node, cause, now);
            }
        }
    }

    /// Ends a node that is not in flight: it failed if it has tried already, and else it is skipped.
    fn give_up_waiting(&mut self, node: usize, cause: u64, now: Instant) {
        match self.nodes[node].error.clone() {
            Some(error) => {
                self.emit(EventKind::NodeError {
                    node_id: self.plan.nodes[node].id,
                    error,
                    retry_in: None,
                });
                self.settle(node, NodeState::Error, now);
            }
            None => self.skip(node, cause, now),
        }
    }

    pub(super) fn skip(&mut self, node: usize, cause: u64, now: Instant) {
        self.nodes[node].cause = Some(cause);
        self.settle(node, NodeState::Skipped, now);
    }

    /// A node that needs no server ends.
    pub(super) fn complete_here(
        &mut self,
        node: usize,
        outputs: Vec<(String, Json)>,
        inputs: Option<Json>,
        now: Instant,
    ) {
        let mut object = ObjectWriter::new();
        for (name, list) in &outputs {
            object.member(name, list);
        }
        match object.finish() {
            Ok(json) => {
                self.nodes[node].outputs = outputs;
                self.nodes[node].inputs_json = inputs;
                self.complete(node, json, now);
            }
            Err(error) => {
                let message = format!("the outputs cannot be passed on: {error}");
                self.fail(
                    node,
                    NodeError::new(NodeErrorCode::InvalidOutputs, message),
                    now,
                );
            }
        }
    }

    /// A node on a server ends well.
    pub(super) fn complete_remote(&mut self, node: usize, outputs: &Json, now: Instant) {
        self.flush_status(node, now);
        self.places.release(node);
        self.complete_logged(node, outputs.clone(), now);
    }

    pub(super) fn take_outputs(&mut self, node: usize, outputs: &Json) {
        self.nodes[node].outputs = outputs.entries().unwrap_or_default();
    }

    pub(super) fn complete(&mut self, node: usize, outputs: Json, now: Instant) {
        let run = &mut self.nodes[node];
        run.started = run.started.or(Some(now));
        run.outputs_json = Some(outputs.clone());
        run.error = None;
        let duration = run
            .dispatched
            .map(|from| now.duration_since(from))
            .unwrap_or_default();
        let (inputs, cached) = (run.inputs_json.clone(), run.cached);
        self.emit(EventKind::NodeComplete {
            node_id: self.plan.nodes[node].id,
            outputs,
            inputs,
            cached,
            duration,
        });
        let state = if cached {
            NodeState::Cached
        } else {
            NodeState::Complete
        };
        self.end(node, state, now);
    }

    /// An attempt failed because of the node.
    pub(super) fn fail_attempt(
        &mut self,
        node: usize,
        code: NodeErrorCode,
        message: String,
        now: Instant,
    ) {
        self.flush_status(node, now);
        self.places.release(node);
        if matches!(self.phase, Phase::Aborting { .. }) {
            return self.settle(node, NodeState::Aborted, now);
        }
        let error = NodeError::new(code, message);
        let is_final = code == NodeErrorCode::InputTooLarge || self.nodes[node].retries_left == 0;
        if is_final || self.phase != Phase::Running {
            return self.fail(node, error, now);
        }
        self.nodes[node].retries_left -= 1;
        self.schedule_retry(node, error, now);
    }

    /// An attempt failed because of the server, or the way to it.
    pub(super) fn lost(&mut self, node: usize, code: NodeErrorCode, message: String, now: Instant) {
        if matches!(self.phase, Phase::Aborting { .. }) {
            self.nodes[node].unconfirmed = true;
        }
        if self.phase != Phase::Running || self.nodes[node].lost_retries_left == 0 {
            return self.fail_attempt(node, code, message, now);
        }
        self.nodes[node].lost_retries_left -= 1;
        self.flush_status(node, now);
        self.places.release(node);
        self.schedule_retry(node, NodeError::new(code, message), now);
    }

    fn schedule_retry(&mut self, node: usize, error: NodeError, now: Instant) {
        let delay = self.retry_delay(node);
        let node_id = self.plan.nodes[node].id;
        let run = &mut self.nodes[node];
        run.state = NodeState::Ready;
        run.retry_pending = true;
        run.error = Some(error.clone());
        let ticket = Ticket {
            node,
            attempt: run.attempt,
        };
        self.timers.set(now + delay, ticket, TimerKind::Retry);
        self.emit(EventKind::NodeError {
            node_id,
            error,
            retry_in: Some(delay),
        });
    }

    fn retry_delay(&mut self, node: usize) -> Duration {
        let exec = &self.plan.nodes[node].exec;
        let first = exec.retry_delay.unwrap_or(RETRY_DELAY);
        let max = exec.retry_max_delay.unwrap_or(RETRY_MAX_DELAY);
        let factor = f64::from(exec.retry_backoff_milli.unwrap_or(RETRY_BACKOFF_MILLI)) / 1_000.0;
        let exponent =
            i32::try_from(self.nodes[node].attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = first.as_secs_f64() * factor.powi(exponent);
        // Up to a tenth less, so that nodes that failed together do not come back together.
        let jitter = 1.0 - self.next_random() * 0.1;
        Duration::from_secs_f64(seconds.min(max.as_secs_f64()) * jitter)
    }

    /// From 0 to 1.
    fn next_random(&mut self) -> f64 {
        // xorshift64; a zero would stay zero.
        let mut x = self.random | 1;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random = x;
        f64::from(u32::try_from(x >> 32).unwrap_or_default()) / f64::from(u32::MAX)
    }

    pub(super) fn retry(&mut self, node: usize) {
        let run = &mut self.nodes[node];
        if run.retry_pending && run.state == NodeState::Ready {
            run.retry_pending = false;
            self.queue(node);
        }
    }

    /// A node failed for good.
    pub(super) fn fail(&mut self, node: usize, error: NodeError, now: Instant) {
        let node_id = self.plan.nodes[node].id;
        self.nodes[node].error = Some(error.clone());
        self.emit(EventKind::NodeError {
            node_id,
            error,
            retry_in: None,
        });
        self.settle(node, NodeState::Error, now);
        match self.on_error(node) {
            OnError::Stop => self.halt(node_id, now),
            OnError::Abort => self.abort(Some(node_id), now),
            OnError::Continue => {}
        }
    }

    /// Ends a node other than by completion.
    pub(super) fn settle(&mut self, node: usize, state: NodeState, now: Instant) {
        let planned = &self.plan.nodes[node];
        if let (NodeState::Aborted, Phase::Aborting { cause }) = (state, self.phase) {
            self.nodes[node].cause = cause;
        }
        let run = &self.nodes[node];
        let remote = planned.remote().filter(|_| run.attempt > 0);
        let server_uid = remote.map(|remote| remote.server_uid.to_string());
        if state != NodeState::Error {
            let (node_id, attempt, cause) = (planned.id, run.attempt, run.cause);
            self.emit(EventKind::NodeState {
                node_id,
                state,
                attempt,
                server_uid,
                cause,
            });
        }
        self.end(node, state, now);
    }

    pub(super) fn end(&mut self, node: usize, state: NodeState, now: Instant) {
        debug_assert!(!self.nodes[node].state.is_terminal(), "a node ends once");
        let run = &mut self.nodes[node];
        run.state = state;
        run.ended = Some(now);
        (run.sent, run.logging, run.looking_up) = (None, None, false);
        // One that was given up is in flight still.
        if std::mem::take(&mut run.queued) || state == NodeState::Aborted {
            self.places.cancel(node);
        }
        self.end_in_cache(node);
        self.open -= 1;
        self.settled.push(node);
    }

    /// What came of the run, when it is over.
    pub(crate) fn into_result(self) -> RunResult {
        let since_start = |at: Instant| at.duration_since(self.started);
        let node =
            |(run, planned): (super::node::NodeRun, &crate::workflow::plan::PlanNode)| NodeResult {
                node_id: planned.id,
                name: planned.name.clone(),
                uid: planned.uid.to_string(),
                state: run.state,
                attempts: run.attempt,
                started: run.started.map(since_start),
                ended: run.ended.map(since_start).unwrap_or_default(),
                outputs: run.outputs_json,
                inputs: run.inputs_json,
                error: run.error.filter(|_| run.state == NodeState::Error),
                cause: run.cause,
                unconfirmed: run.unconfirmed,
                reused: run.reused,
            };
        let nodes: Vec<NodeResult> = self
            .nodes
            .into_iter()
            .zip(&self.plan.nodes)
            .map(node)
            .collect();
        RunResult {
            run_id: self.settings.run_id,
            status: status_of(nodes.iter().map(|node| node.state).collect()),
            duration: self.ended.map(since_start).unwrap_or_default(),
            nodes,
            late_reports: self.late_reports,
        }
    }
}
