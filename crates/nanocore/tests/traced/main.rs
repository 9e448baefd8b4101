//! One trace, from the client that submits a run through the orchestrator to the nodes: over Nanograph and over NATS, and
//! past node servers of the Python SDKs, which know nothing of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod metrics;
mod scene;

use std::sync::{Arc, Mutex};

use nats_broker::Broker;
use nodewire::telemetry::{Endpoint, Telemetry, TelemetryConfig, TraceParent};
use nodewire::{
    Context, NodeDefinition, NodeServer, NodeServerBuilder, Outputs, Port, Value, node_fn,
};
use nodewire_testkit::{
    CollectedSpan, CollectorManner, OtlpCollector, PythonNodeServer, SdkVersion,
};
use scene::{Scene, nanograph_server, nats_server};

/// The traces that a node was called in, with what tracing systems added to them.
#[derive(Debug, Clone, Default)]
struct Seen {
    parents: Arc<Mutex<Vec<TraceParent>>>,
    states: Arc<Mutex<Vec<String>>>,
}

impl Seen {
    /// A node that notes them.
    fn add_to(&self, builder: NodeServerBuilder, uid: &str) -> NodeServerBuilder {
        let seen = self.clone();
        let definition = NodeDefinition::builder(uid)
            .input(Port::new("text", "string").optional())
            .output(Port::new("text", "string"))
            .build()
            .unwrap();
        builder.node(node_fn(definition, move |context: Context| {
            let parent = context.trace_parent().and_then(TraceParent::parse);
            seen.parents.lock().unwrap().extend(parent);
            let state = context.trace_state().map(str::to_owned);
            seen.states.lock().unwrap().extend(state);
            std::future::ready(Ok(Outputs::new().with("text", Value::from("seen"))))
        }))
    }

    fn take(&self) -> Vec<TraceParent> {
        std::mem::take(&mut self.parents.lock().unwrap())
    }

    fn take_states(&self) -> Vec<String> {
        std::mem::take(&mut self.states.lock().unwrap())
    }
}

async fn collector() -> OtlpCollector {
    // An error says that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    OtlpCollector::start(CollectorManner::Takes).await.unwrap()
}

fn exporter(collector: &OtlpCollector, service: &str) -> Telemetry {
    let endpoint = Endpoint::parse(&collector.endpoint()).unwrap();
    Telemetry::start(TelemetryConfig::new(endpoint, service)).unwrap()
}

