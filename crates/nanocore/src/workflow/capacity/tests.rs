//! Random runs that ask, get, give back and go, against the limits.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// A run joins.
    Join { priority: i32 },
    /// A run asks for a place.
    Request {
        run: usize,
        server: u8,
        group: Option<u8>,
        remaining: u32,
    },
    /// A run takes what it got.
    Take { run: usize },
    /// A run gives a place back.
    Release { run: usize, which: usize },
    /// A run wants no place any more, or not the one it has.
    Cancel { run: usize, which: usize },
    /// A run ends.
    Leave { run: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let request = (
        0..4_usize,
        0..3_u8,
        prop::option::weighted(0.4, 0..2_u8),
        1..5_u32,
    );
    prop_oneof![
        2 => (-1..2).prop_map(|priority| Step::Join { priority }),
        8 => request.prop_map(|(run, server, group, remaining)| Step::Request {
            run, server, group, remaining
        }),
        6 => (0..4_usize).prop_map(|run| Step::Take { run }),
        6 => (0..4_usize, any::<usize>()).prop_map(|(run, which)| Step::Release { run, which }),
        2 => (0..4_usize, any::<usize>()).prop_map(|(run, which)| Step::Cancel { run, which }),
        1 => (0..4_usize).prop_map(|run| Step::Leave { run }),
    ]
}

/// A run, and its nodes by whether they have a place.
struct Run {
    places: Places,
    nodes: BTreeMap<usize, (Wanted, bool)>,
    next: usize,
}

struct Model {
    capacity: Capacity,
    limits: Limits,
    runs: Vec<Run>,
}

impl Model {
    fn step(&mut self, step: Step) {
        match step {
            Step::Join { priority } if self.runs.len() < 4 => self.runs.push(Run {
                places: self.capacity.join(priority),
                nodes: BTreeMap::new(),
                next: 0,
            }),
            Step::Request {
                run,
                server,
                group,
                remaining,
            } => {
                if let Some(run) = self.runs.get_mut(run) {
                    run.request(server, group, remaining);
                }
            }
            Step::Take { run } => {
                if let Some(run) = self.runs.get_mut(run) {
                    run.take();
                }
            }
            Step::Release { run, which } => {
                if let Some(run) = self.runs.get_mut(run) {
                    run.end(which, true);
                }
            }
            Step::Cancel { run, which } => {
                if let Some(run) = self.runs.get_mut(run) {
                    run.end(which, false);
                }
            }
            Step::Leave { run } if run < self.runs.len() => drop(self.runs.swap_remove(run)),
            Step::Join { .. } | Step::Leave { .. } => {}
        }
        self.check();
    }

    fn with_place(&self) -> impl Iterator<Item = &Wanted> {
        let nodes = self.runs.iter().flat_map(|run| run.nodes.values());
        nodes.filter(|(_, has)| *has).map(|(wanted, _)| wanted)
    }

    fn check(&self) {
        assert!(self.with_place().count() <= self.limits.in_flight);
        let mut servers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
        for wanted in self.with_place() {
            *servers.entry(&wanted.server).or_default() += 1;
            if let Some(group) = &wanted.group {
                *groups.entry(group).or_default() += 1;
            }
        }
        assert!(groups.values().all(|count| *count == 1), "{groups:?}");
        for (server, count) in servers {
            let own = (server == "2").then_some(1);
            assert!(
                count <= own.unwrap_or(self.limits.in_flight_per_server),
                "{server}"
            );
        }
    }

    /// Whoever waits gets a place in the end, as long as the others give theirs back.
    fn work_off(mut self) {
        let mut rounds = 0;
        while self.runs.iter().any(|run| !run.nodes.is_empty()) {
            rounds += 1;
            assert!(rounds < 1_000, "somebody waits for ever");
            for run in 0..self.runs.len() {
                self.runs[run].take();
                self.check();
                self.runs[run].end(0, true);
            }
        }
        assert_eq!(self.capacity.usage(), CapacityUsage::default());
    }
}

impl Run {
    fn request(&mut self, server: u8, group: Option<u8>, remaining: u32) {
        let wanted = Wanted {
            server: server.to_string().into(),
            max_in_flight: (server == 2).then_some(1),
            group: group.map(|group| group.to_string().into()),
            remaining,
            node_id: 0,
        };
        self.places.request(self.next, wanted.clone());
        self.nodes.insert(self.next, (wanted, false));
        self.next += 1;
    }

    fn take(&mut self) {
        while let Some(node) = self.places.next() {
            let (_, has_place) = self.nodes.get_mut(&node).unwrap();
            assert!(!std::mem::replace(has_place, true), "a place is given once");
        }
    }

    /// One of the nodes with a place ends, or any node gives up.
    fn end(&mut self, which: usize, with_place: bool) {
        let nodes = self
            .nodes
            .iter()
            .filter(|(_, (_, has))| *has || !with_place);
        let nodes: Vec<usize> = nodes.map(|(node, _)| *node).collect();
        let Some(node) = nodes.get(which % nodes.len().max(1)).copied() else {
            return;
        };
        self.nodes.remove(&node);
        if with_place {
            self.places.release(node);
        } else {
            self.places.cancel(node);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn never_more_than_the_limits_and_nobody_waits_for_ever(
        steps in prop::collection::vec(step(), 1..80),
        in_flight in 1..5_usize,
        in_flight_per_server in 1..3_usize,
    ) {
        let limits = Limits { in_flight, in_flight_per_server };
        let capacity = Capacity::new(limits);
        let mut model = Model { capacity, limits, runs: Vec::new() };
        for step in steps {
            model.step(step);
        }
        model.work_off();
    }
}

#[tokio::test]
async fn who_gets_a_place_through_another_run_is_told() {
    let capacity = Capacity::new(Limits {
        in_flight: 1,
        in_flight_per_server: 1,
    });
    let wanted = Wanted {
        server: "s".into(),
        max_in_flight: None,
        group: None,
        remaining: 1,
        node_id: 0,
    };
    let (first, second) = (capacity.join(0), capacity.join(0));
    first.request(0, wanted.clone());
    assert_eq!(first.next(), Some(0));
    second.request(0, wanted);
    assert_eq!(second.next(), None);
    let told = second.changed();
    first.release(0);
    assert_eq!(first.next(), None);
    told.notified().await;
    assert_eq!(second.next(), Some(0));
}
