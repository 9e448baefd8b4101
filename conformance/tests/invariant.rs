//! The counters' invariant over all wires at once: random load, cancellations, disconnects, killed clients and a killed
//! broker.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use nodewire::Executor;
use nodewire::capability::Wire;
use nodewire_conformance::callers::{Caller, End};
use nodewire_conformance::{Addresses, Door, MAX_LINGER_MS, PATIENCE, Served};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Clients of each wire.
const CALLERS: u64 = 3;

/// What each of them does, one after the other.
const DEEDS: usize = 60;

/// A broker that is away is noticed after so long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What clients saw.
#[derive(Debug, Default)]
struct Seen {
    completed: AtomicU64,
    told: AtomicU64,
    lost: AtomicU64,
    disconnects: AtomicU64,
}

impl Seen {
    fn see(&self, end: &End) {
        let count = match end {
            End::Completed => &self.completed,
            End::Told(_) => &self.told,
            End::Lost(_) => &self.lost,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn executions_add_up_under_random_load_on_all_wires() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut served = Served::start().await.unwrap();
    let watching = Watching::start(served.executor().clone());
    let seen = Arc::new(Seen::default());
    let mut clients = JoinSet::new();
    for (i, wire) in Wire::ALL.into_iter().enumerate() {
        let place = i as u64 * 100;
        for caller in 0..CALLERS {
            let rng = Rng::with_seed(seed.wrapping_add(place + caller));
            clients.spawn(act(wire, served.addresses.clone(), rng, Arc::clone(&seen)));
        }
        let rng = Rng::with_seed(seed.wrapping_add(place + 99));
        clients.spawn(foreign_client_that_is_killed(
            wire,
            served.addresses.clone(),
            rng,
        ));
    }
    let mut rng = Rng::with_seed(seed);
    tokio::time::sleep(Duration::from_millis(rng.u64(200..600))).await;
    served.broker.kill().await.unwrap();
    served.broker.restart().await.unwrap();
    while let Some(client) = clients.join_next().await {
        client.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    served.quiet().await.unwrap_or_else(|error| {
        panic!("seed {seed}: {error:#}: {:?}", served.executor().counters())
    });
    every_wire_still_answers(&served.addresses).await;
    served.quiet().await.unwrap();
    let snapshots = watching.stop().await;
    let executor = served.executor().clone();
    served.stop().await.unwrap();
    let counters = executor.counters();
    println!("{snapshots} snapshots, clients saw {seen:?}, {counters:?}");
    adds_up(seed, &executor, &seen, snapshots);
}

fn adds_up(seed: u64, executor: &Executor, seen: &Seen, snapshots: u64) {
    let counters = executor.counters();
    assert!(counters.is_balanced(), "seed {seed}: {counters:?}");
    assert_eq!(counters.in_flight, 0, "seed {seed}");
    let nodes = executor.registry().stats();
    let of_nodes = nodes.iter().map(|node| node.counters.accepted).sum::<u64>();
    assert_eq!(of_nodes, counters.accepted, "seed {seed}");
    for node in &nodes {
        assert!(node.counters.is_balanced(), "seed {seed}: {node:?}");
        assert_eq!(
            (node.running, node.waiting),
            (0, 0),
            "seed {seed}: {node:?}"
        );
    }
    // Clients cannot have seen more than there was; and of each there must have been some.
    assert!(
        seen.completed.load(Ordering::Relaxed) <= counters.completed,
        "seed {seed}"
    );
    assert!(
        counters.cancelled > 0 && counters.failed > 0,
        "seed {seed}: {counters:?}"
    );
    assert!(seen.disconnects.load(Ordering::Relaxed) > 0, "seed {seed}");
    assert!(snapshots > 100, "seed {seed}: only {snapshots} snapshots");
}

/// A client of ours: one deed after the other, over connections that it drops now and then.
async fn act(wire: Wire, addresses: Addresses, mut rng: Rng, seen: Arc<Seen>) {
    let mut caller = connect(wire, &addresses).await;
    for _ in 0..DEEDS {
        let (node, inputs) = what(&mut rng);
        let call = match caller.begin(node, inputs).await {
            Ok(call) => call,
            Err(end) => {
                seen.see(&end);
                continue;
            }
        };
        match rng.u32(0..10) {
            0 => {
                tokio::time::sleep(some_time(&mut rng)).await;
                drop((call, caller));
                seen.disconnects.fetch_add(1, Ordering::Relaxed);
                caller = connect(wire, &addresses).await;
            }
            1..=3 => {
                let mut call = call;
                tokio::time::sleep(some_time(&mut rng)).await;
                call.cancel().await;
                seen.see(&call.end().await);
            }
            4 => drop(call),
            _ => seen.see(&call.end().await),
        }
    }
}

fn what(rng: &mut Rng) -> (&'static str, Value) {
    match rng.u32(0..10) {
        0 => ("panic", json!({})),
        1 => ("echo", json!({"text": [5]})),
        2 => ("no-such-node", json!({})),
        3 => ("slow", json!({})),
        4 => ("echo", json!({"text": ["a", "b"]})),
        _ => ("linger", json!({"ms": rng.u64(0..=MAX_LINGER_MS)})),
    }
}

fn some_time(rng: &mut Rng) -> Duration {
    Duration::from_micros(rng.u64(0..20_000))
}

/// Again and again, as the broker may be away.
async fn connect(wire: Wire, addresses: &Addresses) -> Caller {
    let connected = async {
        loop {
            match Caller::connect(wire, addresses, ANSWER_TIMEOUT).await {
                Ok(caller) => break caller,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let connected = tokio::time::timeout(PATIENCE, connected).await;
    connected.unwrap_or_else(|_| panic!("{wire} cannot be reached"))
}

/// Killed while it waits for many executions at once.
async fn foreign_client_that_is_killed(wire: Wire, addresses: Addresses, mut rng: Rng) {
    let Ok(mut door) = Door::open(wire, &addresses).await else {
        // The broker may have been away just then.
        assert_eq!(wire, Wire::Nats);
        return;
    };
    let linger = json!({"op": "run", "node": "linger", "inputs": {"ms": MAX_LINGER_MS}});
    let many = json!({"op": "many", "runs": vec![linger; 10]});
    let asking = async {
        // Without a broker, it fails.
        while door.ask(many.clone()).await.is_ok() {}
    };
    let time = Duration::from_millis(rng.u64(20..400));
    let _ = tokio::time::timeout(time, asking).await;
    door.process().signal("KILL").unwrap();
    door.process().wait(PATIENCE).await.unwrap();
}

async fn every_wire_still_answers(addresses: &Addresses) {
    for wire in Wire::ALL {
        let caller = connect(wire, addresses).await;
        let answered = async {
            // A service takes a moment to be back at its broker.
            while caller.run("echo", json!({"text": ["a"]})).await != End::Completed {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        answered.unwrap_or_else(|_| panic!("{wire} does not answer any more"));
    }
}

/// Looks at the counters all the time.
struct Watching {
    over: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<u64>,
}

impl Watching {
    fn start(executor: Executor) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let task = tokio::spawn(async move {
            let mut snapshots = 0;
            while !is_over.load(Ordering::Relaxed) {
                let counters = executor.counters();
                assert!(counters.is_balanced(), "{counters:?}");
                for node in executor.registry().stats() {
                    assert!(node.counters.is_balanced(), "{node:?}");
                }
                snapshots += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            snapshots
        });
        Self { over, task }
    }

    async fn stop(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}
