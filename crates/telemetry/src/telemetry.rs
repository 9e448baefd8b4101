//! [`Telemetry`]: the exporter of a program, from start to flush.

use std::sync::Arc;

use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::attributes::text;
use crate::config::TelemetryConfig;
use crate::error::TelemetryError;
use crate::export::{ExportCounts, Exporter, ExporterOptions};
use crate::otlp::{Resource, Scope};
use crate::queue::{SpanCounts, SpanQueue};
use crate::span::Tracer;

/// Exports spans. Clones are handles to the same exporter. Once the last is dropped it ends at once, without
/// [`Self::stop`]'s flush.
#[derive(Debug, Clone)]
pub struct Telemetry {
    tracer: Tracer,
    queue: Arc<SpanQueue>,
    exporter: Arc<Exporter>,
    task: Arc<Task>,
}

#[derive(Debug)]
struct Task {
    stop: CancellationToken,
    /// Cancelled once everything is exported or given up.
    ended: CancellationToken,
    _abort_when_dropped: DropGuard,
}

impl Telemetry {
    /// Starts to export: a task runs from then on.
    ///
    /// # Errors
    /// See [`TelemetryError`]. That nobody listens at the endpoint is none: collectors come and go.
    pub fn start(config: TelemetryConfig) -> Result<Self, TelemetryError> {
        let runtime = tokio::runtime::Handle::try_current();
        let runtime = runtime.map_err(|_| TelemetryError::NoRuntime)?;
        let stop = CancellationToken::new();
        let options = ExporterOptions {
            timeout: config.export_timeout,
            retries_max: config.retries_max,
        };
        let exporter = Exporter::new(&config.endpoint, &config.headers, options, stop.clone())?;
        let exporter = Arc::new(exporter);
        let queue = Arc::new(SpanQueue::new(config.span_queue_max, config.span_batch_max));
        let tracer = Tracer::new(Arc::clone(&queue), resource(&config), config.sampler);
        let (ended, abort) = (CancellationToken::new(), CancellationToken::new());
        let run = run(
            (Arc::clone(&queue), Arc::clone(&exporter)),
            config,
            stop.clone(),
            ended.clone().drop_guard(),
        );
        runtime.spawn(abort.clone().run_until_cancelled_owned(run));
        Ok(Self {
            tracer,
            queue,
            exporter,
            task: Arc::new(Task {
                stop,
                ended,
                _abort_when_dropped: abort.drop_guard(),
            }),
        })
    }

    /// What makes spans for it.
    #[must_use]
    pub const fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// What became of spans so far.
    #[must_use]
    pub fn spans(&self) -> SpanCounts {
        self.queue.counts()
    }

    /// Attempts to export so far.
    #[must_use]
    pub fn exports(&self) -> ExportCounts {
        self.exporter.counts()
    }

    /// Exports what is there and ends, after [`TelemetryConfig::flush_timeout`] at the latest; what is not exported by
    /// then is counted as failed.
    ///
    /// # Cancel safety
    /// It ends all the same.
    pub async fn stop(&self) {
        self.task.stop.cancel();
        self.task.ended.cancelled().await;
    }
}

/// Until it shall stop and everything is exported, or the time for that is over.
async fn run(
    (queue, exporter): (Arc<SpanQueue>, Arc<Exporter>),
    config: TelemetryConfig,
    stop: CancellationToken,
    ended: DropGuard,
) {
    // Told even if this is aborted.
    let _told = ended;
    let scope = Scope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let too_late = async {
        stop.cancelled().await;
        sleep(config.flush_timeout).await;
    };
    tokio::select! {
        biased;
        () = queue.export(&exporter, &scope, config.span_interval, &stop) => {}
        () = too_late => tracing::warn!("telemetry was not flushed in time"),
    }
}

fn resource(config: &TelemetryConfig) -> Resource {
    let mut attributes = vec![
        text("service.name", config.service_name.as_str()),
        text(
            "service.instance.id",
            format!("{:032x}", fastrand::u128(..)),
        ),
        text("telemetry.sdk.name", "nodewire"),
        text("telemetry.sdk.language", "rust"),
        text("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ];
    for (key, value) in &config.resource {
        match attributes.iter_mut().find(|known| known.key == *key) {
            Some(known) => *known = text(key, value.as_str()),
            None => attributes.push(text(key, value.as_str())),
        }
    }
    Resource { attributes }
}
