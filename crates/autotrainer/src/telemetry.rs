//! Metrics and traces of commands and events, exported with OTLP over HTTP. spec: autotrainer 12
//!
//! ```
//! use autotrainer_api::telemetry::{NotStarted, Settings, Start, Telemetry};
//! use autotrainer_api::{DeviceOptions, Service};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options: DeviceOptions = serde_json::from_str(r#"{"rpc": {}, "telemetry": {"enable": true}}"#)?;
//! let settings = Settings {
//!     // What a program reads from OTEL_EXPORTER_OTLP_ENDPOINT; here, nothing.
//!     fallback_endpoint: None,
//!     ..Settings::default()
//! };
//! let mut builder = Service::builder();
//! match Telemetry::start(options.telemetry.as_ref(), settings)? {
//!     Start::Started(telemetry) => builder = builder.telemetry(&telemetry),
//!     Start::NotStarted(why) => assert_eq!(why, NotStarted::NoEndpoint),
//! }
//! # let _ = builder;
//! # Ok(())
//! # }
//! ```
//!
//! The service counts anyway, so metrics are read from its counts when they are exported, the histogram of durations
//! included, and cost requests nothing. A span is made when a command is answered, put into a bounded queue, and exported
//! by a task of its own: a collector that refuses, hangs or is not there costs spans, which are counted, and nothing else.
//!
//! A [`Telemetry`] belongs to whoever starts it; nothing is global. The reference keeps the first configuration of a
//! process when it is asked again; here a program shares its one by cloning it.

mod metrics;
mod rate;
mod source;
mod spans;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use nodewire_telemetry::{Endpoint, ExportSetupError, Exporter, ExporterOptions, SpanQueue};
use thiserror::Error;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::service::TelemetryOptions;
pub(crate) use metrics::MetricsWriter;
use source::Sources;
pub(crate) use source::{Observable, Source, SpanContext};

/// Exports metrics and traces. Clones are handles to the same exporter.
///
/// Once the last clone is dropped, it ends at once, without [`Self::stop`]'s flush.
#[derive(Debug, Clone)]
pub struct Telemetry {
    shared: Arc<Shared>,
    tasks: Arc<Tasks>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    queue: Arc<SpanQueue>,
    sources: Sources,
    exporter: Arc<Exporter>,
    messages_not_sampled: Arc<Counter>,
    sources_refused: Counter,
}

#[derive(Debug)]
struct Tasks {
    stop: CancellationToken,
    /// Cancelled once everything is flushed or given up.
    ended: CancellationToken,
    _abort_when_dropped: DropGuard,
}

/// What can be chosen beyond the options. All bounds are at least 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to export if the options do not say: what the program read from `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fallback_endpoint: Option<String>,
    /// Spans that may wait; 4096. Further ones are dropped and counted.
    pub span_queue_max: usize,
    /// Spans of one export; 512.
    pub span_batch_max: usize,
    /// How long a span waits at most until it is exported; 5 s.
    pub span_interval: Duration,
    /// The time between exports of metrics; 60 s.
    pub metrics_interval: Duration,
    /// How long one export may take; 10 s.
    pub export_timeout: Duration,
    /// How often a batch of spans is exported again when the collector is not there or asks for it; 3. Metrics are not:
    /// the next export tells all of them.
    pub retries_max: u32,
    /// How long [`Telemetry::stop`] may take; 5 s.
    pub flush_timeout: Duration,
    /// Spans of published messages, each second and service; 100. A device may publish 100,000 a second, and a span
    /// costs more than a publication: so those of a usual device all have one, and a flood is a sample of itself. The
    /// others are counted. 0 is none.
    pub message_spans_per_second_max: u32,
    /// Services and remotes that are observed at the same time; 64.
    pub sources_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            fallback_endpoint: None,
            span_queue_max: 4096,
            span_batch_max: 512,
            span_interval: Duration::from_secs(5),
            metrics_interval: Duration::from_secs(60),
            export_timeout: Duration::from_secs(10),
            retries_max: 3,
            flush_timeout: Duration::from_secs(5),
            message_spans_per_second_max: 100,
            sources_max: 64,
        }
    }
}

