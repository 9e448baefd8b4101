//! Drives a scheduler through a case.

use std::collections::{BTreeMap, BTreeSet};

use super::super::*;
use super::case::{Behaviour, Case, NodeCase, Origin, outputs};
use crate::workflow::catalog::Server;
use crate::workflow::invoker::Report;
use crate::workflow::result::RunResult;
use crate::workflow::step_log::StepLogError;

/// Drives a scheduler through a case and checks the invariants at every output.
pub(super) struct Harness<'c> {
    pub(super) case: &'c Case,
    pub(super) scheduler: Scheduler,
    pub(super) now: Instant,
    pub(super) in_flight: BTreeMap<(usize, u32), u64>,
    /// Nodes that wait for the log, and those that it has.
    logging: Vec<Ticket>,
    logged: BTreeSet<u64>,
    looking_up: Vec<usize>,
    /// Nodes of whose key's end nothing was told yet.
    keys: BTreeSet<usize>,
    ended: BTreeMap<u64, NodeState>,
    stopping: bool,
    pub(super) finished: bool,
    steps: usize,
}

impl<'c> Harness<'c> {
    pub(super) fn new(case: &'c Case) -> Self {
        Self::sharing(case, Capacity::new(case.limits))
    }

    pub(super) fn sharing(case: &'c Case, capacity: Capacity) -> Self {
        let now = Instant::now();
        let (in_flight, ended, logging, logged) = Default::default();
        let (looking_up, keys) = Default::default();
        let scheduler = case.scheduler(now, capacity);
        Self {
            case,
            scheduler,
            now,
            in_flight,
            logging,
            logged,
            looking_up,
            keys,
            ended,
            stopping: false,
            finished: false,
            steps: 0,
        }
    }

    pub(super) fn run(mut self) -> RunResult {
        self.start();
        while !self.finished {
            self.go_on();
        }
        self.end_of_run()
    }

    pub(super) fn start(&mut self) {
        self.scheduler.start(&[], self.now);
        self.drain();
    }

    /// One step, and all that follows from it.
    pub(super) fn go_on(&mut self) {
        self.steps += 1;
        assert!(self.steps < 5_000, "the run does not end");
        self.step();
        self.drain();
    }

    /// Uses the places that it got while another run went on.
    pub(super) fn use_places(&mut self) {
        self.scheduler.handle_places(self.now);
        self.drain();
    }

    /// Nothing but a place can get it on.
    pub(super) fn waits_for_places(&mut self) -> bool {
        let answers = self.logging.len() + self.looking_up.len();
        answers + self.in_flight.len() == 0 && self.scheduler.poll_timeout().is_none()
    }

    /// How many nodes in flight are as wanted.
    pub(super) fn count(&self, wanted: impl Fn(&NodeCase) -> bool) -> usize {
        let nodes = self.in_flight.keys();
        nodes
            .filter(|(node, _)| wanted(self.case_of(*node)))
            .count()
    }

    pub(super) fn end_of_run(mut self) -> RunResult {
        assert!(self.scheduler.is_finished() && self.scheduler.poll_output().is_none());
        assert!(self.keys.is_empty(), "the end of each key is told");
        self.scheduler.handle_abort(self.now);
        assert!(
            self.scheduler.poll_output().is_none(),
            "nothing follows the end"
        );
        self.scheduler.into_result()
    }

    fn step(&mut self) {
        if self.case.abort_at == Some(self.steps) {
            self.stopping = true;
            return self.scheduler.handle_abort(self.now);
        }
        let choice = usize::from(self.case.choices[self.steps % self.case.choices.len()]);
        if choice % 3 != 0 && self.answer(choice) {
            return;
        }
        let talking: Vec<(usize, u32)> = self
            .in_flight
            .keys()
            .filter(|key| self.behaviour(key.0) != Behaviour::SaysNothing)
            .copied()
            .collect();
        if talking.is_empty() && self.answer(choice) {
            return;
        }
        let deadline = self.scheduler.poll_timeout();
        if let Some(at) = deadline.filter(|_| talking.is_empty() || choice % 8 == 7) {
            self.now = self.now.max(at);
            return self.scheduler.handle_timeout(self.now);
        }
        assert!(
            !talking.is_empty(),
            "a run that has not ended waits for something"
        );
        let (node, attempt) = talking[choice / 8 % talking.len()];
        let ticket = Ticket { node, attempt };
        if choice % 8 == 6 {
            self.scheduler
                .handle_report(ticket, Report::running("working"), self.now);
            return;
        }
        self.in_flight.remove(&(node, attempt));
        if self.behaviour(node) == Behaviour::IsLost {
            return self.scheduler.handle_end_of_reports(ticket, self.now);
        }
        let report = self.last_report(node, attempt);
        let goes_on = self
            .scheduler
            .handle_report(ticket, report.clone(), self.now);
        assert!(!goes_on, "the first terminal status ends the attempt");
        self.scheduler.handle_report(ticket, report, self.now);
    }

    /// Answers one of the questions that the scheduler waits for; whether there was one.
    fn answer(&mut self, choice: usize) -> bool {
        if !self.logging.is_empty() {
            let ticket = self.logging.swap_remove(choice % self.logging.len());
            self.log(ticket);
        } else if !self.looking_up.is_empty() {
            let node = self.looking_up.swap_remove(choice % self.looking_up.len());
            let found = match self.case_of(node).origin {
                Origin::Found => LookedUp::Found(outputs()),
                Origin::LookedUp if choice.is_multiple_of(2) => LookedUp::Outdated,
                Origin::LookedUp | Origin::Executed | Origin::Pinned | Origin::Reused => {
                    LookedUp::Missing
                }
            };
            if matches!(found, LookedUp::Outdated) {
                self.keys.remove(&node);
            }
            self.scheduler.handle_looked_up(node, found, self.now);
        } else {
            return false;
        }
        true
    }

