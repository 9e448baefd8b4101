//! What is not executed again: finished nodes of an earlier run, pins, results of the cache. And the log that says so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nanocore::assets::AssetId;
use nanocore::workflow::{
    AssetLinks, AssetNames, AssetStyle, CacheKey, CacheMode, Call, Engine, EventKind, FinishedStep,
    Graph, InProcess, NodeErrorCode, NodeState, Report, ResultCache, Run, RunCacheMode, RunOptions,
    RunStatus, Server, StepLog, StepLogError,
};
use nanograph::message::NodeDefinition;
use nodewire_json::Json;
use tokio_util::sync::CancellationToken;

use crate::support::*;

/// A server of known code with one node per definition, each of which logs its call and echoes its input.
fn echoing(log: &Log, server: Server, definitions: Vec<NodeDefinition>) -> InProcess {
    let node = |definition| {
        let log = log.clone();
        let handler = says(move |call: &Call| {
            log.add(format!("executed {}", call.request.node_id));
            vec![Report::complete(&text_output(&joined(call, "text")))]
        });
        (definition, handler)
    };
    InProcess::new().server(server, definitions.into_iter().map(node))
}

fn echo() -> NodeDefinition {
    definition(
        "echo",
        vec![optional("text", "string")],
        vec![port("text", "string")],
    )
}

fn known(uid: &str, epoch: &str) -> Server {
    Server {
        code_epoch: Some(epoch.to_owned()),
        ..server(uid)
    }
}

/// With keys that the definition must have in its text.
fn with_keys(definition: &NodeDefinition, keys: &str) -> NodeDefinition {
    let text = definition.to_json().to_string();
    NodeDefinition {
        raw: json(&text.replacen('{', &format!("{{{keys}, "), 1)),
        ..definition.clone()
    }
}

fn chain() -> Graph {
    graph(&[(1, "echo"), (2, "echo")], &[(1, "text", 2, "text")])
}

/// A step log that keeps nothing before `open`, and of some nodes never.
#[derive(Debug, Clone, Default)]
struct Steps {
    log: Log,
    steps: Arc<Mutex<Vec<FinishedStep>>>,
    open: CancellationToken,
    refused: Option<u64>,
}

impl StepLog for Steps {
    fn started(&self, node_id: u64, attempt: u32) {
        self.log.add(format!("started {node_id} {attempt}"));
    }

    fn starting(&self, node_id: u64, attempt: u32) -> BoxFuture<'static, Result<(), StepLogError>> {
        self.log.add(format!("starting {node_id} {attempt}"));
        let open = self.open.clone();
        async move {
            open.cancelled().await;
            Ok(())
        }
        .boxed()
    }

    fn finished(&self, step: FinishedStep) -> BoxFuture<'static, Result<(), StepLogError>> {
        self.log.add(format!("finished {}", step.node_id));
        let refused = self.refused == Some(step.node_id);
        self.steps.lock().unwrap().push(step);
        let open = self.open.clone();
        async move {
            open.cancelled().await;
            if refused {
                Err(StepLogError::new("the disk is full"))
            } else {
                Ok(())
            }
        }
        .boxed()
    }
}

fn logging(steps: &Steps) -> RunOptions {
    RunOptions {
        steps: Some(Arc::new(steps.clone())),
        ..RunOptions::default()
    }
}

