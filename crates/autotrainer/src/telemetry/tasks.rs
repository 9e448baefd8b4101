//! When what is exported.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::DropGuard;

use nodewire_telemetry::Exporter;
use nodewire_telemetry::otlp::{MetricsRequest, Resource, ResourceMetrics, Scope, ScopeMetrics};

use super::Shared;
use super::metrics::MetricsWriter;
use super::source::{new_resource, unix_ns};

/// Shorter times would keep it busy with nothing.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Until it shall stop and everything is exported, or the time for that is over.
pub(super) async fn run(
    shared: Arc<Shared>,
    exporter: Arc<Exporter>,
    stop: tokio_util::sync::CancellationToken,
    ended: DropGuard,
) {
    // Told even if this is aborted.
    let _told = ended;
    let too_late = async {
        stop.cancelled().await;
        sleep(shared.settings.flush_timeout).await;
    };
    let (scope, interval) = (scope(), shared.settings.span_interval);
    let export = async {
        tokio::join!(
            shared.queue.export(&exporter, &scope, interval, &stop),
            export_metrics(&shared, &exporter, &stop)
        )
    };
    tokio::select! {
        biased;
        _ = export => {}
        () = too_late => tracing::warn!("telemetry was not flushed in time"),
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
    write_own(shared, &mut metrics);
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

fn write_own(shared: &Shared, metrics: &mut MetricsWriter) {
    let counts = shared.counts();
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