    fn log(&mut self, ticket: Ticket) {
        let logged = if self.behaviour(ticket.node) == Behaviour::IsNotLogged {
            Err(StepLogError::new("the disk is full"))
        } else {
            self.logged
                .insert(self.scheduler.plan.nodes[ticket.node].id);
            Ok(())
        };
        self.scheduler.handle_logged(ticket, logged, self.now);
    }

    fn last_report(&self, node: usize, attempt: u32) -> Report {
        match self.behaviour(node) {
            Behaviour::Fails => Report::error("broken"),
            Behaviour::FailsOnce if attempt == 1 => Report::error("broken once"),
            Behaviour::Completes
            | Behaviour::FailsOnce
            | Behaviour::IsLost
            | Behaviour::SaysNothing
            | Behaviour::IsNotLogged => Report::complete(&outputs()),
        }
    }

    fn case_of(&self, node: usize) -> &NodeCase {
        &self.case.nodes[usize::try_from(self.scheduler.plan.nodes[node].id).unwrap()]
    }

    fn behaviour(&self, node: usize) -> Behaviour {
        self.case_of(node).behaviour
    }

    fn drain(&mut self) {
        while let Some(output) = self.scheduler.poll_output() {
            assert!(!self.finished, "RunFinished is last");
            match output {
                Output::Event(event) => self.event(&event),
                Output::Dispatch(ticket, call) => self.dispatched(ticket, &call),
                Output::Stop { .. } => {}
                Output::Log(ticket, step) => {
                    assert_eq!(step.outputs, outputs());
                    self.logging.push(ticket);
                }
                Output::LookUp { node, .. } => {
                    assert!(self.keys.insert(node), "it is looked up once");
                    self.looking_up.push(node);
                }
                Output::CacheEnd { node, outputs, .. } => {
                    assert!(self.keys.remove(&node), "the end of a key is told once");
                    let state = self.ended.get(&self.scheduler.plan.nodes[node].id);
                    assert_eq!(outputs.is_some(), state == Some(&NodeState::Complete));
                }
            }
        }
    }

    fn event(&mut self, event: &EventKind) {
        match event {
            EventKind::NodeComplete {
                node_id, cached, ..
            } => {
                let case = &self.case.nodes[usize::try_from(*node_id).unwrap()];
                let needs_log =
                    self.case.logs_steps && !case.muted && case.origin != Origin::Pinned;
                assert!(!needs_log || self.logged.contains(node_id), "logged first");
                let state = if *cached {
                    NodeState::Cached
                } else {
                    NodeState::Complete
                };
                self.end(*node_id, state);
            }
            EventKind::RunStarted { reused, .. } => {
                let reused = reused.iter().map(|id| (*id, NodeState::Complete));
                self.ended.extend(reused);
            }
            EventKind::NodeError {
                node_id, retry_in, ..
            } => {
                self.forget_attempts(*node_id);
                if retry_in.is_none() {
                    self.stopping |= self.case.on_error != OnError::Continue;
                    self.end(*node_id, NodeState::Error);
                }
            }
            EventKind::NodeState { node_id, state, .. } if state.is_terminal() => {
                self.end(*node_id, *state)
            }
            EventKind::RunFinished { counts, .. } => {
                self.finished = true;
                assert_eq!(*counts, self.ended.values().copied().collect());
            }
            EventKind::NodeState { .. } | EventKind::NodeStatus { .. } => {}
        }
    }

    fn end(&mut self, node_id: u64, state: NodeState) {
        self.forget_attempts(node_id);
        assert_eq!(
            self.ended.insert(node_id, state),
            None,
            "node {node_id} ended twice"
        );
    }

    fn forget_attempts(&mut self, node_id: u64) {
        self.in_flight.retain(|_, id| *id != node_id);
    }

    fn dispatched(&mut self, ticket: Ticket, call: &Call) {
        let planned = &self.scheduler.plan.nodes[ticket.node];
        assert!(
            !self.stopping,
            "nothing is dispatched after the run was stopped"
        );
        for input in &planned.inputs {
            for (source, _) in &input.sources {
                let state = self.ended.get(&self.scheduler.plan.nodes[*source].id);
                assert!(
                    state.is_some(),
                    "the completion is known before the dispatch it allows"
                );
                assert!(input.optional || state.is_some_and(|state| state.has_outputs()));
            }
        }
        self.in_flight
            .insert((ticket.node, ticket.attempt), planned.id);
        self.check_limits(&call.server);
    }

    fn check_limits(&self, server: &Server) {
        assert!(self.in_flight.len() <= self.case.limits.in_flight);
        let on = |node: &usize, uid: &str| format!("s{}", self.case_of(*node).server) == uid;
        let here = self
            .in_flight
            .keys()
            .filter(|(node, _)| on(node, &server.uid))
            .count();
        assert!(
            here <= server
                .max_in_flight
                .unwrap_or(self.case.limits.in_flight_per_server)
        );
        assert!(
            self.in_flight
                .keys()
                .filter(|(node, _)| self.case_of(*node).grouped)
                .count()
                <= 1,
            "exclusive"
        );
    }
}
