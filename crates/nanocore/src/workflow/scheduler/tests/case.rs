//! Random graphs: what their nodes do, and what must come of it.

use std::collections::{HashMap, HashSet};

use nanograph::message::{NodeDefinition, Port};
use nodewire_json::Json;
use proptest::prelude::*;

use super::super::*;
use crate::workflow::catalog::{Server, ServerSet};
use crate::workflow::graph::{CacheMode, Exec, Graph, GraphNode, Link};
use crate::workflow::plan::PlanOptions;
use crate::workflow::validate::{Checked, ValidateOptions};

/// How every attempt of a node ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Behaviour {
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
pub(super) enum Origin {
    Executed,
    /// It is looked up, and not found.
    LookedUp,
    Found,
    Pinned,
    Reused,
}

#[derive(Debug, Clone)]
pub(super) struct NodeCase {
    /// Bits: earlier nodes linked to the required input.
    pub(super) required: u16,
    /// Bits: earlier nodes linked to the optional input.
    pub(super) optional: u16,
    pub(super) server: u8,
    pub(super) behaviour: Behaviour,
    pub(super) origin: Origin,
    pub(super) active: bool,
    pub(super) muted: bool,
    pub(super) grouped: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) nodes: Vec<NodeCase>,
    pub(super) on_error: OnError,
    pub(super) retries: u32,
    pub(super) limits: Limits,
    pub(super) logs_steps: bool,
    /// What happens next, whenever there is a choice.
    pub(super) choices: Vec<u8>,
    /// Before which step the run is aborted.
    pub(super) abort_at: Option<usize>,
}

pub(super) fn node_case() -> impl Strategy<Value = NodeCase> {
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

pub(super) fn case() -> impl Strategy<Value = Case> {
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

    pub(super) fn scheduler(&self, now: Instant, capacity: Capacity) -> Scheduler {
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
            away_wait: Some(Duration::from_secs(300)),
            seed: 7,
        };
        let options = PlanOptions {
            defaults: &exec,
            finished: &finished,
            lost: &HashSet::new(),
            caches: true,
            assets: None,
        };
        Scheduler::new(Arc::new(Plan::new(&checked, options)), settings, now)
    }

    /// The state of each node when nothing is aborted and errors only skip what depends on them.
    pub(super) fn expected(&self) -> Vec<Option<NodeState>> {
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

pub(super) fn outputs() -> Json {
    Json::parse(r#"{"out": [1]}"#).unwrap()
}

pub(super) fn servers() -> ServerSet {
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
