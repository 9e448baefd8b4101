//! The counters' invariant and the life cycle, under random submissions, cancellations, panics, deadlines, blocking
//! work and shutdown.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use nodewire_core::{
    Context, Execution, ExecutionEvent, ExecutionRequest, Executor, ExecutorConfig, NodeDefinition,
    NodeError, NodeStats, OriginStats, Outputs, RefusalKind, blocking_node_fn, node_fn,
};
use proptest::prelude::*;

/// What the handler of one execution does.
#[derive(Debug, Clone, Copy)]
enum Behaviour {
    Return,
    Fail,
    Panic,
    YieldThenReturn(u8),
    UntilCancelled,
    IgnoreCancel,
    Report,
    Block,
}

/// What is done to the executor.
#[derive(Debug, Clone)]
enum Step {
    Submit {
        behaviour: Behaviour,
        priority: i32,
        deadline_us: Option<u64>,
    },
    Cancel(prop::sample::Index),
    CancelAll,
    Drop(prop::sample::Index),
    Yield(u8),
    Replace,
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        Just(Behaviour::Return),
        Just(Behaviour::Fail),
        Just(Behaviour::Panic),
        any::<u8>().prop_map(Behaviour::YieldThenReturn),
        Just(Behaviour::UntilCancelled),
        Just(Behaviour::IgnoreCancel),
        Just(Behaviour::Report),
        Just(Behaviour::Block),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (behaviour(), -2..3_i32, prop::option::weighted(0.2, 0..3_000_u64))
            .prop_map(|(behaviour, priority, deadline_us)| Step::Submit { behaviour, priority, deadline_us }),
        2 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        1 => Just(Step::CancelAll),
        1 => any::<prop::sample::Index>().prop_map(Step::Drop),
        2 => (0..20_u8).prop_map(Step::Yield),
        1 => Just(Step::Replace),
    ]
}

fn parse(caller_id: &str) -> Behaviour {
    match caller_id {
        "Return" => Behaviour::Return,
        "Fail" => Behaviour::Fail,
        "Panic" => Behaviour::Panic,
        "UntilCancelled" => Behaviour::UntilCancelled,
        "IgnoreCancel" => Behaviour::IgnoreCancel,
        "Report" => Behaviour::Report,
        other => Behaviour::YieldThenReturn(other.len().try_into().unwrap()),
    }
}

async fn behave(context: Context) -> Result<Outputs, NodeError> {
    match parse(context.caller_id()) {
        Behaviour::Return | Behaviour::Block => {}
        Behaviour::Fail => return Err(NodeError::internal("asked to")),
        Behaviour::Panic => panic!("asked to"),
        Behaviour::YieldThenReturn(times) => {
            for _ in 0..times {
                tokio::task::yield_now().await;
            }
        }
        Behaviour::UntilCancelled => context.cancelled().await,
        Behaviour::IgnoreCancel => std::future::pending().await,
        Behaviour::Report => {
            for step in 0..10 {
                context.progress(step, 10, "");
                context.partial(Outputs::new()).await;
            }
        }
    }
    Ok(Outputs::new())
}

fn register(executor: &Executor) {
    let definition = NodeDefinition::builder("async")
        .concurrency(3)
        .queue(5)
        .build()
        .unwrap();
    executor.registry().replace(node_fn(definition, behave));
    let definition = NodeDefinition::builder("blocking")
        .concurrency(2)
        .queue(2)
        .build()
        .unwrap();
    executor
        .registry()
        .replace(blocking_node_fn(definition, |_| Ok(Outputs::new())));
}

fn request(behaviour: Behaviour, priority: i32, deadline_us: Option<u64>) -> ExecutionRequest {
    let node = if matches!(behaviour, Behaviour::Block) {
        "blocking"
    } else {
        "async"
    };
    let mut request = ExecutionRequest::new(node);
    request.caller_id = if let Behaviour::YieldThenReturn(times) = behaviour {
        "x".repeat(times.into()).into()
    } else {
        format!("{behaviour:?}").into()
    };
    request.priority = priority;
    request.deadline = deadline_us.map(|micros| Instant::now() + Duration::from_micros(micros));
    request
}

/// Everything that must hold at any moment.
fn check(executor: &Executor) -> Result<(), TestCaseError> {
    let counters = executor.counters();
    prop_assert!(counters.is_balanced(), "{:?}", counters);
    for node in executor.registry().stats() {
        prop_assert!(node.counters.is_balanced(), "{:?}", node);
        check_origins(&node)?;
        let limits = if node.uid == "async" { (3, 5) } else { (2, 2) };
        prop_assert!(
            node.running <= limits.0 && node.waiting <= limits.1,
            "{:?}",
            node
        );
    }
    Ok(())
}