/// The only span that is so.
fn one(spans: &[CollectedSpan], is_so: impl Fn(&CollectedSpan) -> bool) -> &CollectedSpan {
    let found: Vec<_> = spans.iter().filter(|span| is_so(span)).collect();
    let [span] = found.as_slice() else {
        panic!("{} of {spans:#?}", found.len());
    };
    span
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_one_trace_from_its_client_to_the_nodes_of_two_servers() {
    let collector = collector().await;
    let names = ["orchestrator", "server-one", "server-two"];
    let exporters = names.map(|name| exporter(&collector, name));
    let [orchestrator, one_exporter, two_exporter] = &exporters;
    let broker = Broker::builder().start().await.unwrap();
    let seen = Seen::default();
    let server =
        |node: &str, exporter| seen.add_to(NodeServer::builder(), node).telemetry(exporter);
    let first = nanograph_server(server("first", one_exporter), "server-one").await;
    let second = nats_server(server("second", two_exporter), "workers", &broker.url()).await;
    let servers = [("server-one", scene::address(&first))];
    let url = broker.url();
    let nats = Some(("server-two", "workers", url.as_str()));
    let scene = Scene::start(&servers, nats, Some(orchestrator.tracer())).await;
    let client = TraceParent::new_trace(true);
    let run = scene.run(&["first", "second"], &client.to_string()).await;
    assert_eq!(run["status"], "complete", "{run}");
    scene.shutdown().await;
    first.stop().await;
    second.stop().await;
    for exporter in &exporters {
        exporter.stop().await;
    }
    let spans = collector.spans();
    assert_eq!(spans.len(), 5, "{spans:#?}");
    let trace_id = client.trace_id().to_string();
    assert!(
        spans.iter().all(|span| span.trace_id == trace_id),
        "{spans:#?}"
    );
    let run = one(&spans, |span| span.name == "run");
    assert_eq!(run.service, "orchestrator");
    assert_eq!(run.parent_span_id, client.span_id().to_string());
    assert_eq!(run.attributes["nodewire.outcome"], "complete");
    for (server, node, wire) in [
        ("server-one", "first", "nanograph"),
        ("server-two", "second", "nats"),
    ] {
        let step = one(&spans, |span| {
            span.service == "orchestrator" && span.name == node
        });
        let execution = one(&spans, |span| span.service == server);
        assert_eq!(step.parent_span_id, run.span_id);
        assert_eq!(step.attributes["nodewire.server"], server);
        assert_eq!(step.attributes["nodewire.outcome"], "completed");
        assert_eq!(execution.name, node);
        assert_eq!(execution.parent_span_id, step.span_id);
        assert_eq!(execution.attributes["nodewire.wire"], wire);
    }
    let seen: Vec<_> = seen.take().iter().map(TraceParent::trace_id).collect();
    assert_eq!(seen, [client.trace_id(); 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_exporter_the_clients_trace_reaches_the_nodes_as_it_came() {
    let seen = Seen::default();
    let builder = seen.add_to(NodeServer::builder(), "first");
    let server = nanograph_server(builder, "server-one").await;
    let servers = [("server-one", scene::address(&server))];
    let scene = Scene::start(&servers, None, None).await;
    let client = TraceParent::new_trace(true);
    let run = scene.run(&["first"], &client.to_string()).await;
    assert_eq!(run["status"], "complete", "{run}");
    assert_eq!(run["options"]["traceparent"], client.to_string());
    assert_eq!(seen.take(), [client]);
    assert_eq!(seen.take_states(), [""; 0]);
    // A header that is none of the standard counts as none.
    let run = scene.run(&["first"], "nonsense").await;
    assert_eq!(run["status"], "complete", "{run}");
    assert_eq!(seen.take(), []);
    scene.shutdown().await;
    server.stop().await;
}

/// What tracing systems add to a trace goes with it, on either wire, with an exporter and without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_of_a_trace_goes_with_it() {
    let collector = collector().await;
    let exporter = exporter(&collector, "orchestrator");
    let broker = Broker::builder().start().await.unwrap();
    let seen = Seen::default();
    let first = seen.add_to(NodeServer::builder(), "first");
    let first = nanograph_server(first, "server-one").await;
    let second = seen.add_to(NodeServer::builder(), "second");
    let second = nats_server(second, "workers", &broker.url()).await;
    let servers = [("server-one", scene::address(&first))];
    let url = broker.url();
    let client = TraceParent::new_trace(true);
    for tracer in [None, Some(exporter.tracer())] {
        let nats = Some(("server-two", "workers", url.as_str()));
        let scene = Scene::start(&servers, nats, tracer).await;
        let nodes = ["first", "second"];
        let both = format!("traceparent: {client}\r\ntracestate: a=1\r\ntracestate: b@c=2\r\n");
        let run = scene.run_with(&nodes, &both).await;
        assert_eq!(run["status"], "complete", "{run}");
        assert_eq!(run["options"]["tracestate"], "a=1,b@c=2");
        assert_eq!(seen.take_states(), ["a=1,b@c=2"; 2]);
        assert_eq!(seen.take().len(), 2);
        // Alone it says nothing; one that is too long is left out, and the trace goes on.
        let alone = "tracestate: a=1\r\n";
        let long = format!(
            "traceparent: {client}\r\ntracestate: {}\r\n",
            "x".repeat(513)
        );
        for headers in [alone, &long] {
            let run = scene.run_with(&nodes, headers).await;
            assert_eq!(run["status"], "complete", "{run}");
            assert_eq!(seen.take_states(), [""; 0], "{headers}");
            let in_trace = seen.take();
            let is_traced = headers != alone || tracer.is_some();
            assert_eq!(in_trace.len(), if is_traced { 2 } else { 0 }, "{headers}");
        }
        scene.shutdown().await;
    }
    first.stop().await;
    second.stop().await;
    exporter.stop().await;
    let spans = collector.spans();
    let of_client = |span: &&CollectedSpan| span.trace_state == "a=1,b@c=2";
    // The run and its two steps.
    assert_eq!(spans.iter().filter(of_client).count(), 3, "{spans:#?}");
}

async fn a_server_of_the_python_sdk_is_none_the_wiser(version: SdkVersion) {
    let collector = collector().await;
    let orchestrator = exporter(&collector, "orchestrator");
    let server = PythonNodeServer::start(version).await.unwrap();
    let servers = [("trace-server", server.url())];
    let scene = Scene::start(&servers, None, Some(orchestrator.tracer())).await;
    let client = TraceParent::new_trace(true);
    let headers = format!("traceparent: {client}\r\ntracestate: vendor=1\r\n");
    let run = scene.run_with(&["inspect"], &headers).await;
    assert_eq!(run["status"], "complete", "{run}");
    let shown = run["nodes"][0]["outputs"].to_string();
    assert!(!shown.contains("vendor=1"), "{shown}");
    assert!(!shown.contains(&client.trace_id().to_string()), "{shown}");
    scene.shutdown().await;
    orchestrator.stop().await;
    let spans = collector.spans();
    let step = one(&spans, |span| span.name == "inspect");
    assert_eq!(step.trace_id, client.trace_id().to_string());
    assert_eq!(step.attributes["nodewire.outcome"], "completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_0_1_22_is_none_the_wiser() {
    a_server_of_the_python_sdk_is_none_the_wiser(SdkVersion::V0_1_22).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_0_2_3_is_none_the_wiser() {
    a_server_of_the_python_sdk_is_none_the_wiser(SdkVersion::V0_2_3).await;
}
