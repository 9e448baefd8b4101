//! Random graphs, failures, stops and limits against the invariants, and against a model that just looks.

mod case;
mod harness;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::workflow::capacity::CapacityUsage;
use crate::workflow::invoker::Report;
use crate::workflow::result::RunResult;
use case::{Behaviour, Case, NodeCase, Origin, case};
use harness::Harness;

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
    #![proptest_config(ProptestConfig::with_cases(1_000))]

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn two_runs_stay_within_the_limits_together(first in case(), second in case()) {
        let second = Case { limits: first.limits, ..second };
        let capacity = Capacity::new(first.limits);
        let mut runs = vec![
            Harness::sharing(&first, capacity.clone()),
            Harness::sharing(&second, capacity.clone()),
        ];
        runs.iter_mut().for_each(Harness::start);
        while !runs.is_empty() {
            let mut moved = false;
            for run in &mut runs {
                run.use_places();
                if !run.finished && !run.waits_for_places() {
                    run.go_on();
                    moved = true;
                }
            }
            check_together(&runs, first.limits);
            let (ended, open): (Vec<_>, Vec<_>) = runs.into_iter().partition(|run| run.finished);
            prop_assert!(moved || !ended.is_empty(), "each waits for the other");
            ended.into_iter().for_each(|run| drop(run.end_of_run()));
            runs = open;
        }
        prop_assert_eq!(capacity.usage(), CapacityUsage::default());
    }
}

fn check_together(runs: &[Harness<'_>], limits: Limits) {
    let count = |wanted: &dyn Fn(&NodeCase) -> bool| {
        runs.iter().map(|run| run.count(wanted)).sum::<usize>()
    };
    assert!(count(&|_| true) <= limits.in_flight);
    assert!(count(&|node| node.grouped) <= 1, "exclusive");
    for server in 0..3 {
        let own = if server == 2 {
            1
        } else {
            limits.in_flight_per_server
        };
        assert!(count(&|node| node.server == server) <= own);
    }
}

/// One node on one server, which executes it.
fn single() -> Case {
    Case {
        nodes: vec![NodeCase {
            required: 0,
            optional: 0,
            server: 0,
            behaviour: Behaviour::Completes,
            origin: Origin::Executed,
            active: true,
            muted: false,
            grouped: false,
        }],
        on_error: OnError::Stop,
        retries: 0,
        limits: Limits::default(),
        logs_steps: false,
        choices: vec![0],
        abort_at: None,
    }
}

fn is_sent(scheduler: &mut Scheduler) -> bool {
    let outputs = std::iter::from_fn(|| scheduler.poll_output());
    outputs
        .filter(|output| matches!(output, Output::Dispatch(..)))
        .count()
        > 0
}

#[test]
fn a_run_without_a_limit_waits_for_a_server_as_long_as_it_takes() {
    let case = single();
    let mut harness = Harness::new(&case);
    harness.scheduler.settings.away_wait = None;
    let servers = harness.scheduler.plan().servers.len();
    harness.scheduler.start(&vec![true; servers], harness.now);
    assert_eq!(harness.scheduler.poll_timeout(), None, "nothing is due");
    let late = harness.now + Duration::from_secs(30 * 24 * 3_600);
    harness.scheduler.handle_timeout(late);
    assert!(!is_sent(&mut harness.scheduler), "it still waits");
    harness
        .scheduler
        .handle_servers(&vec![false; servers], late);
    assert!(is_sent(&mut harness.scheduler), "it is back");
}

#[test]
fn a_server_that_never_comes_back_holds_up_no_run() {
    let case = single();
    let mut harness = Harness::new(&case);
    let away = vec![true; harness.scheduler.plan().servers.len()];
    harness.scheduler.start(&away, harness.now);
    assert!(!is_sent(&mut harness.scheduler), "it waits");
    let at = harness.scheduler.poll_timeout().unwrap();
    harness.scheduler.handle_servers(&away, at);
    assert!(!is_sent(&mut harness.scheduler), "it still waits");
    harness.scheduler.handle_timeout(at);
    assert!(is_sent(&mut harness.scheduler), "the loss is its answer");
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
    harness.scheduler.start(&[], harness.now);
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
