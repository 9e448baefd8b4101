//! Random graphs, failures, stops and limits against the invariants, and against a model that just looks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nanograph::message::{NodeDefinition, Port};
use nodewire_json::Json;
use proptest::prelude::*;

use super::*;
use crate::workflow::catalog::{Server, ServerSet};
use crate::workflow::graph::{CacheMode, Exec, Graph, GraphNode, Link};
use crate::workflow::invoker::Report;
use crate::workflow::plan::PlanOptions;
use crate::workflow::result::RunResult;
use crate::workflow::step_log::StepLogError;
use crate::workflow::validate::{Checked, ValidateOptions};

/// How every attempt of a node ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Behaviour {
    Completes,
    Fails,
    /// The second attempt completes.
    FailsOnce,
    IsLost,
    SaysNothing,
    /// It completes, but the step log cannot keep that.
    IsNotLogged,
}

/// Where a node's outputs come from.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Origin {
    Executed,
    /// It is looked up, and not found.
    LookedUp,
    Found,
    Pinned,
    Reused,
}

#[derive(Debug, Clone)]
struct NodeCase {
    /// Bits: earlier nodes linked to the required input.
    required: u16,
    /// Bits: earlier nodes linked to the optional input.
    optional: u16,
    server: u8,
    behaviour: Behaviour,
    origin: Origin,
    active: bool,
    muted: bool,
    grouped: bool,
}

#[derive(Debug, Clone)]
struct Case {
    nodes: Vec<NodeCase>,
    on_error: OnError,
    retries: u32,
    limits: Limits,
    logs_steps: bool,
    /// What happens next, whenever there is a choice.
    choices: Vec<u8>,
    /// Before which step the run is aborted.
    abort_at: Option<usize>,
}

