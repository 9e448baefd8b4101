//! The executor, one behaviour per test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nodewire_core::{
    Context, DropReason, DynNode, EventSink, Execution, ExecutionError, ExecutionEvent,
    ExecutionId, ExecutionRequest, Executor, ExecutorConfig, Inputs, NodeDefinition, NodeError,
    NodeErrorKind, Outputs, Parameter, ParameterKind, Parameters, Port, Refusal, RefusalKind,
    Value, blocking_node_fn, node_fn,
};
use nodewire_json::Json;
use tokio::sync::{Notify, Semaphore};

fn definition(uid: &str) -> NodeDefinition {
    NodeDefinition::builder(uid).build().unwrap()
}

fn narrow(uid: &str, concurrency: usize, queue: usize) -> NodeDefinition {
    NodeDefinition::builder(uid)
        .concurrency(concurrency)
        .queue(queue)
        .build()
        .unwrap()
}

fn executor(node: impl DynNode) -> Executor {
    let executor = Executor::default();
    executor.registry().insert(node).unwrap();
    executor
}

/// A node that runs until a permit comes, or until it is told to stop.
fn gated(definition: NodeDefinition, gate: &Arc<Semaphore>) -> impl DynNode + use<> {
    let gate = Arc::clone(gate);
    node_fn(definition, move |context: Context| {
        let gate = Arc::clone(&gate);
        async move {
            tokio::select! {
                permit = gate.acquire() => permit.unwrap().forget(),
                () = context.cancelled() => return Err(NodeError::internal("told to stop")),
            }
            Ok(Outputs::new().with("done", "yes"))
        }
    })
}

async fn events(mut execution: Execution) -> Vec<ExecutionEvent> {
    let mut events = Vec::new();
    while let Some(event) = execution.next().await {
        events.push(event);
    }
    events
}

async fn until_started(execution: &mut Execution) {
    while !matches!(execution.next().await, Some(ExecutionEvent::Started)) {}
}

fn assert_balanced(executor: &Executor) {
    assert!(
        executor.counters().is_balanced(),
        "{:?}",
        executor.counters()
    );
}

#[tokio::test]
async fn completes_with_outputs_and_counts_it() {
    let executor = executor(node_fn(definition("echo"), async |context: Context| {
        Ok(Outputs::new().with("text", context.inputs().get("text").cloned().unwrap()))
    }));
    let request = ExecutionRequest::new("echo").inputs(Inputs::new().with("text", "hi"));
    let outputs = executor.submit(request).unwrap().outputs().await.unwrap();
    assert_eq!(outputs.first("text"), Some(&Value::from("hi")));

    let stats = &executor.registry().stats()[0];
    assert_eq!(
        (
            stats.counters.accepted,
            stats.counters.completed,
            stats.running
        ),
        (1, 1, 0)
    );
    assert_eq!((stats.queue_time.count, stats.run_time.count), (1, 1));
    assert_balanced(&executor);
}

