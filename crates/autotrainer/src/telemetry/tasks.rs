//! When what is exported.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::DropGuard;

use super::export::Exporter;
use super::metrics::MetricsWriter;
use super::otlp::{
    MetricsRequest, Resource, ResourceMetrics, ResourceSpans, Scope, ScopeMetrics, ScopeSpans,
    TracesRequest,
};
use super::queue::Finished;
use super::source::{new_resource, unix_ns};
use super::{Counters, Shared};

/// Shorter times would keep it busy with nothing.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Until it shall stop and everything is exported, or the time for that is over.
pub(super) async fn run(
    shared: Arc<Shared>,
    exporter: Exporter,
    stop: tokio_util::sync::CancellationToken,
    ended: DropGuard,
) {
    // Told even if this is aborted.
    let _told = ended;
    let _closed = CloseQueue(&shared);
    let too_late = async {
        stop.cancelled().await;
        sleep(shared.settings.flush_timeout).await;
    };
    let export = async {
        tokio::join!(
            export_spans(&shared, &exporter, &stop),
            export_metrics(&shared, &exporter, &stop)
        )
    };
    tokio::select! {
        biased;
        _ = export => {}
        () = too_late => tracing::warn!("telemetry was not flushed in time"),
    }
}

/// Whatever is left when it ends is counted.
struct CloseQueue<'shared>(&'shared Shared);

impl Drop for CloseQueue<'_> {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

async fn export_spans(
    shared: &Shared,
    exporter: &Exporter,
    stop: &tokio_util::sync::CancellationToken,
) {
    let interval = shared.settings.span_interval.max(INTERVAL_MIN);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = shared.queue.filled() => {}
            () = sleep(interval) => {}
        }
        export_batch(shared, exporter).await;
    }
    while export_batch(shared, exporter).await {}
}

/// `false` if there was nothing.
async fn export_batch(shared: &Shared, exporter: &Exporter) -> bool {
    let batch = shared.queue.take();
    if batch.is_empty() {
        return false;
    }
    let spans = batch.len() as u64;
    let mut in_flight = InFlight {
        counters: &shared.counters,
        spans,
    };
    if let Some(rejected) = exporter.traces(&traces_request(batch)).await {
        in_flight.spans = 0;
        let rejected = rejected.min(spans);
        shared.counters.spans_rejected.add(rejected);
        shared.counters.spans_exported.add(spans - rejected);
    }
    true
}

/// Spans that have failed unless somebody says otherwise.
struct InFlight<'counters> {
    counters: &'counters Counters,
    spans: u64,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.counters.spans_failed.add(self.spans);
    }
}

fn traces_request(batch: Vec<Finished>) -> TracesRequest {
    let mut by_resource: Vec<(Arc<Resource>, Vec<_>)> = Vec::new();
    for Finished { resource, span } in batch {
        let known = by_resource
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, &resource));
        match known {
            Some((_, spans)) => spans.push(span),
            None => by_resource.push((resource, vec![span])),
        }
    }
    let spans_of = |(resource, spans): (Arc<Resource>, _)| ResourceSpans {
        resource: Some(Resource::clone(&resource)),
        scope_spans: vec![ScopeSpans {
            scope: Some(scope()),
            spans,
        }],
    };
    TracesRequest {
        resource_spans: by_resource.into_iter().map(spans_of).collect(),
    }
}

async fn export_metrics(
    shared: &Shared,
    exporter: &Exporter,
    stop: &tokio_util::sync::CancellationToken,
) {
    let itself = Itself {
        resource: new_resource(),
        started_unix_ns: unix_ns(SystemTime::now()),
    };
    let interval = shared.settings.metrics_interval.max(INTERVAL_MIN);
    let mut ticks = interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
        }
        let request = metrics_request(shared, &itself);
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = exporter.metrics(&request) => {}
        }
    }
    exporter.metrics(&metrics_request(shared, &itself)).await;
}

/// The exporter's own counts have a resource of their own.
struct Itself {
    resource: Resource,
    started_unix_ns: u64,
}

fn metrics_request(shared: &Shared, itself: &Itself) -> MetricsRequest {
    let mut metrics = MetricsWriter::new(itself.started_unix_ns, unix_ns(SystemTime::now()));
    write_own(&shared.counters, &mut metrics);
    let own = (Arc::new(itself.resource.clone()), metrics.finish());
    let all = shared.sources.collect().into_iter().chain([own]);
    let metrics_of = |(resource, metrics): (Arc<Resource>, _)| ResourceMetrics {
        resource: Some(Resource::clone(&resource)),
        scope_metrics: vec![ScopeMetrics {
            scope: Some(scope()),
            metrics,
        }],
    };
    MetricsRequest {
        resource_metrics: all.map(metrics_of).collect(),
    }
}

fn write_own(counters: &Counters, metrics: &mut MetricsWriter) {
    let counts = counters.snapshot();
    metrics.by(
        "autotrainer.telemetry.spans",
        "Spans, by what became of them",
        "outcome",
        [
            ("exported", counts.spans_exported),
            ("dropped", counts.spans_dropped),
            ("failed", counts.spans_failed),
            ("rejected", counts.spans_rejected),
        ],
    );
    metrics.counter(
        "autotrainer.telemetry.messages_not_sampled",
        "Published messages without a span, because there were too many",
        "{message}",
        counts.messages_not_sampled,
    );
    metrics.by(
        "autotrainer.telemetry.exports",
        "Exports, by whether the collector took them",
        "outcome",
        [("taken", counts.exports), ("failed", counts.exports_failed)],
    );
}

fn scope() -> Scope {
    Scope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
