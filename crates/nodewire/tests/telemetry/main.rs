//! Traces and metrics of a server: the same on every wire.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod asking;
mod metrics;
mod open_metrics;
mod served;

use std::time::Duration;

use nats_broker::Broker;
use nodewire::autotrainer::AutotrainerConfig;
use nodewire::capability::{Feature, Support, Wire, support};
use nodewire::nats::NatsConfig;
use nodewire::nnrp::NnrpConfig;
use nodewire::telemetry::{Endpoint, Telemetry, TelemetryConfig, TraceParent};
use nodewire::{NodeServer, RunningServer};
use nodewire_testkit::{CollectorManner, OtlpCollector};

use crate::asking::{ask, over_http};
use crate::served::{Seen, on_two_wires};

/// Longer than anything takes; only a hang runs into it.
const PATIENCE: Duration = Duration::from_secs(60);

/// All but MCP, whose traces its own tests see.
const WIRES: [Wire; 5] = [
    Wire::Nanograph,
    Wire::Nats,
    Wire::Autotrainer,
    Wire::Nnrp,
    Wire::Http,
];

async fn collecting(change: impl FnOnce(&mut TelemetryConfig)) -> (OtlpCollector, Telemetry) {
    // An error says that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let collector = OtlpCollector::start(CollectorManner::Takes).await.unwrap();
    let endpoint = Endpoint::parse(&collector.endpoint()).unwrap();
    let mut config = TelemetryConfig::new(endpoint, "nodes");
    change(&mut config);
    (collector, Telemetry::start(config).unwrap())
}

/// On all of [`WIRES`].
async fn traced_server(seen: &Seen, telemetry: &Telemetry, broker_url: &str) -> RunningServer {
    let mut autotrainer = AutotrainerConfig::new("traced");
    (autotrainer.event_port, autotrainer.command_port) = (0, 0);
    // Who asks over it waits for one.
    autotrainer.heartbeat_interval = Duration::from_millis(100);
    let builder = seen.add_to(NodeServer::builder(), "trace");
    let builder = on_two_wires(builder.telemetry(telemetry), "traced")
        .nats(NatsConfig::new("traced", "1.0.0", broker_url))
        .autotrainer(autotrainer)
        .nnrp(NnrpConfig::insecure_loopback(0));
    Box::pin(builder.build().unwrap().start()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wire_carries_the_trace_to_the_handler() {
    let (collector, telemetry) = collecting(|_| {}).await;
    let broker = Broker::builder().start().await.unwrap();
    let url = broker.url();
    let seen = Seen::default();
    let server = traced_server(&seen, &telemetry, &url).await;
    let mut handlers = Vec::new();
    for wire in WIRES {
        let has_place = !matches!(support(wire, Feature::TraceContext), Support::No(_));
        assert!(has_place, "{wire} says that it has none");
        let parent = TraceParent::new_trace(true);
        ask(wire, &server, &url, &parent).await;
        let handler = seen.take();
        assert_eq!(handler.len(), 1, "{wire}");
        assert_eq!(handler[0].trace_id(), parent.trace_id(), "{wire}");
        assert_ne!(handler[0].span_id(), parent.span_id(), "{wire}");
        handlers.push((wire, parent, handler[0]));
    }
    server.stop().await;
    telemetry.stop().await;
    let spans = collector.spans();
    assert_eq!(spans.len(), WIRES.len(), "{spans:#?}");
    for (span, (wire, parent, handler)) in spans.iter().zip(handlers) {
        assert_eq!(span.attributes["nodewire.wire"], wire.name());
        assert_eq!(span.trace_id, parent.trace_id().to_string(), "{wire}");
        assert_eq!(span.parent_span_id, parent.span_id().to_string(), "{wire}");
        assert_eq!(span.span_id, handler.span_id().to_string(), "{wire}");
        assert_eq!(
            (span.name.as_str(), span.service.as_str()),
            ("trace", "nodes")
        );
        assert_eq!(span.attributes["nodewire.outcome"], "completed");
        assert!(span.attributes["nodewire.execution.id"].starts_with('e'));
        assert_eq!(span.error, None);
    }
    drop(broker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_caller_does_not_record_is_not_recorded_here() {
    let (collector, telemetry) = collecting(|_| {}).await;
    let seen = Seen::default();
    let builder = seen
        .add_to(NodeServer::builder(), "trace")
        .telemetry(&telemetry);
    let builder = on_two_wires(builder, "traced");
    let server = Box::pin(builder.build().unwrap().start()).await.unwrap();
    let address = server.http_address().unwrap();
    let unsampled = TraceParent::new_trace(false);
    over_http(address, "trace", Some(&unsampled)).await;
    assert_eq!(seen.take(), [unsampled], "as it came");
    over_http(address, "trace", None).await;
    let own = seen.take();
    assert!(own.len() == 1 && own[0].is_sampled(), "{own:?}");
    server.stop().await;
    telemetry.stop().await;
    let spans = collector.spans();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    assert_eq!(spans[0].span_id, own[0].span_id().to_string());
    assert_eq!(spans[0].parent_span_id, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_hangs_holds_up_no_execution() {
    let (collector, telemetry) = collecting(|config| {
        (config.span_queue_max, config.span_batch_max) = (8, 4);
        config.flush_timeout = Duration::from_millis(50);
    })
    .await;
    collector.set(CollectorManner::Hangs);
    let seen = Seen::default();
    let builder = seen
        .add_to(NodeServer::builder(), "trace")
        .telemetry(&telemetry);
    let builder = on_two_wires(builder, "traced");
    let server = Box::pin(builder.build().unwrap().start()).await.unwrap();
    for _ in 0..50 {
        over_http(server.http_address().unwrap(), "trace", None).await;
    }
    assert_eq!(server.executor().counters().completed, 50);
    let text = server.metrics().unwrap();
    server.stop().await;
    telemetry.stop().await;
    let spans = telemetry.spans();
    assert_eq!(spans.exported, 0, "{spans:?}");
    assert_eq!(spans.dropped + spans.failed, 50, "{spans:?}");
    assert!(spans.dropped > 0, "{spans:?}");
    let told = format!(
        "nodewire_telemetry_spans_total{{outcome=\"dropped\"}} {}",
        spans.dropped
    );
    assert!(text.contains(&told), "{told}: {text}");
}