#[tokio::test]
async fn events_come_in_order_and_none_after_the_end() {
    let leaked = Arc::new(std::sync::Mutex::new(None));
    let keep = Arc::clone(&leaked);
    let executor = executor(node_fn(definition("n"), move |context: Context| {
        let keep = Arc::clone(&keep);
        async move {
            context.progress(1, 2, "half");
            context.partial(Outputs::new().with("x", "early")).await;
            *keep.lock().unwrap() = Some(context);
            Ok(Outputs::new())
        }
    }));
    let mut execution = executor.submit(ExecutionRequest::new("n")).unwrap();
    let mut names = Vec::new();
    while let Some(event) = execution.next().await {
        names.push(
            format!("{event:?}")
                .split(['(', ' '])
                .next()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(
        names,
        ["Accepted", "Started", "Progress", "Partial", "Completed"]
    );

    let late = leaked.lock().unwrap().take().unwrap();
    late.progress(2, 2, "too late");
    late.partial(Outputs::new()).await;
    assert!(execution.next().await.is_none());
}

#[tokio::test]
async fn unknown_nodes_are_refused_and_counted() {
    let executor = Executor::default();
    let refusal = executor.submit(ExecutionRequest::new("nope")).unwrap_err();
    assert_eq!(refusal, Refusal::UnknownNode("nope".to_owned()));
    assert_eq!(executor.counters().refused_for(RefusalKind::UnknownNode), 1);
    assert_eq!(executor.counters().accepted, 0);
}

#[tokio::test]
async fn partial_outputs_that_nobody_takes_wait_in_their_handler_by_their_bytes() {
    const MEBIBYTE: usize = 1 << 20;
    let config = ExecutorConfig {
        events_bytes_max: 2 * MEBIBYTE,
        ..ExecutorConfig::default()
    };
    let executor = Executor::new(config);
    let sent = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&sent);
    let node = node_fn(definition("n"), move |context: Context| {
        let sent = Arc::clone(&counting);
        async move {
            for _ in 0..4 {
                let text = "x".repeat(MEBIBYTE);
                context.partial(Outputs::new().with("text", &*text)).await;
                sent.fetch_add(1, Ordering::SeqCst);
                // It has no room where the outputs have none.
                context.progress(1, 4, "on the way");
            }
            Ok(Outputs::new())
        }
    });
    executor.registry().insert(node).unwrap();
    let mut execution = executor.submit(ExecutionRequest::new("n")).unwrap();
    // On one thread, what can go on does.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sent.load(Ordering::SeqCst), 2);
    let mut previews = 0;
    while let Some(event) = execution.next().await {
        previews += usize::from(matches!(event, ExecutionEvent::Partial(_)));
    }
    assert_eq!(previews, 4);
    assert!(executor.counters().progress_dropped >= 1);
}

#[tokio::test]
async fn unknown_names_are_refused_where_that_is_wanted() {
    let node = NodeDefinition::builder("n")
        .input(Port::new("text", "string"))
        .parameter(Parameter::new("p", ParameterKind::Boolean, Json::null()));
    let lenient = executor(node_fn(node.build().unwrap(), async |_| Ok(Outputs::new())));
    let strict = lenient.clone().with_origin("door").refusing_unknown();
    let input = |name: &'static str| {
        let inputs = Inputs::new().with(name, "x");
        ExecutionRequest::new("n").inputs(inputs)
    };
    let parameter = |name: &'static str| {
        let mut parameters = Parameters::new();
        parameters.insert(name, Json::from("x"));
        ExecutionRequest::new("n").parameters(parameters)
    };
    for (wrong, told) in [
        (input("txet"), "node `n` has no input `txet`; it has `text`"),
        (parameter("q"), "node `n` has no parameter `q`; it has `p`"),
    ] {
        let refusal = strict.submit(wrong.clone()).unwrap_err();
        assert_eq!(refusal.kind(), RefusalKind::InvalidInput);
        assert_eq!(refusal.to_string(), told);
        lenient.submit(wrong).unwrap().outputs().await.unwrap();
    }
    for right in [input("text"), parameter("p")] {
        strict.submit(right).unwrap().outputs().await.unwrap();
    }
    strict.refused("n", RefusalKind::InvalidInput);
    let counted = |counters: nodewire_core::Counters| {
        let refused = counters.refused_for(RefusalKind::InvalidInput);
        (refused, counters.refused(), counters.completed)
    };
    assert_eq!(counted(strict.counters()), (3, 3, 4));
    assert_eq!(counted(strict.registry().stats()[0].counters), (3, 3, 4));
    assert_eq!(strict.refusals()[0].count(RefusalKind::InvalidInput), 3);
}

#[tokio::test]
async fn beyond_concurrency_and_queue_is_refused() {
    let gate = Arc::new(Semaphore::new(0));
    let executor = executor(gated(narrow("n", 1, 2), &gate));
    let accepted: Vec<_> = (0..3)
        .map(|_| executor.submit(ExecutionRequest::new("n")).unwrap())
        .collect();
    let refusal = executor.submit(ExecutionRequest::new("n")).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::QueueFull {
            node: "n".to_owned(),
            limit: 2
        }
    );
    let stats = &executor.registry().stats()[0];
    assert_eq!(
        (
            stats.running,
            stats.waiting,
            stats.counters.refused_for(RefusalKind::QueueFull)
        ),
        (1, 2, 1)
    );
    assert_balanced(&executor);

    gate.add_permits(3);
    for execution in accepted {
        execution.outputs().await.unwrap();
    }
    assert_eq!(executor.counters().completed, 3);
}