/// Each origin's counters balance, and together they are the node's.
fn check_origins(node: &NodeStats) -> Result<(), TestCaseError> {
    let all = |of: fn(&OriginStats) -> u64| node.origins.iter().map(of).sum::<u64>();
    for origin in &node.origins {
        let ended = origin.counters.accepted - origin.counters.in_flight;
        prop_assert!(origin.counters.is_balanced(), "{:?}", node);
        prop_assert_eq!(origin.durations.count(), ended, "{:?}", node);
        prop_assert!(origin.waiting <= origin.counters.in_flight, "{:?}", node);
    }
    prop_assert_eq!(all(|it| it.counters.accepted), node.counters.accepted);
    prop_assert_eq!(all(|it| it.counters.completed), node.counters.completed);
    prop_assert_eq!(all(|it| it.counters.failed), node.counters.failed);
    prop_assert_eq!(all(|it| it.counters.cancelled), node.counters.cancelled);
    prop_assert_eq!(all(|it| it.counters.dropped()), node.counters.dropped());
    prop_assert_eq!(all(|it| it.counters.refused()), node.counters.refused());
    prop_assert_eq!(all(|it| it.waiting), node.waiting as u64);
    Ok(())
}

/// Accepted first, started at most once and before anything else, one terminal event, nothing after it.
async fn check_events(mut execution: Execution, cancelled: bool) -> Result<(), TestCaseError> {
    let mut events = Vec::new();
    while let Some(event) = execution.next().await {
        events.push(event);
    }
    prop_assert!(matches!(events[0], ExecutionEvent::Accepted));
    let terminal = events.iter().filter(|event| event.is_terminal()).count();
    prop_assert!(
        terminal == 1 && events[events.len() - 1].is_terminal(),
        "{:?}",
        events
    );
    let started = events
        .iter()
        .position(|event| matches!(event, ExecutionEvent::Started));
    prop_assert!(matches!(started, None | Some(1)), "{:?}", events);
    prop_assert!(started.is_some() || events.len() == 2, "{:?}", events);
    let ended_cancelled = matches!(events[events.len() - 1], ExecutionEvent::Cancelled { .. });
    prop_assert!(
        !cancelled || ended_cancelled,
        "a cancellation that was taken wins: {:?}",
        events
    );
    Ok(())
}

async fn scenario(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let config = ExecutorConfig {
        in_flight_max: 8,
        grace: Duration::from_micros(200),
        ..ExecutorConfig::default()
    };
    let executor = Executor::new(config);
    register(&executor);
    let doors = ["one", "another"].map(|origin| executor.clone().with_origin(origin));
    let mut live: Vec<(Execution, bool)> = Vec::new();
    let mut submitted = 0_u64;
    let mut cancelled_all = 0;
    for step in steps {
        match step {
            Step::Submit {
                behaviour,
                priority,
                deadline_us,
            } => {
                submitted += 1;
                let door = usize::try_from(submitted % 2).unwrap();
                live.extend(
                    doors[door]
                        .submit(request(behaviour, priority, deadline_us))
                        .ok()
                        .map(|new| (new, false)),
                );
            }
            Step::Cancel(index) if !live.is_empty() => {
                let (execution, cancelled) = index.get_mut(&mut live);
                *cancelled |= execution.cancel();
            }
            Step::CancelAll => {
                let in_flight = executor.counters().in_flight;
                let cancelled = executor.cancel_all() as u64;
                prop_assert!(cancelled <= in_flight, "{} of {}", cancelled, in_flight);
                cancelled_all += cancelled;
                for (execution, _) in &live {
                    prop_assert!(!execution.cancel(), "none is left that can be cancelled");
                }
            }
            Step::Drop(index) if !live.is_empty() => {
                drop(live.swap_remove(index.index(live.len())))
            }
            Step::Yield(times) => {
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
            }
            Step::Replace => register(&executor),
            Step::Cancel(_) | Step::Drop(_) => {}
        }
        check(&executor)?;
    }
    executor.shutdown(Duration::from_micros(100)).await;
    let counters = executor.counters();
    prop_assert_eq!(counters.in_flight, 0);
    prop_assert!(
        counters.cancelled >= cancelled_all,
        "what was cancelled ends so"
    );
    prop_assert_eq!(counters.accepted + counters.refused(), submitted);
    let refusals = executor.refusals();
    let refused: [u64; RefusalKind::ALL.len()] =
        RefusalKind::ALL.map(|kind| refusals.iter().map(|it| it.count(kind)).sum());
    prop_assert_eq!(
        refused,
        RefusalKind::ALL.map(|kind| counters.refused_for(kind))
    );
    check(&executor)?;
    for (execution, cancelled) in live {
        check_events(execution, cancelled).await?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn counters_and_life_cycle_hold_on_one_thread(steps in prop::collection::vec(step(), 0..60)) {
        quiet_panics();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(scenario(steps))?;
    }

    #[test]
    fn counters_and_life_cycle_hold_on_several_threads(steps in prop::collection::vec(step(), 0..60)) {
        quiet_panics();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
        runtime.block_on(scenario(steps))?;
    }
}

/// The handlers' panics are part of the test; the test's own go to the usual place.
fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"asked to") {
                usual(info);
            }
        }));
    });
}

#[test]
fn the_invariant_test_can_fail() {
    // A sanity check of the check itself: a made-up, unbalanced set of counters is told from a balanced one.
    let mut counters = nodewire_core::Counters::default();
    assert!(counters.is_balanced());
    counters.accepted = 1;
    assert!(!counters.is_balanced());
}
