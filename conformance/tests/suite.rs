//! Every wire, asked by a foreign client as it is: one table of expectations for all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use nodewire::capability::{Feature, Wire};
use nodewire_conformance::{CASES, Door, Served, cannot, check};

/// What wires cannot express, so that no case goes missing unseen.
const CANNOT: &[(Wire, &str, Feature)] = &[
    (Wire::Nanograph, "deadline", Feature::Deadline),
    (Wire::Nanograph, "stats", Feature::Stats),
    (
        Wire::Mcp,
        "slow, with progress and partial results",
        Feature::PartialOutputs,
    ),
    (Wire::Mcp, "stats", Feature::Stats),
];

async fn suite(wire: Wire) {
    let served = Served::start().await.unwrap();
    let mut door = Door::open(wire, &served.addresses).await.unwrap();
    let mut problems = Vec::new();
    for case in CASES {
        if let Err(problem) = check(case, &mut door, &served).await {
            problems.push(format!("{problem:#}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let executor = served.executor().clone();
    served.stop().await.unwrap();
    let counters = executor.counters();
    assert!(counters.is_balanced(), "{counters:?}");
    assert_eq!(counters.in_flight, 0);
}

#[test]
fn what_no_wire_is_asked_is_what_its_capabilities_say() {
    let mut told = Vec::new();
    for wire in Wire::ALL {
        for case in CASES {
            if let Some((feature, reason)) = cannot(wire, case) {
                assert!(!reason.is_empty());
                told.push((wire, case.name, feature));
            }
        }
    }
    assert_eq!(told, CANNOT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nanograph_by_a_websocket_and_the_sdk() {
    suite(Wire::Nanograph).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_by_nats_py() {
    suite(Wire::Nats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn autotrainer_by_pyzmq_and_the_types_of_auto_trainer_api() {
    suite(Wire::Autotrainer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nnrp_by_nnrp_py() {
    suite(Wire::Nnrp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_by_curl() {
    suite(Wire::Http).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mcp_by_the_official_sdk() {
    suite(Wire::Mcp).await;
}