/// What came of [`Telemetry::start`].
#[derive(Debug)]
pub enum Start {
    /// It exports.
    Started(Telemetry),
    /// Nobody wants it, or there is nowhere to export to.
    NotStarted(NotStarted),
}

/// Why there is no telemetry, though nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotStarted {
    /// There are no options.
    #[error("there are no telemetry options")]
    NoOptions,
    /// The options do not enable it.
    #[error("telemetry is not enabled")]
    NotEnabled,
    /// Neither the options nor the program name a collector.
    #[error(
        "telemetry is enabled, but there is no endpoint; set telemetry.endpoint or OTEL_EXPORTER_OTLP_ENDPOINT"
    )]
    NoEndpoint,
}

/// Telemetry is wanted and cannot be had. The endpoint and the key are not part of the message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The endpoint is no URL of a collector.
    #[error("the telemetry endpoint {0}")]
    Endpoint(&'static str),
    /// The key cannot be part of an HTTP header.
    #[error("telemetry.api_key has characters that no HTTP header can have")]
    ApiKey,
    /// The program has no TLS provider.
    #[error("no TLS provider is installed; install one of rustls before telemetry is started")]
    NoTlsProvider,
    /// The HTTP client cannot be had.
    #[error("telemetry has no HTTP client: {0}")]
    Client(String),
    /// It was started outside of a tokio runtime.
    #[error("telemetry is started outside of a tokio runtime; start it inside of one")]
    NoRuntime,
}

/// What an exporter has counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TelemetryCounts {
    /// Spans that the collector took.
    pub spans_exported: u64,
    /// Spans that found the queue full.
    pub spans_dropped: u64,
    /// Spans that were given up because they could not be exported.
    pub spans_failed: u64,
    /// Spans that the collector says it did not take.
    pub spans_rejected: u64,
    /// Published messages that have no span because there were too many.
    pub messages_not_sampled: u64,
    /// Exports that were taken, of spans and of metrics.
    pub exports: u64,
    /// Exports that failed, each attempt.
    pub exports_failed: u64,
    /// Services and remotes that are not observed because there were too many.
    pub sources_refused: u64,
}

impl Telemetry {
    /// Starts to export, if the options want it. Two tasks run from then on.
    ///
    /// # Errors
    /// See [`TelemetryError`]. That nobody listens at the endpoint is none: collectors come and go.
    pub fn start(
        options: Option<&TelemetryOptions>,
        settings: Settings,
    ) -> Result<Start, TelemetryError> {
        let Some(options) = options else {
            return Ok(Start::NotStarted(NotStarted::NoOptions));
        };
        if !options.enable {
            return Ok(Start::NotStarted(NotStarted::NotEnabled));
        }
        let named = [&options.endpoint, &settings.fallback_endpoint];
        let named = named.into_iter().flatten().map(|endpoint| endpoint.trim());
        let Some(endpoint) = named.into_iter().find(|endpoint| !endpoint.is_empty()) else {
            return Ok(Start::NotStarted(NotStarted::NoEndpoint));
        };
        let endpoint = Endpoint::parse(endpoint)?;
        Self::export_to(&endpoint, &options.api_key, settings).map(Start::Started)
    }

