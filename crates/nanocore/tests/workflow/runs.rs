//! Runs over servers that follow a script. Time is tokio's, stopped: it moves only when all wait.

use std::time::Duration;

use nanocore::workflow::{
    Exec, InProcess, NodeError, NodeErrorCode, NodeState, OnError, Report, RunOptions, RunStatus,
};

use crate::support::*;

/// A node that joins what reaches its two inputs.
fn joiner() -> InProcess {
    let definition = definition(
        "join",
        vec![port("a", "string"), optional("b", "string")],
        vec![port("text", "string")],
    );
    let node = says(|call| {
        let text = format!("({} {})", joined(call, "a"), joined(call, "b"));
        vec![
            Report::running("Starting execution..."),
            Report::complete(&text_output(&text)),
        ]
    });
    InProcess::new().server(server("s"), [(definition, node)])
}

// spec: nanograph 17.1
#[tokio::test(start_paused = true)]
async fn a_diamond_with_a_viewer() {
    let mut diamond = graph(
        &[
            (1, "text-input"),
            (2, "text-input"),
            (3, "join"),
            (4, "join"),
            (5, "join"),
            (6, "viewer"),
        ],
        &[
            (1, "text", 3, "a"),
            (1, "text", 3, "b"),
            (1, "text", 4, "a"),
            (2, "text", 4, "b"),
            (3, "text", 5, "a"),
            (4, "text", 5, "b"),
            (5, "text", 6, "value"),
        ],
    );
    set_text(&mut diamond, "1", "x");
    set_text(&mut diamond, "2", "y");
    let (events, result) = run(joiner(), &diamond, RunOptions::default()).await;
    assert_eq!(result.status, RunStatus::Complete);
    assert_eq!(
        result.node(5).unwrap().output("text"),
        Some(json(r#"["((x x) (x y))"]"#))
    );
    assert_eq!(
        result.node(6).unwrap().inputs,
        Some(json(r#"{"value": ["((x x) (x y))"]}"#))
    );
    let short = short(&events);
    assert_eq!(short.first().unwrap(), "started [1, 2, 3, 4, 5, 6]");
    assert_eq!(short.last().unwrap(), "finished complete");
    let at = |line: &str| short.iter().position(|one| one == line).unwrap();
    assert!(at(r#"3 complete {"text": ["(x x)"]}"#) < at("5 dispatched"));
    assert!(at(r#"4 complete {"text": ["(x y)"]}"#) < at("5 dispatched"));
}

// spec: nanograph 19.4
#[tokio::test(start_paused = true)]
async fn events_as_on_the_wire() {
    let mut two = graph(&[(1, "text-input"), (2, "join")], &[(1, "text", 2, "a")]);
    set_text(&mut two, "1", "x");
    let (events, result) = run(joiner(), &two, RunOptions::default()).await;
    let lines: Vec<serde_json::Value> = events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap())
        .collect();
    let expected = serde_json::json!([
        {"type": "run_started", "nodes": [1, 2], "reused": []},
        {"type": "node_complete", "nodeId": 1, "outputs": {"text": ["x"]}, "cached": false, "durationMs": 0},
        {"type": "node_state", "nodeId": 2, "state": "dispatched", "attempt": 1, "serverUid": "s"},
        {"type": "node_status", "nodeId": 2, "status": {"type": "running", "message": "Starting execution..."}},
        {"type": "node_complete", "nodeId": 2, "outputs": {"text": ["(x )"]}, "cached": false, "durationMs": 0},
        {"type": "run_finished", "status": "complete", "durationMs": 0, "counts": {"complete": 2}},
    ]);
    for (seq, (line, expected)) in lines.iter().zip(expected.as_array().unwrap()).enumerate() {
        let mut line = line.as_object().unwrap().clone();
        assert_eq!(line.remove("seq"), Some(seq.into()));
        assert_eq!(line.remove("runId").unwrap(), *result.run_id);
        let ts = line.remove("ts").unwrap();
        assert!(
            ts.as_str().unwrap().ends_with('Z')
                && ts.as_str().unwrap().len() == "2026-01-01T00:00:00.000Z".len(),
            "{ts}"
        );
        assert_eq!(serde_json::Value::from(line), *expected);
    }
    assert_eq!(lines.len(), 6);
}

// spec: nanograph 14.4, 15.2
#[tokio::test(start_paused = true)]
async fn lists_are_joined_in_link_order_and_text_is_kept() {
    let outputs = |text: &'static str| says(move |_| vec![Report::complete(&json(text))]);
    let log = Log::default();
    let seen = log.clone();
    let sink = says(move |call| {
        seen.add(call.request.inputs.as_str());
        vec![Report::complete(&json("{}"))]
    });
    let source = |uid| definition(uid, vec![], vec![port("out", "any")]);
    let sink_definition = definition(
        "sink",
        vec![port("in", "any"), optional("other", "any")],
        vec![],
    );
    let nodes = InProcess::new()
        .server(
            server("s1"),
            [(
                source("list"),
                outputs(r#"{"out": [ 1.50, NaN , 123456789012345678901234567890 ]}"#),
            )],
        )
        .server(
            server("s2"),
            [(source("scalar"), outputs(r#"{"out": "x"}"#))],
        )
        .server(
            server("s3"),
            [(source("nothing"), outputs(r#"{"out": null}"#))],
        )
        .server(server("s4"), [(source("empty"), outputs(r#"{"out": []}"#))])
        .server(server("s5"), [(sink_definition, sink)]);
    let mut joined = graph(
        &[
            (1, "list"),
            (2, "scalar"),
            (3, "nothing"),
            (4, "empty"),
            (5, "sink"),
        ],
        &[
            (2, "out", 5, "in"),
            (1, "out", 5, "in"),
            (3, "out", 5, "in"),
            (4, "out", 5, "in"),
            (2, "out", 5, "other"),
        ],
    );
    joined.links[0].id = 9;
    let (_, result) = run(nodes, &joined, RunOptions::default()).await;
    assert_eq!(result.status, RunStatus::Complete);
    assert_eq!(
        log.lines(),
        [r#"{"in": [1.50, NaN , 123456789012345678901234567890, "x"], "other": ["x"]}"#]
    );
}

fn failing(on_error: OnError) -> (InProcess, RunOptions) {
    let bad = definition("bad", vec![optional("in", "any")], vec![port("out", "any")]);
    let good = definition(
        "good",
        vec![port("in", "any"), optional("maybe", "any")],
        vec![port("out", "any")],
    );
    let free = definition("free", vec![], vec![port("out", "any")]);
    let nodes = InProcess::new()
        .server(
            server("a"),
            [(
                bad,
                says(|_| vec![Report::running("one"), Report::error("broken")]),
            )],
        )
        .server(
            server("b"),
            [(
                good,
                says(|call| {
                    vec![Report::complete(&json(&format!(
                        r#"{{"out": [{}]}}"#,
                        call.request.inputs
                    )))]
                }),
            )],
        )
        .server(
            server("c"),
            [(
                free,
                says(|_| vec![Report::complete(&json(r#"{"out": [1]}"#))]),
            )],
        );
    let exec = Exec {
        on_error: Some(on_error),
        ..Exec::default()
    };
    (
        nodes,
        RunOptions {
            exec,
            ..RunOptions::default()
        },
    )
}

// spec: nanograph 16.3
#[tokio::test(start_paused = true)]
async fn an_error_with_continue_skips_only_what_depends_on_it() {
    let (nodes, options) = failing(OnError::Continue);
    let graph = graph(
        &[
            (1, "bad"),
            (2, "good"),
            (3, "good"),
            (4, "free"),
            (5, "good"),
        ],
        &[
            (1, "out", 2, "in"),
            (2, "out", 3, "in"),
            (4, "out", 5, "in"),
            (1, "out", 5, "maybe"),
        ],
    );
    let (_, result) = run(nodes, &graph, options).await;
    assert_eq!(
        states(&result),
        [
            "1 error",
            "2 skipped",
            "3 skipped",
            "4 complete",
            "5 complete"
        ]
    );
    assert_eq!(result.status, RunStatus::Error);
    assert_eq!(result.node(3).unwrap().cause, Some(1));
    assert_eq!(
        result.node(5).unwrap().outputs,
        Some(json(r#"{"out": [{"in": [1]}]}"#))
    );
    let (failed, error) = result.failures().next().unwrap();
    assert_eq!((failed.node_id, error.to_string().as_str()), (1, "broken"));
}

#[tokio::test(start_paused = true)]
async fn an_error_with_stop_lets_running_nodes_finish() {
    let slow = definition("slow", vec![], vec![port("out", "any")]);
    let (nodes, options) = failing(OnError::Stop);
    let nodes = nodes.server(server("d"), [(slow, sleeps_then_completes())]);
    let graph = graph(
        &[(1, "bad"), (2, "slow"), (3, "good"), (4, "good")],
        &[(1, "out", 3, "in"), (2, "out", 4, "in")],
    );
    let (_, result) = run(nodes, &graph, options).await;
    assert_eq!(
        states(&result),
        ["1 error", "2 complete", "3 skipped", "4 skipped"]
    );
    assert_eq!(result.node(4).unwrap().cause, Some(1));
}

fn sleeps_then_completes()
-> impl Fn(nanocore::workflow::Call) -> futures_util::stream::BoxStream<'static, Report> + Send + Sync
{
    use futures_util::StreamExt;
    |_| {
        futures_util::stream::once(async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Report::complete(&json(r#"{"out": []}"#))
        })
        .boxed()
    }
}

// spec: nanograph 16.4
#[tokio::test(start_paused = true)]
async fn an_error_with_abort_stops_running_nodes() {
    let log = Log::default();
    let (nodes, options) = failing(OnError::Abort);
    let stops = log.clone();
    let hangs = definition("hangs", vec![], vec![port("out", "any")]);
    let nodes = nodes
        .server(
            server("d"),
            [(hangs, says_and_hangs(|_| vec![Report::running("for ever")]))],
        )
        .on_stop(move |server, _| stops.add(server.uid.as_str()));
    let mut graph = graph(
        &[(1, "hangs"), (2, "hangs"), (3, "bad"), (4, "free")],
        &[(4, "out", 3, "in")],
    );
    graph.nodes[1].exec.timeout = Some(Duration::from_secs(60));
    let (events, result) = run(nodes, &graph, options).await;
    assert_eq!(
        states(&result),
        ["1 aborted", "2 aborted", "3 error", "4 complete"]
    );
    assert_eq!(result.status, RunStatus::Error);
    // One per instance: that of the run, and that of the node with a time limit; then the same again.
    assert_eq!(log.lines(), ["d", "d", "d", "d"]);
    assert!(result.node(1).unwrap().unconfirmed);
    assert!(short(&events).contains(&"1 aborted because of 3".to_owned()));
    assert_eq!(result.duration, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn an_aborted_run_keeps_what_still_completes() {
    use futures_util::StreamExt;
    let (sender, receiver) = tokio::sync::watch::channel(false);
    let until_stopped = move |_| {
        let mut stopped = receiver.clone();
        let end = async move {
            stopped.wait_for(|stopped| *stopped).await.unwrap();
            Report::complete(&json(r#"{"out": []}"#))
        };
        futures_util::stream::iter([Report::running("one")])
            .chain(futures_util::stream::once(end))
            .boxed()
    };
    let cancelled = says_and_hangs(|_| vec![Report::running("one")]);
    let nodes = InProcess::new()
        .server(
            server("a"),
            [(
                definition("finishes", vec![], vec![port("out", "any")]),
                until_stopped,
            )],
        )
        .server(
            server("b"),
            [(
                definition("hangs", vec![], vec![port("out", "any")]),
                cancelled,
            )],
        )
        .on_stop(move |_, _| sender.send(true).unwrap());
    let mut graph = graph(
        &[(1, "finishes"), (2, "hangs"), (3, "viewer")],
        &[(1, "out", 3, "value")],
    );
    graph.nodes[2].name = Some("result".to_owned());
    let engine = nanocore::workflow::Engine::new(std::sync::Arc::new(nodes));
    let mut run = engine.start(&graph, RunOptions::default()).unwrap();
    let abort = run.abort_handle();
    while let Some(event) = run.next_event().await {
        if event.kind.type_name() == "node_status" {
            abort.abort();
            abort.abort();
        }
    }
    let result = run.result().await.unwrap();
    assert_eq!(states(&result), ["1 complete", "2 aborted", "3 aborted"]);
    assert_eq!(result.status, RunStatus::Aborted);
    assert_eq!(result.node(2).unwrap().cause, None);
}

// spec: nanograph 15.1, quirk N17
#[tokio::test(start_paused = true)]
async fn the_first_terminal_status_wins() {
    let reports = || {
        vec![
            Report::error("first"),
            Report::complete(&json("{}")),
            Report::error("third"),
        ]
    };
    let nodes = InProcess::new().server(
        server("s"),
        [(definition("n", vec![], vec![]), says(move |_| reports()))],
    );
    let (_, result) = run(nodes, &graph(&[(1, "n")], &[]), RunOptions::default()).await;
    assert_eq!(
        result.node(1).unwrap().error.as_ref().unwrap().message,
        "first"
    );
}

#[tokio::test(start_paused = true)]
async fn ends_that_are_read_leniently() {
    for (reports, state, text) in [
        (
            r#"[{"type": "complete", "outputs": null}]"#,
            NodeState::Complete,
            "{}",
        ),
        (r#"[{"type": "complete"}]"#, NodeState::Complete, "{}"),
        (
            r#"[{"type": "complete"}, {"type": "complete", "outputs": {"x": [1]}}]"#,
            NodeState::Complete,
            r#"{"x": [1]}"#,
        ),
        (
            r#"[{"type": "complete"}, {"type": "error", "message": "late"}]"#,
            NodeState::Complete,
            "{}",
        ),
        (
            r#"[{"type": "complete", "outputs": [1]}]"#,
            NodeState::Error,
            "invalid_outputs: the node returned a list instead of an object",
        ),
        (
            r#"[{"type": "error", "message": ""}]"#,
            NodeState::Error,
            "node failed without a message",
        ),
        (
            r#"[{"type": "idle"}, {"type": "missing"}, {"type": "strange"}, {"type": "error", "message": "m"}]"#,
            NodeState::Error,
            "m",
        ),
    ] {
        let statuses: Vec<Report> = json(reports)
            .elements()
            .unwrap()
            .into_iter()
            .map(|raw| Report::Status(nanograph::message::Status::from_json(raw)))
            .collect();
        let node = says_and_hangs(move |_| statuses.clone());
        let nodes = InProcess::new().server(server("s"), [(definition("n", vec![], vec![]), node)]);
        let (_, result) = run(nodes, &graph(&[(1, "n")], &[]), RunOptions::default()).await;
        let node = result.node(1).unwrap();
        assert_eq!(node.state, state, "{reports}");
        let got = node
            .error
            .as_ref()
            .map(NodeError::to_string)
            .or_else(|| node.outputs.as_ref().map(ToString::to_string));
        assert_eq!(got.as_deref(), Some(text), "{reports}");
    }
}

// spec: nanograph 15.3, 16.2
#[tokio::test(start_paused = true)]
async fn a_server_that_is_lost_is_tried_twice_more() {
    let log = Log::default();
    let seen = log.clone();
    let node = says(move |call| {
        seen.add(call.request.instance_id.rsplit('.').next().unwrap());
        vec![Report::running("Starting execution...")]
    });
    let nodes = InProcess::new().server(server("s"), [(definition("n", vec![], vec![]), node)]);
    let (events, result) = run(nodes, &graph(&[(7, "n")], &[]), RunOptions::default()).await;
    assert_eq!(log.lines()[1..], ["2", "3"]);
    assert_eq!(result.node(7).unwrap().attempts, 3);
    assert_eq!(
        result.node(7).unwrap().error.as_ref().unwrap().code,
        NodeErrorCode::ServerLost
    );
    let failures: Vec<String> = short(&events)
        .into_iter()
        .filter(|line| line.contains("failed"))
        .collect();
    assert_eq!(failures.len(), 3);
    assert!(
        failures[1].ends_with(", retry") && !failures[2].ends_with(", retry"),
        "{failures:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_must_not_run_twice_is_not_tried_again() {
    let nodes = InProcess::new().server(
        server("s"),
        [(definition("n", vec![], vec![]), says(|_| vec![]))],
    );
    let mut graph = graph(&[(7, "n")], &[]);
    graph.nodes[0].exec.idempotent = Some(false);
    let (_, result) = run(nodes, &graph, RunOptions::default()).await;
    assert_eq!(result.node(7).unwrap().attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn retries_wait_longer_each_time() {
    let node = says(|call| match call.request.instance_id.ends_with(".3") {
        true => vec![Report::complete(&json("{}"))],
        false => vec![Report::error("not yet")],
    });
    let nodes = InProcess::new().server(server("s"), [(definition("n", vec![], vec![]), node)]);
    let exec = Exec {
        retries: Some(5),
        ..Exec::default()
    };
    let options = RunOptions {
        exec,
        ..RunOptions::default()
    };
    let (events, result) = run(nodes, &graph(&[(1, "n")], &[]), options).await;
    assert_eq!(states(&result), ["1 complete"]);
    assert_eq!(result.node(1).unwrap().error, None);
    // 1 s and 2 s, each up to a tenth less.
    assert!(
        (2.7..=3.1).contains(&result.duration.as_secs_f64()),
        "{:?}",
        result.duration
    );
    assert!(short(&events).contains(&"1 dispatched again 3".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn silence_and_slowness_end_an_attempt() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let running = || vec![Report::running("one")];
    for (reports, exec, code, after) in [
        (vec![], Exec::default(), NodeErrorCode::NoResponse, 60),
        (
            vec![],
            Exec {
                start_timeout: seconds(7),
                ..Exec::default()
            },
            NodeErrorCode::NoResponse,
            7,
        ),
        (
            running(),
            Exec {
                timeout: seconds(5),
                ..Exec::default()
            },
            NodeErrorCode::Timeout,
            5,
        ),
        (
            running(),
            Exec {
                idle_timeout: seconds(4),
                ..Exec::default()
            },
            NodeErrorCode::IdleTimeout,
            4,
        ),
    ] {
        let log = Log::default();
        let stops = log.clone();
        let node = says_and_hangs(move |_| reports.clone());
        let nodes = InProcess::new()
            .server(server("s"), [(definition("n", vec![], vec![]), node)])
            .on_stop(move |_, instance_id| stops.add(instance_id));
        let exec = Exec {
            idempotent: Some(false),
            ..exec
        };
        let options = RunOptions {
            exec,
            ..RunOptions::default()
        };
        let (_, result) = run(nodes, &graph(&[(1, "n")], &[]), options).await;
        assert_eq!(result.node(1).unwrap().error.as_ref().unwrap().code, code);
        assert_eq!(result.duration, Duration::from_secs(after), "{code}");
        assert_eq!(log.lines().len(), 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_may_wait_while_its_server_is_busy() {
    let silent = definition("silent", vec![], vec![]);
    let busy = definition("busy", vec![], vec![]);
    let silent_node = says_and_hangs(|_| vec![]);
    let busy_node = says_and_hangs(|_| vec![Report::running("one")]);
    let boxed = |handler: Box<
        dyn Fn(nanocore::workflow::Call) -> futures_util::stream::BoxStream<'static, Report>
            + Send
            + Sync,
    >| handler;
    let nodes = InProcess::new().server(
        server("s"),
        [
            (silent, boxed(Box::new(silent_node))),
            (busy, boxed(Box::new(busy_node))),
        ],
    );
    let mut graph = graph(&[(1, "silent"), (2, "busy")], &[]);
    graph.nodes[0].exec.idempotent = Some(false);
    graph.nodes[1].exec.timeout = Some(Duration::from_secs(100));
    let (_, result) = run(nodes, &graph, RunOptions::default()).await;
    assert_eq!(
        result.node(1).unwrap().error.as_ref().unwrap().code,
        NodeErrorCode::NoResponse
    );
    assert_eq!(result.node(1).unwrap().ended, Duration::from_secs(120));
}

// spec: nanograph 14.3
#[tokio::test(start_paused = true)]
async fn inputs_that_no_server_takes_fail_the_node() {
    let big = Box::leak(format!(r#"{{"out": ["{}"]}}"#, "x".repeat(5_000_000)).into_boxed_str());
    let source = definition("source", vec![], vec![port("out", "any")]);
    let sink = definition("sink", vec![port("in", "any")], vec![]);
    let nodes = InProcess::new()
        .server(
            server("a"),
            [(source, says(|_| vec![Report::complete(&json(big))]))],
        )
        .server(
            server("b"),
            [(sink, says(|_| vec![Report::complete(&json("{}"))]))],
        );
    let (_, result) = run(
        nodes,
        &graph(&[(1, "source"), (2, "sink")], &[(1, "out", 2, "in")]),
        RunOptions::default(),
    )
    .await;
    let error = result.node(2).unwrap().error.clone().unwrap();
    assert_eq!(error.code, NodeErrorCode::InputTooLarge);
    assert!(error.message.contains("500"), "{error}");
}

// spec: nanograph 17.5
#[tokio::test(start_paused = true)]
async fn muted_nodes_pass_on_and_inactive_ones_are_missing() {
    let both = graph(
        &[
            (1, "text-input"),
            (2, "join"),
            (3, "join"),
            (4, "join"),
            (5, "join"),
        ],
        &[
            (1, "text", 2, "b"),
            (2, "text", 3, "a"),
            (4, "text", 5, "a"),
            (4, "text", 3, "b"),
        ],
    );
    let mut both = both;
    set_text(&mut both, "1", "x");
    both.nodes[1].muted = true;
    both.nodes[3].active = false;
    let (_, result) = run(joiner(), &both, RunOptions::default()).await;
    assert_eq!(
        states(&result),
        ["1 complete", "2 complete", "3 complete", "5 skipped"]
    );
    assert_eq!(result.node(3).unwrap().outputs, Some(text_output("(x )")));
    assert_eq!(result.node(5).unwrap().cause, Some(4));
    assert_eq!(result.status, RunStatus::Complete);
}

#[tokio::test(start_paused = true)]
async fn only_what_a_target_needs_runs() {
    let mut all = graph(
        &[(1, "text-input"), (2, "join"), (3, "join"), (4, "join")],
        &[
            (1, "text", 2, "a"),
            (2, "text", 3, "a"),
            (1, "text", 4, "a"),
        ],
    );
    set_text(&mut all, "1", "x");
    let options = RunOptions {
        targets: vec![2],
        ..RunOptions::default()
    };
    let (_, result) = run(joiner(), &all, options).await;
    assert_eq!(states(&result), ["1 complete", "2 complete"]);
}

// spec: nanograph 15.1
#[tokio::test(start_paused = true)]
async fn statuses_come_at_most_twenty_times_a_second_and_the_last_one_always() {
    use futures_util::StreamExt;
    let node = |_| {
        let step = |step: u32| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Report::running(&step.to_string())
        };
        let end = futures_util::stream::iter([Report::complete(&json("{}"))]);
        futures_util::stream::iter(1..=1_000)
            .then(step)
            .chain(end)
            .boxed()
    };
    let nodes = InProcess::new().server(server("s"), [(definition("n", vec![], vec![]), node)]);
    let (events, _) = run(nodes, &graph(&[(1, "n")], &[]), RunOptions::default()).await;
    let said: Vec<String> = short(&events)
        .into_iter()
        .filter(|line| line.contains("says"))
        .collect();
    assert!((20..=22).contains(&said.len()), "{}", said.len());
    assert_eq!(said.last().unwrap(), "1 says 1000");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_run_aborts_it() {
    let log = Log::default();
    let stops = log.clone();
    let (sender, mut stopped) = tokio::sync::watch::channel(());
    let nodes = InProcess::new()
        .server(
            server("s"),
            [(
                definition("n", vec![], vec![]),
                says_and_hangs(|_| vec![Report::running("one")]),
            )],
        )
        .on_stop(move |_, instance_id| {
            stops.add(instance_id);
            let _ = sender.send(());
        });
    let engine = nanocore::workflow::Engine::new(std::sync::Arc::new(nodes));
    let mut run = engine
        .start(&graph(&[(1, "n")], &[]), RunOptions::default())
        .unwrap();
    let id = run.run_id().to_owned();
    while run
        .next_event()
        .await
        .is_some_and(|event| event.kind.type_name() != "node_status")
    {}
    drop(run);
    stopped.changed().await.unwrap();
    assert_eq!(log.lines(), [id]);
}

#[tokio::test(start_paused = true)]
async fn a_constant_that_cannot_be_passed_on_fails_its_node_and_ends_the_run() {
    let mut deep = graph(
        &[(1, "json-input"), (2, "json-input"), (3, "join")],
        &[(2, "json", 3, "a")],
    );
    let mut value = json("[]");
    while let Ok(deeper) = nodewire_json::Json::parse(format!("[{value}]")) {
        value = deeper;
    }
    // An object, which is wrapped into a list and an object more.
    let value = json(&format!(r#"{{"a": {}}}"#, value.elements().unwrap()[0]));
    deep.find_mut("1").unwrap().set_param("json", value);
    let (events, result) = run(joiner(), &deep, RunOptions::default()).await;
    assert_eq!(states(&result), ["1 error", "2 skipped", "3 skipped"]);
    assert_eq!(short(&events).last().unwrap(), "finished error");
}

#[tokio::test(start_paused = true)]
async fn times_beyond_all_reason_do_not_end_the_run() {
    let endless = Duration::MAX;
    let exec = Exec {
        retries: Some(1),
        retry_delay: Some(endless),
        retry_max_delay: Some(endless),
        timeout: Some(endless),
        start_timeout: Some(endless),
        ..Exec::default()
    };
    let attempts = std::sync::atomic::AtomicU32::new(0);
    let node = says_and_hangs(move |_| {
        match attempts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => vec![Report::error("no")],
            _ => vec![Report::running("x")],
        }
    });
    let nodes = InProcess::new().server(server("s"), [(definition("n", vec![], vec![]), node)]);
    let options = RunOptions {
        exec,
        abort_grace: endless,
        ..RunOptions::default()
    };
    let (_, result) = run(nodes, &graph(&[(1, "n")], &[]), options).await;
    let failed = result.node(1).unwrap();
    assert_eq!(
        (failed.attempts, failed.error.as_ref().unwrap().code),
        (2, NodeErrorCode::Timeout)
    );
}

#[tokio::test]
async fn a_run_that_breaks_ends_its_events() {
    let broken = says(|_| panic!("as this test wants"));
    let nodes = InProcess::new().server(server("s"), [(definition("n", vec![], vec![]), broken)]);
    let engine = nanocore::workflow::Engine::new(std::sync::Arc::new(nodes));
    let mut run = engine
        .start(&graph(&[(1, "n")], &[]), RunOptions::default())
        .unwrap();
    let events = async { while run.next_event().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(30), events)
        .await
        .unwrap();
    assert_eq!(run.result().await, Err(nanocore::workflow::RunLost));
}