fn node_case() -> impl Strategy<Value = NodeCase> {
    let behaviour = prop_oneof![
        6 => Just(Behaviour::Completes),
        1 => Just(Behaviour::Fails),
        1 => Just(Behaviour::FailsOnce),
        1 => Just(Behaviour::IsLost),
        1 => Just(Behaviour::SaysNothing),
        1 => Just(Behaviour::IsNotLogged),
    ];
    let origin = prop_oneof![
        6 => Just(Origin::Executed),
        2 => Just(Origin::LookedUp),
        1 => Just(Origin::Found),
        1 => Just(Origin::Pinned),
        1 => Just(Origin::Reused),
    ];
    let links = any::<(u16, u16, u16, u16)>().prop_map(|(a, b, c, d)| (a & b, c & d));
    let flags = (
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
    );
    (links, 0..3_u8, behaviour, origin, flags).prop_map(
        |((required, optional), server, behaviour, origin, (active, muted, grouped))| NodeCase {
            required,
            optional,
            server,
            behaviour,
            origin,
            active,
            muted,
            grouped,
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    (
        prop::collection::vec(node_case(), 1..14),
        prop_oneof![
            Just(OnError::Stop),
            Just(OnError::Abort),
            Just(OnError::Continue)
        ],
        0..3_u32,
        (1..5_usize, 1..4_usize),
        prop::collection::vec(any::<u8>(), 64),
        prop::option::weighted(0.2, 0..40_usize),
        any::<bool>(),
    )
        .prop_map(
            |(
                nodes,
                on_error,
                retries,
                (in_flight, in_flight_per_server),
                choices,
                abort_at,
                logs_steps,
            )| {
                Case {
                    nodes,
                    on_error,
                    retries,
                    limits: Limits {
                        in_flight,
                        in_flight_per_server,
                    },
                    logs_steps,
                    choices,
                    abort_at,
                }
            },
        )
}

impl Case {
    fn sources(bits: u16, node: usize) -> impl Iterator<Item = usize> {
        (0..node).filter(move |source| bits >> source & 1 == 1)
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::default();
        for (index, case) in self.nodes.iter().enumerate() {
            let id = u64::try_from(index).unwrap();
            let has_required = Self::sources(case.required, index).next().is_some();
            let uid = format!(
                "{}{}",
                if has_required { "needs" } else { "free" },
                if case.grouped { "-grouped" } else { "" }
            );
            let server_uid = Some(format!("s{}", case.server));
            let mut node = GraphNode {
                active: case.active,
                muted: case.muted,
                server_uid,
                pin: (case.origin == Origin::Pinned).then(outputs),
                ..GraphNode::new(id, uid)
            };
            let is_looked_up = matches!(case.origin, Origin::LookedUp | Origin::Found);
            node.exec.cache = Some(if is_looked_up {
                CacheMode::Use
            } else {
                CacheMode::Off
            });
            graph.nodes.push(node);
            for (bits, input) in [(case.required, "required"), (case.optional, "optional")] {
                for source in Self::sources(bits, index) {
                    let next = i64::try_from(graph.links.len()).unwrap();
                    graph.links.push(Link::new(
                        next,
                        (u64::try_from(source).unwrap(), "out"),
                        (id, input),
                    ));
                }
            }
        }
        graph
    }

    fn finished(&self) -> HashMap<u64, Json> {
        let is_finished = |(_, case): &(u64, &NodeCase)| case.origin == Origin::Reused;
        let finished = (0..).zip(&self.nodes).filter(is_finished);
        finished.map(|(id, _)| (id, outputs())).collect()
    }

    fn scheduler(&self, now: Instant, capacity: Capacity) -> Scheduler {
        let (graph, finished) = (self.graph(), self.finished());
        let checked = Checked::new(&graph, &servers(), &ValidateOptions::default(), &finished);
        assert!(
            !checked
                .problems
                .iter()
                .any(crate::workflow::Problem::is_error),
            "{:?}",
            checked.problems
        );
        let exec = Exec {
            on_error: Some(self.on_error),
            retries: Some(self.retries),
            ..Exec::default()
        };
        let settings = Settings {
            run_id: "run".into(),
            capacity,
            priority: 0,
            looks_up: true,
            logs_steps: self.logs_steps,
            assets: None,
            abort_grace: Duration::from_secs(5),
            seed: 7,
        };
        let options = PlanOptions {
            defaults: &exec,
            finished: &finished,
            caches: true,
            assets: None,
        };
        Scheduler::new(Arc::new(Plan::new(&checked, options)), settings, now)
    }

    /// The state of each node when nothing is aborted and errors only skip what depends on them.
    fn expected(&self) -> Vec<Option<NodeState>> {
        let mut states: Vec<Option<NodeState>> = Vec::new();
        for (index, case) in self.nodes.iter().enumerate() {
            let complete = |source: usize| states[source].is_some_and(NodeState::has_outputs);
            let required = Self::sources(case.required, index).all(complete);
            // A muted node needs every active source.
            let optional = Self::sources(case.optional, index)
                .all(|source| complete(source) || states[source].is_none());
            let state = if !case.active {
                None
            } else if case.origin == Origin::Reused {
                Some(NodeState::Complete)
            } else if case.origin == Origin::Pinned && !case.muted {
                Some(NodeState::Cached)
            } else if !required || case.muted && !optional {
                Some(NodeState::Skipped)
            } else if case.origin == Origin::Found && !case.muted {
                let is_kept = !self.logs_steps || case.behaviour != Behaviour::IsNotLogged;
                Some(if is_kept {
                    NodeState::Cached
                } else {
                    NodeState::Error
                })
            } else if case.muted || self.ends_well(case.behaviour) {
                Some(NodeState::Complete)
            } else {
                Some(NodeState::Error)
            };
            states.push(state);
        }
        states
    }

    fn ends_well(&self, behaviour: Behaviour) -> bool {
        match behaviour {
            Behaviour::Completes => true,
            Behaviour::FailsOnce => self.retries > 0,
            Behaviour::IsNotLogged => !self.logs_steps,
            Behaviour::Fails | Behaviour::IsLost | Behaviour::SaysNothing => false,
        }
    }
}

fn outputs() -> Json {
    Json::parse(r#"{"out": [1]}"#).unwrap()
}

fn servers() -> ServerSet {
    let port = |name: &str, optional| Port {
        name: name.to_owned(),
        kind: "any".to_owned(),
        optional,
        ..Port::default()
    };
    let definition = |needs: bool, grouped: bool| {
        let uid = format!(
            "{}{}",
            if needs { "needs" } else { "free" },
            if grouped { "-grouped" } else { "" }
        );
        let mut definition = NodeDefinition::new(uid);
        definition.inputs = vec![port("required", !needs), port("optional", true)];
        definition.outputs = vec![port("out", false)];
        if grouped {
            let text =
                definition
                    .to_json()
                    .to_string()
                    .replacen('{', r#"{"exclusive": "gpu", "#, 1);
            definition.raw = Json::parse(text).unwrap();
        }
        definition
    };
    let mut set = ServerSet::default();
    for (uid, max_in_flight) in [("s0", None), ("s1", None), ("s2", Some(1))] {
        let definitions = [(false, false), (false, true), (true, false), (true, true)]
            .map(|(n, g)| definition(n, g));
        set.insert(
            Server {
                uid: uid.to_owned(),
                max_in_flight,
                code_epoch: Some("1".to_owned()),
                ..Server::default()
            },
            definitions,
        );
    }
    set
}

/// Drives a scheduler through a case and checks the invariants at every output.
struct Harness<'c> {
    case: &'c Case,
    scheduler: Scheduler,
    now: Instant,
    in_flight: BTreeMap<(usize, u32), u64>,
    /// Nodes that wait for the log, and those that it has.
    logging: Vec<Ticket>,
    logged: BTreeSet<u64>,
    looking_up: Vec<usize>,
    /// Nodes of whose key's end nothing was told yet.
    keys: BTreeSet<usize>,
    ended: BTreeMap<u64, NodeState>,
    stopping: bool,
    finished: bool,
    steps: usize,
}

impl<'c> Harness<'c> {
    fn new(case: &'c Case) -> Self {
        Self::sharing(case, Capacity::new(case.limits))
    }

    fn sharing(case: &'c Case, capacity: Capacity) -> Self {
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

    fn run(mut self) -> RunResult {
        self.scheduler.start(self.now);
        self.drain();
        while !self.finished {
            self.steps += 1;
            assert!(self.steps < 5_000, "the run does not end");
            self.step();
            self.drain();
        }
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

fn check_result(case: &Case, result: &RunResult) {
    for node in &result.nodes {
        assert!(node.state.is_terminal());
        assert_eq!(node.error.is_some(), node.state == NodeState::Error);
        assert_eq!(node.outputs.is_some(), node.state.has_outputs());
        if let (NodeState::Skipped, Some(cause)) = (node.state, node.cause) {
            let culprit = result.node(cause);
            assert!(
                culprit.is_none_or(|culprit| !culprit.state.has_outputs()),
                "{cause} is no cause"
            );
            assert_eq!(
                culprit.is_none(),
                !case.nodes[usize::try_from(cause).unwrap()].active
            );
        } else {
            assert_ne!(
                node.state,
                NodeState::Skipped,
                "a skipped node names its cause"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_run_keeps_the_invariants(case in case()) {
        let result = Harness::new(&case).run();
        check_result(&case, &result);
    }

    #[test]
    fn with_continue_the_result_depends_on_the_graph_alone(case in case()) {
        // Time stands still while a node has something to say, so that no attempt is lost to it.
        let choices = case.choices.iter().map(|choice| choice & 0b1111_1110).collect();
        let case = Case { on_error: OnError::Continue, abort_at: None, choices, ..case };
        let result = Harness::new(&case).run();
        let states: Vec<_> = (0..).zip(&case.nodes).map(|(id, _)| result.node(id).map(|node| node.state)).collect();
        prop_assert_eq!(states, case.expected());
    }
}

/// Two nodes in flight, one server gone: both are reported, the other server's node is not touched.
#[test]
fn the_instance_of_a_further_attempt_is_its_own() {
    let node = |behaviour| NodeCase {
        required: 0,
        optional: 0,
        server: 0,
        behaviour,
        origin: Origin::Executed,
        active: true,
        muted: false,
        grouped: false,
    };
    let case = Case {
        nodes: vec![node(Behaviour::FailsOnce), node(Behaviour::Completes)],
        on_error: OnError::Stop,
        retries: 1,
        limits: Limits::default(),
        logs_steps: false,
        choices: vec![0],
        abort_at: None,
    };
    let mut harness = Harness::new(&case);
    harness.scheduler.start(harness.now);
    let mut instances = BTreeSet::new();
    let mut run = |scheduler: &mut Scheduler| {
        while let Some(output) = scheduler.poll_output() {
            if let Output::Dispatch(_, call) = output {
                instances.insert(call.request.instance_id.to_string());
            }
        }
    };
    run(&mut harness.scheduler);
    harness.scheduler.handle_report(
        Ticket {
            node: 0,
            attempt: 1,
        },
        Report::error("broken once"),
        harness.now,
    );
    let at = harness.scheduler.poll_timeout().unwrap();
    harness.scheduler.handle_timeout(at);
    run(&mut harness.scheduler);
    assert_eq!(
        instances,
        BTreeSet::from(["run".to_owned(), "run.0.2".to_owned()])
    );
}