    fn export_to(
        endpoint: &Endpoint,
        api_key: &str,
        settings: Settings,
    ) -> Result<Self, TelemetryError> {
        let runtime = tokio::runtime::Handle::try_current();
        let runtime = runtime.map_err(|_| TelemetryError::NoRuntime)?;
        let stop = CancellationToken::new();
        let exporter = exporter(endpoint, api_key, &settings, stop.clone())?;
        let shared = Arc::new(Shared {
            queue: Arc::new(SpanQueue::new(
                settings.span_queue_max,
                settings.span_batch_max,
            )),
            sources: Sources::new(settings.sources_max),
            exporter: Arc::clone(&exporter),
            messages_not_sampled: Arc::default(),
            sources_refused: Counter::default(),
            settings,
        });
        let (ended, abort) = (CancellationToken::new(), CancellationToken::new());
        let run = tasks::run(
            Arc::clone(&shared),
            exporter,
            stop.clone(),
            ended.clone().drop_guard(),
        );
        let aborted = abort.clone();
        runtime.spawn(async move {
            tokio::select! {
                biased;
                () = aborted.cancelled() => {}
                () = run => {}
            }
        });
        let tasks = Arc::new(Tasks {
            stop,
            ended,
            _abort_when_dropped: abort.drop_guard(),
        });
        Ok(Self { shared, tasks })
    }

    /// Exports what is there and ends, after [`Settings::flush_timeout`] at the latest; what is not exported by then is
    /// counted as failed. Stop services first, so that all of what they did is told. If the future is dropped, it ends
    /// all the same.
    pub async fn stop(&self) {
        self.tasks.stop.cancel();
        self.tasks.ended.cancelled().await;
    }

    /// What it has counted so far.
    #[must_use]
    pub fn counts(&self) -> TelemetryCounts {
        self.shared.counts()
    }

    /// `None` if too many are observed, or it has stopped.
    pub(crate) fn observe(
        &self,
        identifier: &str,
        version: &str,
        observable: Box<dyn Observable>,
    ) -> Option<Arc<Source>> {
        let source = Source::new(
            identifier,
            version,
            &self.shared.queue,
            &self.shared.messages_not_sampled,
            self.shared.settings.message_spans_per_second_max,
        );
        let source = Arc::new(source);
        if self.shared.sources.add(&source, observable) {
            return Some(source);
        }
        self.shared.sources_refused.add(1);
        tracing::warn!("telemetry observes too many services; this one is left out");
        None
    }
}

impl Shared {
    fn counts(&self) -> TelemetryCounts {
        let (spans, exports) = (self.queue.counts(), self.exporter.counts());
        TelemetryCounts {
            spans_exported: spans.exported,
            spans_dropped: spans.dropped,
            spans_failed: spans.failed,
            spans_rejected: spans.rejected,
            messages_not_sampled: self.messages_not_sampled.value(),
            exports: exports.taken,
            exports_failed: exports.failed,
            sources_refused: self.sources_refused.value(),
        }
    }
}

fn exporter(
    endpoint: &Endpoint,
    api_key: &str,
    settings: &Settings,
    stop: CancellationToken,
) -> Result<Arc<Exporter>, TelemetryError> {
    let token = |key: &str| ("authorization".to_owned(), format!("Bearer {key}"));
    let headers: Vec<_> = Some(api_key)
        .filter(|key| !key.is_empty())
        .map(token)
        .into_iter()
        .collect();
    let options = ExporterOptions {
        timeout: settings.export_timeout,
        retries_max: settings.retries_max,
    };
    Ok(Arc::new(Exporter::new(endpoint, &headers, options, stop)?))
}

impl From<ExportSetupError> for TelemetryError {
    fn from(error: ExportSetupError) -> Self {
        match error {
            ExportSetupError::Endpoint(problem) => Self::Endpoint(problem),
            ExportSetupError::Header => Self::ApiKey,
            ExportSetupError::NoTlsProvider => Self::NoTlsProvider,
            ExportSetupError::Client(problem) => Self::Client(problem),
            other => Self::Client(other.to_string()),
        }
    }
}

#[derive(Debug, Default)]
struct Counter(std::sync::atomic::AtomicU64);

impl Counter {
    fn add(&self, count: u64) {
        self.0
            .fetch_add(count, std::sync::atomic::Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}
