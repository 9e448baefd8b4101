//! The same things have the same names in Prometheus, at the orchestrator and at the node servers.

use std::time::Duration;

use nats_broker::Broker;
use nodewire::NodeServer;
use nodewire::telemetry::TraceParent;
use nodewire::telemetry::names::{ORCHESTRATOR, metric};

use crate::scene::{PATIENCE, Scene, address, nanograph_server, nats_server};
use crate::{Seen, collector, exporter};

/// The value of a sample, its labels in the order they are told in.
fn value<'t>(text: &'t str, sample: &str) -> Option<&'t str> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))
}

/// What both sides tell of one node.
fn samples(wire: &str, node: &str) -> Vec<String> {
    let labels = format!("wire=\"{wire}\",node=\"{node}\"");
    let mut samples = vec![
        format!("nodewire_accepted_total{{{labels}}}"),
        format!("nodewire_in_flight{{{labels}}}"),
    ];
    let outcomes = ["completed", "failed", "cancelled", "dropped"];
    let ended = |outcome| format!("nodewire_executions_total{{{labels},outcome=\"{outcome}\"}}");
    samples.extend(outcomes.map(ended));
    samples
}

/// `name kind` of each family.
fn families(text: &str) -> Vec<&str> {
    let lines = text.lines();
    lines
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_have_the_same_names_and_values_on_both_sides() {
    let collector = collector().await;
    let [orchestrator, servers] =
        ["orchestrator", "servers"].map(|name| exporter(&collector, name));
    let broker = Broker::builder().start().await.unwrap();
    let seen = Seen::default();
    let server = |node| seen.add_to(NodeServer::builder(), node).telemetry(&servers);
    let first = nanograph_server(server("first"), "server-one").await;
    let second = nats_server(server("second"), "workers", &broker.url()).await;
    let url = broker.url();
    let nats = Some(("server-two", "workers", url.as_str()));
    let one = [("server-one", address(&first))];
    let scene = Scene::start(&one, nats, Some(orchestrator.tracer())).await;
    for _ in 0..2 {
        let trace = TraceParent::new_trace(true).to_string();
        let run = scene.run(&["first", "second"], &trace).await;
        assert_eq!(run["status"], "complete", "{run}");
    }
    let text = scene.metrics().await;
    for (wire, node, server) in [("nanograph", "first", &first), ("nats", "second", &second)] {
        let completed = format!(
            "nodewire_executions_total{{wire=\"{wire}\",node=\"{node}\",outcome=\"completed\"}}"
        );
        // The server may tell of the end a moment before it counts it.
        let counted = async {
            while value(&server.metrics().unwrap(), &completed) != Some("2") {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, counted).await;
        in_time.expect("the server counts both");
        let there = server.metrics().unwrap();
        for sample in samples(wire, node) {
            let here = value(&text, &sample);
            assert!(here.is_some(), "{sample} is not in\n{text}");
            assert_eq!(here, value(&there, &sample), "{sample}\n{text}\n{there}");
        }
    }
    let there = first.metrics().unwrap();
    let there = families(&there);
    for family in families(&text) {
        let is_own = family.starts_with(&format!("{ORCHESTRATOR}_"));
        let is_shared = metric::ALL.iter().any(|name| family.starts_with(name));
        assert!(is_own != is_shared, "{family}");
        assert!(
            is_own || there.contains(&family),
            "{family} is not in {there:?}"
        );
    }
    for name in [
        metric::ACCEPTED,
        metric::EXECUTIONS,
        metric::IN_FLIGHT,
        metric::SPANS,
    ] {
        let has = families(&text)
            .iter()
            .any(|it| it.split(' ').next() == Some(name));
        assert!(has, "{name} is not in\n{text}");
    }
    scene.shutdown().await;
    first.stop().await;
    second.stop().await;
}