/// Until nothing more happens: the clock is stopped while anything does.
async fn idle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_successor_waits_until_the_step_is_logged() {
    let steps = Steps::default();
    let nodes = echoing(&steps.log, server("s"), vec![echo()]);
    let mut chain = chain();
    chain.nodes[0].set_value("text", json(r#"["x"]"#));
    let mut run = Engine::new(Arc::new(nodes))
        .start(&chain, logging(&steps))
        .unwrap();
    idle().await;
    let first = ["started 1 1", "executed 1", "finished 1"];
    assert_eq!(steps.log.lines(), first);
    steps.open.cancel();
    while let Some(event) = run.next_event().await {
        if matches!(event.kind, EventKind::NodeComplete { .. }) {
            steps.log.add("told");
        }
    }
    let lines = steps.log.lines();
    assert_eq!(lines.iter().filter(|line| *line == "told").count(), 2);
    assert!(lines.contains(&"executed 2".to_owned()));
    let step = steps.steps.lock().unwrap().remove(0);
    let duration = step.duration;
    let expected = FinishedStep {
        node_id: 1,
        attempt: 1,
        server_uid: "s".to_owned(),
        inputs: json(r#"{"text": ["x"]}"#),
        outputs: text_output("x"),
        cached: false,
        duration,
    };
    assert_eq!(step, expected);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_cannot_be_logged_fails_its_node() {
    let steps = Steps {
        refused: Some(1),
        ..Steps::default()
    };
    steps.open.cancel();
    let nodes = echoing(&steps.log, server("s"), vec![echo()]);
    let (_, result) = run(nodes, &chain(), logging(&steps)).await;
    assert_eq!(states(&result), ["1 error", "2 skipped"]);
    let error = result.node(1).unwrap().error.clone().unwrap();
    assert_eq!(error.code, NodeErrorCode::StepNotLogged);
    assert!(error.message.contains("the disk is full"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_abort_does_not_wait_for_the_log_longer_than_for_nodes() {
    let steps = Steps::default();
    let nodes = echoing(&steps.log, server("s"), vec![echo()]);
    let run = Engine::new(Arc::new(nodes))
        .start(&chain(), logging(&steps))
        .unwrap();
    idle().await;
    run.abort_handle().abort();
    assert_eq!(
        states(&run.result().await.unwrap()),
        ["1 aborted", "2 aborted"]
    );
}

#[tokio::test(start_paused = true)]
async fn finished_nodes_are_not_executed_again_and_need_no_server() {
    let log = Log::default();
    let mut chain = chain();
    chain.nodes[0].uid = "of a server that is gone".to_owned();
    let options = RunOptions {
        finished: HashMap::from([(1, text_output("earlier"))]),
        ..RunOptions::default()
    };
    let (events, result) = run(echoing(&log, server("s"), vec![echo()]), &chain, options).await;
    let expected = [
        "started [2] reusing [1]",
        "2 dispatched",
        r#"2 complete {"text": ["earlier"]}"#,
        "finished complete",
    ];
    assert_eq!(short(&events), expected);
    assert_eq!(log.lines(), ["executed 2"]);
    let reused = result.node(1).unwrap();
    assert_eq!(
        (reused.state, reused.reused, reused.attempts),
        (NodeState::Complete, true, 0)
    );
    assert_eq!(reused.outputs, Some(text_output("earlier")));
}

#[tokio::test(start_paused = true)]
async fn a_pinned_node_has_the_outputs_that_the_graph_says() {
    let log = Log::default();
    let mut graph = graph(
        &[(1, "echo"), (2, "nobody has this"), (3, "echo")],
        &[(1, "text", 2, "text"), (2, "text", 3, "text")],
    );
    graph.nodes[1].pin = Some(text_output("pinned"));
    let graph = Graph::parse(graph.to_json().as_str()).unwrap();
    let options = RunOptions {
        targets: vec![3],
        ..RunOptions::default()
    };
    let (events, result) = run(echoing(&log, server("s"), vec![echo()]), &graph, options).await;
    let expected = [
        "started [2, 3]",
        r#"2 cached {"text": ["pinned"]}"#,
        "3 dispatched",
        r#"3 complete {"text": ["pinned"]}"#,
        "finished complete",
    ];
    assert_eq!(short(&events), expected);
    assert_eq!(states(&result), ["2 cached", "3 complete"]);
    assert_eq!((result.counts().cached, result.counts().complete), (1, 1));
}

#[derive(Debug, Default)]
struct Memory(Mutex<HashMap<CacheKey, Json>>);

impl ResultCache for Memory {
    fn get(&self, key: &CacheKey) -> BoxFuture<'static, Option<Json>> {
        std::future::ready(self.0.lock().unwrap().get(key).cloned()).boxed()
    }

    fn put(&self, key: CacheKey, outputs: &Json) {
        self.0.lock().unwrap().insert(key, outputs.clone());
    }
}

/// Runs over one cache.
#[derive(Debug, Default)]
struct Cached {
    cache: Arc<Memory>,
    log: Log,
}

impl Cached {
    fn options(&self, cache_mode: RunCacheMode) -> RunOptions {
        RunOptions {
            cache: Some(self.cache.clone()),
            cache_mode,
            ..RunOptions::default()
        }
    }

    /// How many nodes were executed.
    async fn executed(&self, server: Server, definition: NodeDefinition, graph: &Graph) -> usize {
        self.executed_with(RunCacheMode::Auto, server, definition, graph)
            .await
    }

    async fn executed_with(
        &self,
        mode: RunCacheMode,
        server: Server,
        definition: NodeDefinition,
        graph: &Graph,
    ) -> usize {
        let before = self.log.lines().len();
        let nodes = echoing(&self.log, server, vec![definition]);
        let (_, result) = run(nodes, graph, self.options(mode)).await;
        assert_eq!(result.status, RunStatus::Complete);
        self.log.lines().len() - before
    }
}

// spec: nanograph 18
#[tokio::test(start_paused = true)]
async fn unchanged_nodes_are_not_executed_again() {
    let cached = Cached::default();
    let mut chain = chain();
    chain.nodes[0].set_value("text", json(r#"["x"]"#));
    let nodes = || echoing(&cached.log, known("s", "1"), vec![echo()]);
    run(nodes(), &chain, cached.options(RunCacheMode::Auto)).await;
    let (events, result) = run(nodes(), &chain, cached.options(RunCacheMode::Auto)).await;
    let expected = [
        "started [1, 2]",
        r#"1 cached {"text": ["x"]}"#,
        r#"2 cached {"text": ["x"]}"#,
        "finished complete",
    ];
    assert_eq!(short(&events), expected);
    // Both nodes are the same and get the same: already in the first run one was enough.
    assert_eq!(cached.log.lines().len(), 1);
    assert_eq!(states(&result), ["1 cached", "2 cached"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_result_was_made_of_decides() {
    let cached = Cached::default();
    let mut graph = graph(&[(1, "echo")], &[]);
    graph.nodes[0].set_param("a", json(r#"{"x": 1, "y": ["é"]}"#));
    graph.nodes[0].set_param("b", json("2"));
    assert_eq!(cached.executed(known("s", "1"), echo(), &graph).await, 1);

    let mut same = graph.clone();
    same.nodes[0].id = 7;
    same.nodes[0].name = Some("label".to_owned());
    same.nodes[0].params.reverse();
    same.nodes[0].set_param("a", json("{\"y\":[ \"\\u00e9\" ],\"x\":1}"));
    let elsewhere = Server {
        uid: "other".to_owned(),
        ..known("s", "1")
    };
    assert_eq!(cached.executed(elsewhere, echo(), &same).await, 0);

    let mut changed = graph.clone();
    changed.nodes[0].set_param("b", json("3"));
    assert_eq!(cached.executed(known("s", "1"), echo(), &changed).await, 1);
    let mut changed = graph.clone();
    changed.nodes[0].set_value("text", json("[]"));
    assert_eq!(cached.executed(known("s", "1"), echo(), &changed).await, 1);
    let newer = NodeDefinition {
        version: "9".to_owned(),
        ..echo()
    };
    assert_eq!(cached.executed(known("s", "1"), newer, &graph).await, 1);
    assert_eq!(cached.executed(known("s", "2"), echo(), &graph).await, 1);
    assert_eq!(cached.executed(known("t", "1"), echo(), &graph).await, 1);
    assert_eq!(cached.executed(known("s", "1"), echo(), &graph).await, 0);
}

#[tokio::test(start_paused = true)]
async fn nodes_and_runs_say_what_may_be_used_again() {
    let twice = async |definition: NodeDefinition, server: Server, graph: &Graph| {
        let cached = Cached::default();
        let first = cached
            .executed(server.clone(), definition.clone(), graph)
            .await;
        first + cached.executed(server, definition, graph).await
    };
    let plain = graph(&[(1, "echo")], &[]);
    assert_eq!(twice(echo(), known("s", "1"), &plain).await, 1);
    assert_eq!(
        twice(echo(), server("s"), &plain).await,
        2,
        "its code is not known"
    );
    let refusing = with_keys(&echo(), r#""cache": false"#);
    assert_eq!(twice(refusing.clone(), known("s", "1"), &plain).await, 2);
    let without_outputs = definition("echo", vec![optional("text", "string")], vec![]);
    assert_eq!(twice(without_outputs, known("s", "1"), &plain).await, 2);

    for (name, value, executed) in [
        ("seed", "-1", 2),
        ("noise_seed", "-1.0", 2),
        ("seed", "1", 1),
        ("seeds", "-1", 1),
    ] {
        let mut seeded = plain.clone();
        seeded.nodes[0].set_param(name, json(value));
        let found = twice(echo(), known("s", "1"), &seeded).await;
        assert_eq!(found, executed, "{name} {value}");
    }
    let mut forced = plain.clone();
    forced.nodes[0].exec.cache = Some(CacheMode::Use);
    forced.nodes[0].set_param("seed", json("-1"));
    assert_eq!(twice(refusing, known("s", "1"), &forced).await, 1);
    let mut off = plain.clone();
    off.nodes[0].exec.cache = Some(CacheMode::Off);
    assert_eq!(twice(echo(), known("s", "1"), &off).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_can_refresh_results_or_leave_them_alone() {
    let cached = Cached::default();
    let graph = graph(&[(1, "echo")], &[]);
    let run = |mode| cached.executed_with(mode, known("s", "1"), echo(), &graph);
    assert_eq!(run(RunCacheMode::Off).await, 1);
    assert_eq!(cached.cache.0.lock().unwrap().len(), 0);
    assert_eq!(run(RunCacheMode::Refresh).await, 1);
    assert_eq!(cached.cache.0.lock().unwrap().len(), 1);
    assert_eq!(run(RunCacheMode::Refresh).await, 1);
    assert_eq!(run(RunCacheMode::Auto).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_found_result_is_logged_too() {
    let cached = Cached::default();
    let graph = graph(&[(1, "echo")], &[]);
    cached.executed(known("s", "1"), echo(), &graph).await;
    let steps = Steps::default();
    steps.open.cancel();
    let options = RunOptions {
        steps: Some(Arc::new(steps.clone())),
        ..cached.options(RunCacheMode::Auto)
    };
    run(
        echoing(&steps.log, known("s", "1"), vec![echo()]),
        &graph,
        options,
    )
    .await;
    assert_eq!(steps.log.lines(), ["finished 1"]);
    let steps = steps.steps.lock().unwrap();
    assert_eq!((steps[0].cached, steps[0].attempt), (true, 0));
}

/// A node that answers the nth call with the nth of these, once it may.
fn gated(log: &Log, gate: &CancellationToken, answers: Vec<Report>) -> InProcess {
    let (log, gate, answers) = (log.clone(), gate.clone(), Arc::new(Mutex::new(answers)));
    let handler = move |_: Call| {
        log.add("executed");
        let (gate, answers) = (gate.clone(), answers.clone());
        let answer = async move {
            gate.cancelled().await;
            answers.lock().unwrap().remove(0)
        };
        futures_util::StreamExt::boxed(futures_util::stream::once(answer))
    };
    InProcess::new().server(known("s", "1"), [(echo(), handler)])
}

/// Two runs of these equal nodes on one engine; one node is executing, the others wait for what becomes of it.
async fn two_runs(
    cached: &Cached,
    gate: &CancellationToken,
    answers: Vec<Report>,
    nodes: &[(u64, &str)],
) -> [Run; 2] {
    let engine = Engine::new(Arc::new(gated(&cached.log, gate, answers)));
    let graph = graph(nodes, &[]);
    let runs = [1, 2].map(|_| {
        engine
            .start(&graph, cached.options(RunCacheMode::Auto))
            .unwrap()
    });
    idle().await;
    assert_eq!(cached.log.lines().len(), 1);
    runs
}

#[tokio::test(start_paused = true)]
async fn identical_nodes_are_executed_once_also_in_two_runs() {
    let (cached, gate) = (Cached::default(), CancellationToken::new());
    let answers = vec![Report::complete(&text_output("once"))];
    let runs = two_runs(&cached, &gate, answers, &[(1, "echo"), (2, "echo")]).await;
    gate.cancel();
    let mut counts = Vec::new();
    for run in runs {
        let result = run.result().await.unwrap();
        assert_eq!(result.node(2).unwrap().outputs, Some(text_output("once")));
        counts.push((result.counts().complete, result.counts().cached));
    }
    assert_eq!(counts, [(1, 1), (0, 2)]);
    assert_eq!(cached.log.lines().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_that_fails_tries_for_itself() {
    let (cached, gate) = (Cached::default(), CancellationToken::new());
    let answers = vec![
        Report::error("broken"),
        Report::complete(&text_output("own")),
    ];
    let [first, second] = two_runs(&cached, &gate, answers, &[(1, "echo")]).await;
    gate.cancel();
    assert_eq!(first.result().await.unwrap().status, RunStatus::Error);
    let second = second.result().await.unwrap();
    assert_eq!(states(&second), ["1 complete"]);
    assert_eq!(cached.log.lines().len(), 2);
    assert_eq!(
        cached.cache.0.lock().unwrap().len(),
        1,
        "the failure is not kept"
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_that_is_aborted_tries_for_itself() {
    let (cached, gate) = (Cached::default(), CancellationToken::new());
    let answers = vec![Report::complete(&text_output("own"))];
    let [first, second] = two_runs(&cached, &gate, answers, &[(1, "echo")]).await;
    first.abort_handle().abort();
    assert_eq!(first.result().await.unwrap().status, RunStatus::Aborted);
    idle().await;
    assert_eq!(cached.log.lines().len(), 2);
    gate.cancel();
    assert_eq!(states(&second.result().await.unwrap()), ["1 complete"]);
}

const UUID: &str = "nanocore://local/asset/0d0b3a3e-6d1c-4a8e-9b62-3f1f5f0e9a77";
const HASH: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Knows one asset, as long as it does.
#[derive(Debug, Default)]
struct OneAsset(CancellationToken);

impl AssetLinks for OneAsset {
    fn find(&self, id: AssetId) -> Option<AssetNames> {
        let is_known = match id {
            AssetId::Uuid(uuid) => UUID.ends_with(&uuid.to_string()),
            AssetId::Hash(hash) => hash.to_string() == HASH,
        };
        (is_known && !self.0.is_cancelled()).then(|| AssetNames {
            uuid: UUID.to_owned(),
            hash: HASH.to_owned(),
        })
    }
}

// spec: nanograph 17.6
#[tokio::test(start_paused = true)]
async fn references_reach_a_server_in_its_own_style() {
    let values = |name: &str| json(&format!(r#"[{{"{name}": ["{name}", "not {name}", 1]}}]"#));
    for (style, given, expected) in [
        (Some(AssetStyle::Hash), UUID, HASH),
        (Some(AssetStyle::Uuid), HASH, UUID),
        (Some(AssetStyle::Hash), HASH, HASH),
        (None, UUID, UUID),
    ] {
        let log = Log::default();
        let seen = log.clone();
        let node = definition(
            "take",
            vec![
                port("any", "any"),
                port("asset", "asset:image"),
                port("text", "string"),
            ],
            vec![],
        );
        let handler = says(move |call: &Call| {
            seen.add(call.request.inputs.as_str());
            vec![Report::complete(&json("{}"))]
        });
        let server = Server {
            asset_style: style,
            ..server("s")
        };
        let mut graph = graph(&[(1, "take")], &[]);
        for name in ["any", "asset", "text"] {
            graph.nodes[0].set_value(name, values(given));
        }
        let options = RunOptions {
            assets: Some(Arc::new(OneAsset::default())),
            ..RunOptions::default()
        };
        run(
            InProcess::new().server(server, [(node, handler)]),
            &graph,
            options,
        )
        .await;
        let rewritten = format!(r#"[{{"{given}": ["{expected}", "not {given}", 1]}}]"#);
        let expected = format!(
            r#"{{"any": {rewritten}, "asset": {rewritten}, "text": {}}}"#,
            values(given)
        );
        assert_eq!(log.lines(), [expected], "{style:?} {given}");
    }
}

#[tokio::test(start_paused = true)]
async fn assets_are_known_by_their_content_and_must_still_be_there() {
    let cached = Cached::default();
    let assets = Arc::new(OneAsset::default());
    let executed = async |reference: &str| {
        let before = cached.log.lines().len();
        let mut graph = graph(&[(1, "echo")], &[]);
        graph.nodes[0].set_value("text", json(&format!(r#"["{reference}"]"#)));
        let options = RunOptions {
            assets: Some(assets.clone()),
            ..cached.options(RunCacheMode::Auto)
        };
        run(
            echoing(&cached.log, known("s", "1"), vec![echo()]),
            &graph,
            options,
        )
        .await;
        cached.log.lines().len() - before
    };
    assert_eq!(executed(UUID).await, 1);
    assert_eq!(executed(HASH).await, 0, "the same content");
    assert_eq!(executed(UUID).await, 0);
    assert_eq!(executed("nanocore://local/asset/unknown").await, 1);
    assets.0.cancel();
    assert_eq!(
        executed(HASH).await,
        1,
        "the result names an asset that is gone"
    );
}

#[tokio::test(start_paused = true)]
async fn what_must_not_run_twice_is_sent_once_that_is_logged_and_not_in_a_stopped_run() {
    let mut chain = chain();
    chain.nodes[0].set_value("text", json(r#"["x"]"#));
    chain.nodes[0].exec.idempotent = Some(false);
    for is_stopped in [false, true] {
        let steps = Steps::default();
        let nodes = echoing(&steps.log, server("s"), vec![echo()]);
        let run = Engine::new(Arc::new(nodes))
            .start(&chain, logging(&steps))
            .unwrap();
        idle().await;
        assert_eq!(steps.log.lines(), ["starting 1 1"]);
        if is_stopped {
            run.abort_handle().abort();
            idle().await;
        }
        steps.open.cancel();
        let result = run.result().await.unwrap();
        let executed = steps.log.lines().contains(&"executed 1".to_owned());
        assert_eq!(executed, !is_stopped);
        let expected = if is_stopped {
            RunStatus::Aborted
        } else {
            RunStatus::Complete
        };
        assert_eq!(result.status, expected);
    }
}