#[tokio::test]
async fn the_whole_executor_has_a_bound() {
    let gate = Arc::new(Semaphore::new(0));
    let executor = Executor::new(ExecutorConfig {
        in_flight_max: 2,
        ..ExecutorConfig::default()
    });
    executor
        .registry()
        .insert(gated(definition("n"), &gate))
        .unwrap();
    let _kept = [0, 1].map(|_| executor.submit(ExecutionRequest::new("n")).unwrap());
    assert_eq!(
        executor.submit(ExecutionRequest::new("n")).unwrap_err(),
        Refusal::TooManyInFlight(2)
    );
    assert_balanced(&executor);
}

#[tokio::test]
async fn higher_priority_goes_first_then_first_come() {
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let gate = Arc::new(Semaphore::new(0));
    let (log, open) = (Arc::clone(&order), Arc::clone(&gate));
    let executor = executor(node_fn(narrow("n", 1, 10), move |context: Context| {
        let (log, open) = (Arc::clone(&log), Arc::clone(&open));
        async move {
            log.lock().unwrap().push(context.caller_id().to_owned());
            open.acquire().await.unwrap().forget();
            Ok(Outputs::new())
        }
    }));
    let submit = |caller: &str, priority| {
        let mut request = ExecutionRequest::new("n");
        request.caller_id = caller.into();
        request.priority = priority;
        executor.submit(request).unwrap()
    };
    let all = [
        submit("first", 0),
        submit("low", -1),
        submit("a", 5),
        submit("b", 5),
        submit("normal", 0),
    ];
    gate.add_permits(5);
    for execution in all {
        execution.outputs().await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), ["first", "a", "b", "normal", "low"]);
}

#[tokio::test]
async fn cancel_reaches_the_handler() {
    let gate = Arc::new(Semaphore::new(0));
    let executor = executor(gated(definition("n"), &gate));
    let mut execution = executor.submit(ExecutionRequest::new("n")).unwrap();
    until_started(&mut execution).await;
    assert!(execution.cancel());
    assert!(!execution.cancel(), "the second one changes nothing");
    assert!(matches!(
        execution.next().await,
        Some(ExecutionEvent::Cancelled { abandoned: false })
    ));
    assert_eq!(executor.counters().cancelled, 1);
    assert_balanced(&executor);
}

