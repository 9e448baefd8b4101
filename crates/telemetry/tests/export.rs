//! What reaches a collector, and what a collector that is in trouble costs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use nodewire_telemetry::otlp::SpanKind;
use nodewire_telemetry::{
    Endpoint, Sampler, Span, SpanStart, Telemetry, TelemetryConfig, TraceParent,
};
use nodewire_testkit::{CollectorManner, OtlpCollector};
use tokio::time::timeout;

/// Longer than anything takes; only a hang runs into it.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(endpoint: &str) -> TelemetryConfig {
    // An error says that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = TelemetryConfig::new(Endpoint::parse(endpoint).unwrap(), "a-service");
    config.span_interval = Duration::from_millis(20);
    config
}

fn start(telemetry: &Telemetry, parent: Option<TraceParent>) -> Span {
    telemetry.tracer().start(SpanStart {
        name: "work",
        kind: SpanKind::Internal,
        parent,
        trace_state: Some("vendor=1"),
    })
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, met)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn a_span_arrives_as_it_was() {
    let collector = OtlpCollector::start(CollectorManner::Takes).await.unwrap();
    let mut config = config(&collector.endpoint());
    config.headers = vec![("x-key".to_owned(), "s3cret".to_owned())];
    assert!(!format!("{config:?}").contains("s3cret"));
    let telemetry = Telemetry::start(config).unwrap();
    let mut parent = start(&telemetry, None);
    parent.add_text("key", &"long ".repeat(100));
    let child = start(&telemetry, Some(parent.context()));
    let (parent_id, child_id) = (parent.context(), child.context());
    assert_eq!(parent_id.trace_id(), child_id.trace_id());
    child.end(Some("it went wrong"));
    parent.end(None);
    let spans = collector.until(|spans| spans.len() == 2).await.unwrap();
    let [child, parent] = spans.as_slice() else {
        panic!("{spans:?}");
    };
    assert_eq!(child.service, "a-service");
    assert_eq!(child.trace_id, parent_id.trace_id().to_string());
    assert_eq!(child.parent_span_id, parent.span_id);
    assert_eq!(parent.parent_span_id, "");
    assert_eq!(child.error.as_deref(), Some("it went wrong"));
    assert_eq!(parent.error, None);
    assert_eq!(parent.attributes["key"].len(), 256);
    assert_eq!(parent.trace_state, "vendor=1");
    assert_eq!(collector.last_header("x-key").as_deref(), Some("s3cret"));
    telemetry.stop().await;
    assert_eq!(telemetry.spans().exported, 2);
}

#[tokio::test]
async fn what_is_not_recorded_is_passed_on_as_such() {
    let collector = OtlpCollector::start(CollectorManner::Takes).await.unwrap();
    let mut config = config(&collector.endpoint());
    config.sampler = Sampler {
        ratio: 0.0,
        follows_parent: true,
    };
    let telemetry = Telemetry::start(config).unwrap();
    let own = start(&telemetry, None);
    assert!(!own.is_recorded() && !own.context().is_sampled());
    let unsampled = TraceParent::new_trace(false);
    let theirs = start(&telemetry, Some(unsampled));
    assert_eq!(theirs.context(), unsampled, "nobody knows of another span");
    let recorded = start(&telemetry, Some(TraceParent::new_trace(true)));
    assert!(recorded.is_recorded() && recorded.context().is_sampled());
    [own, theirs, recorded]
        .into_iter()
        .for_each(|span| span.end(None));
    telemetry.stop().await;
    assert_eq!(collector.spans().len(), 1);
}

#[tokio::test]
async fn a_full_queue_drops_and_counts() {
    let collector = OtlpCollector::start(CollectorManner::Hangs).await.unwrap();
    let mut config = config(&collector.endpoint());
    (config.span_queue_max, config.span_batch_max) = (4, 2);
    config.flush_timeout = Duration::from_millis(50);
    let telemetry = Telemetry::start(config).unwrap();
    // The exporter holds a batch and hangs.
    start(&telemetry, None).end(None);
    until("an export", || collector.requests() == 1).await;
    (0..10).for_each(|_| start(&telemetry, None).end(None));
    assert_eq!(telemetry.spans().dropped, 6);
    timeout(PATIENCE, telemetry.stop())
        .await
        .expect("a bounded flush");
    let counts = telemetry.spans();
    assert_eq!((counts.exported, counts.failed, counts.dropped), (0, 5, 6));
    start(&telemetry, None).end(None);
    assert_eq!(telemetry.spans().dropped, 7, "after the end");
}

#[tokio::test]
async fn a_collector_that_comes_late_gets_what_waited() {
    let collector = OtlpCollector::start(CollectorManner::Answers(503))
        .await
        .unwrap();
    let telemetry = Telemetry::start(config(&collector.endpoint())).unwrap();
    start(&telemetry, None).end(None);
    until("a failure", || telemetry.exports().failed > 0).await;
    collector.set(CollectorManner::Takes);
    until("an export", || telemetry.spans().exported == 1).await;
    telemetry.stop().await;
    let counts = telemetry.spans();
    assert_eq!((counts.dropped, counts.failed, counts.rejected), (0, 0, 0));
}

#[tokio::test]
async fn nobody_listening_and_refusals_are_counted() {
    let telemetry = Telemetry::start(config("http://127.0.0.1:1")).unwrap();
    start(&telemetry, None).end(None);
    timeout(PATIENCE, telemetry.stop())
        .await
        .expect("a bounded flush");
    assert_eq!(telemetry.spans().failed, 1);

    let collector = OtlpCollector::start(CollectorManner::Rejects(1))
        .await
        .unwrap();
    let telemetry = Telemetry::start(config(&collector.endpoint())).unwrap();
    (0..3).for_each(|_| start(&telemetry, None).end(None));
    telemetry.stop().await;
    let counts = telemetry.spans();
    assert_eq!((counts.exported, counts.rejected), (2, 1));

    collector.set(CollectorManner::Answers(400));
    let telemetry = Telemetry::start(config(&collector.endpoint())).unwrap();
    start(&telemetry, None).end(None);
    telemetry.stop().await;
    assert_eq!(telemetry.spans().failed, 1);
    assert_eq!(telemetry.exports().failed, 1, "for good, so not again");
}
