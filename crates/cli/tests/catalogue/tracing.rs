//! One trace, from the command to the node.

use nodewire::NodeServer;
use nodewire::nats::NatsConfig;
use nodewire::telemetry::{Endpoint, Telemetry, TelemetryConfig, TraceParent};
use nodewire_testkit::{CollectedSpan, CollectorManner, OtlpCollector};
use tokio::process::Command;

use crate::daemon::{Daemon, asked_until, embedded_url};
use crate::support::{Served, WIRES, any_command, ended, progress};

async fn collecting() -> (OtlpCollector, Telemetry) {
    // An error says that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let collector = OtlpCollector::start(CollectorManner::Takes).await.unwrap();
    let endpoint = Endpoint::parse(&collector.endpoint()).unwrap();
    let telemetry = Telemetry::start(TelemetryConfig::new(endpoint, "nodes")).unwrap();
    (collector, telemetry)
}

fn exporting(mut command: Command, collector: &OtlpCollector) -> Command {
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    command
}

/// The only span of a service.
fn of<'a>(spans: &'a [CollectedSpan], service: &str) -> &'a CollectedSpan {
    let found: Vec<_> = spans
        .iter()
        .filter(|span| span.service == service)
        .collect();
    let [span] = found.as_slice() else {
        panic!("{} of {service} in {spans:#?}", found.len());
    };
    span
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_begins_with_the_call_on_every_wire() {
    for wire in WIRES {
        let (collector, telemetry) = collecting().await;
        let served = Served::traced(&telemetry).await;
        let call = served.on(wire, &["call", "echo", "text=a"]);
        let told = ended(exporting(call, &collector)).await;
        assert_eq!(told.status, 0, "{wire}: {told:?}");
        served.stop().await;
        telemetry.stop().await;
        let spans = collector.spans();
        assert_eq!(spans.len(), 2, "{wire}: {spans:#?}");
        let (client, node) = (of(&spans, "nodewire-call"), of(&spans, "nodes"));
        assert_eq!(client.trace_id, node.trace_id, "{wire}");
        assert_eq!(client.parent_span_id, "", "{wire}");
        assert_eq!(node.parent_span_id, client.span_id, "{wire}");
        assert_eq!(client.name, "echo");
        assert_eq!(client.attributes["nodewire.wire"], wire);
        assert_eq!(client.attributes["nodewire.outcome"], "completed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_on_with_its_callers_trace_and_tells_of_failures() {
    let (collector, telemetry) = collecting().await;
    let served = Served::traced(&telemetry).await;
    let parent = TraceParent::new_trace(true);
    let mut call = exporting(served.on("nats", &["call", "echo"]), &collector);
    call.env("TRACEPARENT", parent.to_string());
    assert_eq!(ended(call).await.status, 1);
    // Without an exporter, the caller's goes to the node as it is.
    let mut call = served.on("nanograph", &["call", "progress"]);
    call.env("TRACEPARENT", parent.to_string());
    assert_eq!(ended(call).await.status, 0);
    served.stop().await;
    telemetry.stop().await;
    let spans = collector.spans();
    let client = of(&spans, "nodewire-call");
    assert_eq!(client.trace_id, parent.trace_id().to_string());
    assert_eq!(client.parent_span_id, parent.span_id().to_string());
    assert_eq!(client.attributes["error.type"], "invalid_input");
    assert!(
        client.error.as_ref().unwrap().contains("text"),
        "{client:?}"
    );
    let nodes: Vec<_> = spans
        .iter()
        .filter(|span| span.service == "nodes")
        .collect();
    assert_eq!(nodes.len(), 2, "{spans:#?}");
    for node in nodes {
        assert_eq!(node.trace_id, client.trace_id);
        let expected = match node.name.as_str() {
            "echo" => client.span_id.clone(),
            _ => parent.span_id().to_string(),
        };
        assert_eq!(node.parent_span_id, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_that_is_no_trace_context_is_refused_before_anybody_is_asked() {
    let (collector, telemetry) = collecting().await;
    let served = Served::traced(&telemetry).await;
    let garbage = [
        "garbage",
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
    ];
    for garbage in garbage {
        // There is nobody at this address: that would be another exit status.
        let arguments = [
            "call",
            "echo",
            "--nats",
            "127.0.0.1:1",
            "--traceparent",
            garbage,
        ];
        let told = ended(any_command(served.folder.path(), &arguments)).await;
        assert_eq!(told.status, 2, "{told:?}");
        let form = "this is no W3C traceparent: 00-<32 hex>-<16 hex>-<2 hex>";
        assert!(told.stderr.contains(form), "{told:?}");
    }
    // Others' mistakes in the environment do not matter, and the flag goes before it.
    let (parent, other) = (TraceParent::new_trace(true), TraceParent::new_trace(true));
    let given = parent.to_string();
    for (variable, flag) in [("garbage", None), (&*other.to_string(), Some(&*given))] {
        let mut call = served.on("nats", &["call", "progress"]);
        call.env("TRACEPARENT", variable);
        call.args(flag.iter().flat_map(|flag| ["--traceparent", flag]));
        let told = ended(call).await;
        assert_eq!(told.status, 0, "{told:?}");
    }
    served.stop().await;
    telemetry.stop().await;
    let spans = collector.spans();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    assert_eq!(spans[0].parent_span_id, "", "{spans:#?}");
    assert_eq!(spans[1].trace_id, parent.trace_id().to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_on_the_daemon_is_one_trace_from_the_command_to_the_node() {
    let (collector, telemetry) = collecting().await;
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), |command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    })
    .await;
    let builder = NodeServer::builder().node(progress()).telemetry(&telemetry);
    let config = NatsConfig::new("workers", "1.0.0", embedded_url(folder.path()));
    let server = Box::pin(builder.nats(config).build().unwrap().start())
        .await
        .unwrap();
    let register = any_command(folder.path(), &["register", "--nats", "workers"]);
    assert_eq!(ended(register).await.status, 0);
    let status = || any_command(folder.path(), &["status", "--json"]);
    asked_until(status, |told| told.stdout.contains("\"ready\"")).await;

    std::fs::write(
        folder.path().join("graph.json"),
        r#"{"nodes": [{"id": 1, "uid": "progress"}], "links": []}"#,
    )
    .unwrap();
    let run = ["run", "--daemon", "graph.json"];
    let told = ended(exporting(any_command(folder.path(), &run), &collector)).await;
    assert_eq!(told.status, 0, "{told:?}");
    daemon.stop().await;
    server.stop().await;
    telemetry.stop().await;
    let spans = collector.spans();
    let (client, node) = (of(&spans, "nodewire-run"), of(&spans, "nodes"));
    assert_eq!(node.trace_id, client.trace_id, "{spans:#?}");
    let orchestrator = spans
        .iter()
        .filter(|span| span.service == "nodewire-orchestrator");
    let orchestrator: Vec<_> = orchestrator.collect();
    assert!(
        orchestrator.len() >= 2
            && orchestrator
                .iter()
                .all(|span| span.trace_id == client.trace_id),
        "{spans:#?}"
    );
    assert!(
        orchestrator
            .iter()
            .any(|span| span.span_id == node.parent_span_id)
    );
}