#[tokio::test]
async fn a_cancellation_that_was_taken_wins_over_a_result() {
    let executor = executor(node_fn(definition("n"), async |context: Context| {
        context.cancelled().await;
        Ok(Outputs::new().with("x", "finished all the same"))
    }));
    let mut execution = executor.submit(ExecutionRequest::new("n")).unwrap();
    until_started(&mut execution).await;
    assert!(execution.cancel());
    assert!(matches!(
        execution.next().await,
        Some(ExecutionEvent::Cancelled { abandoned: false })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_ignores_cancellation_is_abandoned_after_the_grace_time() {
    let executor = executor(node_fn(definition("deaf"), async |_: Context| {
        std::future::pending().await
    }));
    let mut execution = executor.submit(ExecutionRequest::new("deaf")).unwrap();
    until_started(&mut execution).await;
    execution.cancel();
    assert!(matches!(
        execution.next().await,
        Some(ExecutionEvent::Cancelled { abandoned: true })
    ));
    assert_eq!(executor.counters().abandoned, 1);
    assert_eq!(executor.registry().stats()[0].running, 0);
}

#[tokio::test]
async fn dropping_an_execution_cancels_it_and_detaching_does_not() {
    let gate = Arc::new(Semaphore::new(0));
    let executor = executor(gated(definition("n"), &gate));
    let mut dropped = executor.submit(ExecutionRequest::new("n")).unwrap();
    let mut detached = executor.submit(ExecutionRequest::new("n")).unwrap();
    until_started(&mut dropped).await;
    until_started(&mut detached).await;
    drop(dropped);
    detached.detach();
    gate.add_permits(2);
    executor.shutdown(Duration::from_secs(60)).await;
    let counters = executor.counters();
    assert_eq!((counters.cancelled, counters.completed), (1, 1));
}

#[tokio::test]
async fn cancelling_what_waits_ends_it_without_a_start() {
    let gate = Arc::new(Semaphore::new(0));
    let executor = executor(gated(narrow("n", 1, 1), &gate));
    let _first = executor.submit(ExecutionRequest::new("n")).unwrap();
    let second = executor.submit(ExecutionRequest::new("n")).unwrap();
    second.cancel();
    let events = events(second).await;
    assert!(
        matches!(
            events[..],
            [
                ExecutionEvent::Accepted,
                ExecutionEvent::Cancelled { abandoned: false }
            ]
        ),
        "{events:?}"
    );
    assert_eq!(executor.registry().stats()[0].waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn deadlines_end_what_runs_and_drop_what_waits() {
    let gate = Arc::new(Semaphore::new(0));
    let executor = executor(gated(narrow("n", 1, 1), &gate));
    let with_deadline = || {
        let mut request = ExecutionRequest::new("n");
        request.deadline = Some(tokio::time::Instant::now().into_std() + Duration::from_secs(1));
        executor.submit(request).unwrap()
    };
    let (running, waiting) = (with_deadline(), with_deadline());
    let waited = events(waiting).await;
    assert!(
        matches!(
            waited.last(),
            Some(ExecutionEvent::Dropped(DropReason::DeadlinePassed))
        ),
        "{waited:?}"
    );
    let ran = events(running).await;
    let Some(ExecutionEvent::Failed(error)) = ran.last() else {
        panic!("{ran:?}")
    };
    assert_eq!(error.kind(), NodeErrorKind::Deadline);
    assert_eq!(
        executor.counters().dropped_for(DropReason::DeadlinePassed),
        1
    );
    assert_balanced(&executor);
}

#[tokio::test]
async fn a_deadline_in_the_past_is_refused() {
    let executor = executor(node_fn(definition("n"), async |_| Ok(Outputs::new())));
    let mut request = ExecutionRequest::new("n");
    request.deadline = Some(Instant::now());
    assert_eq!(
        executor.submit(request).unwrap_err(),
        Refusal::DeadlinePassed
    );
}

#[tokio::test]
async fn a_panic_fails_one_execution_only() {
    let executor = executor(node_fn(definition("n"), async |context: Context| {
        assert!(context.inputs().is_empty(), "inputs are not for me");
        Ok(Outputs::new())
    }));
    let bad = ExecutionRequest::new("n").inputs(Inputs::new().with("x", "y"));
    let error = executor.submit(bad).unwrap().outputs().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the node panicked: inputs are not for me"
    );
    executor
        .submit(ExecutionRequest::new("n"))
        .unwrap()
        .outputs()
        .await
        .unwrap();
    let counters = executor.counters();
    assert_eq!((counters.failed, counters.completed), (1, 1));
}

#[tokio::test]
async fn a_panic_before_the_future_exists_fails_one_execution_only() {
    struct Early(NodeDefinition);
    impl DynNode for Early {
        fn definition(&self) -> &NodeDefinition {
            &self.0
        }

        fn execute_boxed(
            self: Arc<Self>,
            _: Context,
        ) -> nodewire_core::BoxFuture<'static, Result<Outputs, NodeError>> {
            panic!("early")
        }
    }
    let executor = executor(Early(definition("n")));
    let error = executor
        .submit(ExecutionRequest::new("n"))
        .unwrap()
        .outputs()
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the node panicked: early");
}

#[tokio::test]
async fn blocking_nodes_run_elsewhere_and_panic_alone() {
    let here = std::thread::current().id();
    let executor = executor(blocking_node_fn(definition("n"), move |context| {
        assert_ne!(std::thread::current().id(), here);
        if context.inputs().is_empty() {
            Ok(Outputs::new())
        } else {
            panic!("no")
        }
    }));
    executor
        .submit(ExecutionRequest::new("n"))
        .unwrap()
        .outputs()
        .await
        .unwrap();
    let bad = ExecutionRequest::new("n").inputs(Inputs::new().with("x", "y"));
    let error = executor.submit(bad).unwrap().outputs().await.unwrap_err();
    assert!(matches!(error, ExecutionError::Failed(_)), "{error:?}");
}

#[tokio::test]
async fn an_abandoned_blocking_handler_keeps_its_place_until_it_returns() {
    let release = Arc::new(AtomicBool::new(false));
    let may_end = Arc::clone(&release);
    let config = ExecutorConfig {
        grace: Duration::ZERO,
        ..ExecutorConfig::default()
    };
    let executor = Executor::new(config);
    let node = blocking_node_fn(narrow("n", 1, 1), move |_| {
        while !may_end.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        Ok(Outputs::new())
    });
    executor.registry().insert(node).unwrap();
    let mut stuck = executor.submit(ExecutionRequest::new("n")).unwrap();
    until_started(&mut stuck).await;
    stuck.cancel();
    assert!(matches!(
        stuck.next().await,
        Some(ExecutionEvent::Cancelled { abandoned: true })
    ));

    let next = executor.submit(ExecutionRequest::new("n")).unwrap();
    let stats = &executor.registry().stats()[0];
    assert_eq!(
        (stats.running, stats.waiting),
        (1, 1),
        "the thread still runs"
    );
    release.store(true, Ordering::Release);
    next.outputs().await.unwrap();
}

#[tokio::test]
async fn partial_outputs_wait_for_room() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let executor = executor(node_fn(definition("n"), move |context: Context| {
        let counter = Arc::clone(&counter);
        async move {
            for _ in 0..200 {
                context.partial(Outputs::new()).await;
                counter.fetch_add(1, Ordering::AcqRel);
                context.progress(1, 2, "some of these are dropped");
                context.progress(2, 2, "while there is no room");
            }
            Ok(Outputs::new())
        }
    }));
    let mut execution = executor.submit(ExecutionRequest::new("n")).unwrap();
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(
        sent.load(Ordering::Acquire) < 100,
        "the handler waits for its reader"
    );
    let mut partial = 0;
    while let Some(event) = execution.next().await {
        partial += usize::from(matches!(event, ExecutionEvent::Partial(_)));
    }
    assert_eq!(partial, 200, "nothing is lost");
    assert!(executor.counters().progress_dropped > 0);
}

#[tokio::test]
async fn replacing_a_node_leaves_what_runs_alone() {
    let gate = Arc::new(Semaphore::new(0));
    let executor = executor(gated(definition("n"), &gate));
    let mut changes = executor.registry().changes();
    let mut old = executor.submit(ExecutionRequest::new("n")).unwrap();
    until_started(&mut old).await;
    executor
        .registry()
        .replace(node_fn(definition("n"), async |_| {
            Ok(Outputs::new().with("done", "new"))
        }));
    changes.changed().await.unwrap();
    let new = executor
        .submit(ExecutionRequest::new("n"))
        .unwrap()
        .outputs()
        .await
        .unwrap();
    assert_eq!(new.first("done"), Some(&Value::from("new")));
    gate.add_permits(1);
    assert_eq!(
        old.outputs().await.unwrap().first("done"),
        Some(&Value::from("yes"))
    );
    assert_eq!(
        executor.registry().stats()[0].counters.completed,
        2,
        "statistics go on under the uid"
    );
}

#[tokio::test]
async fn registering_twice_is_refused_and_removing_works() {
    let executor = executor(node_fn(definition("n"), async |_| Ok(Outputs::new())));
    let again = executor
        .registry()
        .insert(node_fn(definition("n"), async |_| Ok(Outputs::new())));
    assert_eq!(
        again.unwrap_err().to_string(),
        "there is a node `n` already; uids are unique within a server"
    );
    assert!(executor.registry().remove("n"));
    assert!(!executor.registry().remove("n"));
    assert!(executor.submit(ExecutionRequest::new("n")).is_err());
}

#[tokio::test]
async fn a_larger_concurrency_starts_what_waits() {
    let gate = Arc::new(Semaphore::new(0));
    let executor = executor(gated(narrow("n", 1, 5), &gate));
    let _first = executor.submit(ExecutionRequest::new("n")).unwrap();
    let mut second = executor.submit(ExecutionRequest::new("n")).unwrap();
    executor.registry().replace(gated(narrow("n", 2, 5), &gate));
    until_started(&mut second).await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_drops_what_waits_drains_what_runs_and_refuses_the_rest() {
    let gate = Arc::new(Semaphore::new(0));
    let executor = executor(gated(narrow("n", 1, 5), &gate));
    let mut running = executor.submit(ExecutionRequest::new("n")).unwrap();
    until_started(&mut running).await;
    let waiting = executor.submit(ExecutionRequest::new("n")).unwrap();
    let closing = tokio::spawn({
        let executor = executor.clone();
        async move { executor.shutdown(Duration::from_secs(10)).await }
    });
    let waited = events(waiting).await;
    assert!(
        matches!(
            waited.last(),
            Some(ExecutionEvent::Dropped(DropReason::Shutdown))
        ),
        "{waited:?}"
    );
    assert_eq!(
        executor.submit(ExecutionRequest::new("n")).unwrap_err(),
        Refusal::ShuttingDown
    );
    gate.add_permits(1);
    running.outputs().await.unwrap();
    closing.await.unwrap();
    assert_balanced(&executor);
}

#[tokio::test(start_paused = true)]
async fn shutdown_cancels_what_does_not_finish_in_time() {
    let executor = executor(node_fn(definition("deaf"), async |_: Context| {
        std::future::pending().await
    }));
    let mut execution = executor.submit(ExecutionRequest::new("deaf")).unwrap();
    until_started(&mut execution).await;
    executor.shutdown(Duration::from_secs(10)).await;
    assert!(matches!(
        execution.next().await,
        Some(ExecutionEvent::Cancelled { abandoned: true })
    ));
    assert_eq!(executor.counters().in_flight, 0);
}

#[test]
fn an_execution_ends_when_its_runtime_goes_down() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let started = Arc::new(Notify::new());
    let tell = Arc::clone(&started);
    let executor = executor(node_fn(narrow("n", 1, 1), move |_: Context| {
        let tell = Arc::clone(&tell);
        async move {
            tell.notify_one();
            std::future::pending().await
        }
    }));
    let (running, waiting) = runtime.block_on(async {
        let running = executor.submit(ExecutionRequest::new("n")).unwrap();
        let waiting = executor.submit(ExecutionRequest::new("n")).unwrap();
        started.notified().await;
        (running, waiting)
    });
    drop(runtime);
    assert_eq!(
        (executor.counters().failed, executor.counters().in_flight),
        (2, 0)
    );
    let stats = &executor.registry().stats()[0];
    assert_eq!((stats.running, stats.waiting), (0, 0));
    drop((running, waiting));
}

/// Other executions start although a handler keeps its thread, while the runtime has another one.
async fn others_start_beside_a_stuck_handler(learn_quickness: bool) {
    let release = Arc::new(AtomicBool::new(false));
    let may_end = Arc::clone(&release);
    let executor = executor(node_fn(definition("n"), move |context: Context| {
        let may_end = Arc::clone(&may_end);
        async move {
            while context.caller_id() == "stuck" && !may_end.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            Ok(Outputs::new())
        }
    }));
    if learn_quickness {
        for _ in 0..100 {
            executor
                .submit(ExecutionRequest::new("n"))
                .unwrap()
                .outputs()
                .await
                .unwrap();
        }
    }
    let mut request = ExecutionRequest::new("n");
    request.caller_id = "stuck".into();
    let mut stuck = executor.submit(request).unwrap();
    until_started(&mut stuck).await;
    // A quick node's exception is only noticed after a while; each submission looks again.
    tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let other = executor
                .submit(ExecutionRequest::new("n"))
                .unwrap()
                .outputs();
            if tokio::time::timeout(Duration::from_millis(50), other)
                .await
                .is_ok()
            {
                return;
            }
        }
    })
    .await
    .unwrap();
    release.store(true, Ordering::Release);
    stuck.outputs().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn others_start_beside_a_handler_of_an_unknown_node_that_keeps_its_thread() {
    others_start_beside_a_stuck_handler(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn others_start_beside_a_handler_of_a_quick_node_that_keeps_its_thread() {
    others_start_beside_a_stuck_handler(true).await;
}

/// Waits on its thread, as long as a handler that computes would, until `done` says so; gives up after a long while.
fn keep_thread_until(done: impl Fn() -> bool) -> Result<Outputs, NodeError> {
    let begun = Instant::now();
    while !done() {
        if begun.elapsed() > Duration::from_secs(60) {
            return Err(NodeError::internal("nobody else got on"));
        }
        std::thread::yield_now();
    }
    Ok(Outputs::new())
}

/// Submits from one of the runtime's own threads, as a wire's connection does.
async fn all_complete(executor: Executor, nodes: &'static [&'static str]) {
    tokio::spawn(async move {
        let submitted: Vec<_> = nodes
            .iter()
            .map(|node| executor.submit(ExecutionRequest::new(*node)).unwrap())
            .collect();
        for execution in submitted {
            execution.outputs().await.unwrap();
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn handlers_that_keep_their_threads_run_at_once() {
    let started = Arc::new(AtomicUsize::new(0));
    let executor = executor(node_fn(definition("n"), move |_: Context| {
        let started = Arc::clone(&started);
        async move {
            started.fetch_add(1, Ordering::AcqRel);
            keep_thread_until(|| started.load(Ordering::Acquire) >= 3)
        }
    }));
    all_complete(executor, &["n", "n", "n"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_has_begun_goes_on_beside_one_that_keeps_its_thread() {
    let went_on = Arc::new(AtomicBool::new(false));
    let executor = executor(node_fn(definition("waits"), {
        let went_on = Arc::clone(&went_on);
        move |_: Context| {
            let went_on = Arc::clone(&went_on);
            async move {
                tokio::task::yield_now().await;
                went_on.store(true, Ordering::Release);
                Ok(Outputs::new())
            }
        }
    }));
    let computes = move |_: Context| {
        let went_on = Arc::clone(&went_on);
        async move { keep_thread_until(|| went_on.load(Ordering::Acquire)) }
    };
    executor
        .registry()
        .insert(node_fn(definition("computes"), computes))
        .unwrap();
    all_complete(executor, &["waits", "computes"]).await;
}

/// Panics at every event.
struct BrokenSink;

impl EventSink for BrokenSink {
    fn deliver(&self, _: ExecutionId, event: ExecutionEvent) {
        panic!("a broken sink, told {event:?}");
    }
}

#[tokio::test]
async fn a_sink_that_panics_harms_nobody() {
    let executor = executor(node_fn(definition("n"), async |_| Ok(Outputs::new())));
    for _ in 0..3 {
        executor
            .submit_to(ExecutionRequest::new("n"), Arc::new(BrokenSink))
            .unwrap();
    }
    executor
        .submit(ExecutionRequest::new("n"))
        .unwrap()
        .outputs()
        .await
        .unwrap();
    // It would not return if an end had not been told.
    executor.shutdown(Duration::from_secs(60)).await;
    assert_eq!(executor.counters().completed, 4);
    assert_eq!(executor.registry().stats()[0].running, 0);
}

#[tokio::test]
async fn a_detached_execution_is_not_held_up_by_events_that_nobody_takes() {
    let executor = executor(node_fn(definition("n"), async |context: Context| {
        for step in 0..200 {
            context.partial(Outputs::new()).await;
            context.progress(step, 200, "");
        }
        Ok(Outputs::new())
    }));
    executor
        .submit(ExecutionRequest::new("n"))
        .unwrap()
        .detach();
    executor.shutdown(Duration::from_secs(60)).await;
    assert_eq!(executor.counters().completed, 1);
}

#[tokio::test]
async fn a_task_that_outlives_its_handler_learns_of_the_end() {
    let task_over = Arc::new(Semaphore::new(0));
    let over = Arc::clone(&task_over);
    let executor = executor(node_fn(definition("n"), move |context: Context| {
        let over = Arc::clone(&over);
        async move {
            tokio::spawn(async move {
                context.cancelled().await;
                over.add_permits(1);
            });
            // Lets the task begin to wait.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            Ok(Outputs::new())
        }
    }));
    let execution = executor.submit(ExecutionRequest::new("n")).unwrap();
    execution.outputs().await.unwrap();
    let learned = tokio::time::timeout(Duration::from_secs(60), task_over.acquire());
    learned.await.unwrap().unwrap().forget();
}

#[tokio::test]
async fn nothing_is_started_after_its_deadline() {
    let executor = executor(node_fn(definition("n"), async |context: Context| {
        // The only thread is kept until the other's deadline has passed.
        keep_thread_until(|| {
            context
                .deadline()
                .is_none_or(|deadline| deadline < Instant::now())
        })
    }));
    // Not over before both are submitted, however busy the machine.
    let deadline = Instant::now() + Duration::from_secs(1);
    let mut first = ExecutionRequest::new("n");
    first.deadline = Some(deadline);
    let mut second = ExecutionRequest::new("n");
    second.deadline = Some(deadline);
    let (first, second) = (
        executor.submit(first).unwrap(),
        executor.submit(second).unwrap(),
    );
    drop(first.outputs().await);
    let end = second.outputs().await.unwrap_err();
    assert!(
        matches!(end, ExecutionError::Dropped(DropReason::DeadlinePassed)),
        "{end}"
    );
    assert_balanced(&executor);
}

#[test]
fn a_cancellation_that_was_taken_holds_when_the_runtime_goes_down() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let executor = executor(node_fn(definition("n"), async |_| {
        std::future::pending().await
    }));
    let execution = runtime.block_on(async {
        let mut execution = executor.submit(ExecutionRequest::new("n")).unwrap();
        until_started(&mut execution).await;
        execution
    });
    assert!(execution.cancel());
    drop(runtime);
    assert_eq!(
        (executor.counters().cancelled, executor.counters().failed),
        (1, 0)
    );
}

#[tokio::test]
async fn cancelling_all_reaches_what_runs_what_waits_and_nodes_that_are_gone() {
    let gate = Arc::new(Semaphore::new(0));
    let executor = executor(gated(narrow("n", 1, 2), &gate));
    let other = executor.clone().with_origin("other");
    other
        .registry()
        .insert(gated(definition("gone"), &gate))
        .unwrap();
    let ended = executor.submit(ExecutionRequest::new("nope"));
    assert!(ended.is_err());
    let mut all = Vec::new();
    for node in ["n", "n", "n", "gone"] {
        all.push(other.submit(ExecutionRequest::new(node)).unwrap());
    }
    until_started(&mut all[0]).await;
    until_started(&mut all[3]).await;
    assert!(executor.registry().remove("gone"));
    assert!(all[1].cancel());
    assert_eq!(executor.cancel_all(), 3);
    assert_eq!(executor.cancel_all(), 0);
    for execution in all {
        let events = events(execution).await;
        let terminal = events.iter().filter(|event| event.is_terminal()).count();
        assert_eq!(terminal, 1, "{events:?}");
        let last = events.last().unwrap();
        assert!(
            matches!(last, ExecutionEvent::Cancelled { abandoned: false }),
            "{last:?}"
        );
    }
    let counters = executor.counters();
    assert_eq!((counters.cancelled, counters.in_flight), (4, 0));
    assert_balanced(&executor);
    // What comes later is not touched.
    gate.add_permits(1);
    let later = executor.submit(ExecutionRequest::new("n")).unwrap();
    later.outputs().await.unwrap();
    assert_eq!(executor.cancel_all(), 0);
}
