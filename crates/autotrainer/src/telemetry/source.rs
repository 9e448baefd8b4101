//! What is observed: services and remotes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nodewire_telemetry::attributes::{cut, text};
use nodewire_telemetry::otlp::{KeyValue, Metric, Resource, Span, SpanKind, Status, StatusCode};
use nodewire_telemetry::{SpanQueue, TraceParent};
use uuid::Uuid;

use super::Counter;
use super::metrics::MetricsWriter;
use super::rate::Rate;

/// What tells its counts whenever metrics are exported.
pub(crate) trait Observable: Send + std::fmt::Debug {
    fn observe(&self, source: &Source, metrics: &mut MetricsWriter);

    /// It counts no more.
    fn is_gone(&self) -> bool;
}

/// One service or remote: a resource of its own, so that several of one program are told apart.
#[derive(Debug)]
pub(crate) struct Source {
    resource: Arc<Resource>,
    queue: Arc<SpanQueue>,
    messages_not_sampled: Arc<Counter>,
    started_unix_ns: u64,
    durations_sum_ns: AtomicU64,
    messages: Rate,
}

/// What names a span.
pub(crate) type SpanContext = TraceParent;

/// A span that has just ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) kind: SpanKind,
    pub(super) parent: Option<SpanContext>,
    pub(super) took: Duration,
    /// `Some` if it failed.
    pub(super) error: Option<String>,
    pub(super) attributes: Vec<KeyValue>,
}

impl Source {
    pub(super) fn new(
        identifier: &str,
        version: &str,
        queue: &Arc<SpanQueue>,
        messages_not_sampled: &Arc<Counter>,
        messages_per_second_max: u32,
    ) -> Self {
        let mut resource = new_resource();
        resource.attributes.extend([
            text("service.version", version),
            text("autotrainer.identifier", identifier),
        ]);
        Self {
            resource: Arc::new(resource),
            queue: Arc::clone(queue),
            messages_not_sampled: Arc::clone(messages_not_sampled),
            started_unix_ns: unix_ns(SystemTime::now()),
            durations_sum_ns: AtomicU64::new(0),
            messages: Rate::new(messages_per_second_max),
        }
    }

    pub(super) const fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    pub(super) fn add_duration(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.durations_sum_ns.fetch_add(took, Ordering::Relaxed);
    }

    pub(crate) fn durations_sum_s(&self) -> f64 {
        Duration::from_nanos(self.durations_sum_ns.load(Ordering::Relaxed)).as_secs_f64()
    }

    /// Whether the next message may have a span; counted if not.
    pub(crate) fn samples_message(&self) -> bool {
        let is_sampled = self.messages.take(Instant::now());
        if !is_sampled {
            self.messages_not_sampled.add(1);
        }
        is_sampled
    }

    /// Queues a span that ends now.
    pub(super) fn end(&self, ended: Ended) -> SpanContext {
        let parent = ended.parent;
        let context = parent.map_or_else(|| TraceParent::new_trace(true), |parent| parent.child());
        let id_bytes = |of: TraceParent| of.span_id().to_u64().to_be_bytes().to_vec();
        let now = SystemTime::now();
        let start = now.checked_sub(ended.took).unwrap_or(now);
        let status = ended.error.map(|message| Status {
            message: cut(&message).to_owned(),
            code: StatusCode::Error.into(),
        });
        let span = Span {
            trace_id: context.trace_id().to_u128().to_be_bytes().to_vec(),
            span_id: id_bytes(context),
            parent_span_id: parent.map_or_else(Vec::new, id_bytes),
            name: ended.name,
            kind: ended.kind.into(),
            start_time_unix_nano: unix_ns(start),
            end_time_unix_nano: unix_ns(now),
            attributes: ended.attributes,
            status,
            ..Span::default()
        };
        self.queue.put(&self.resource, span);
        context
    }
}

/// spec: autotrainer 12
pub(super) fn new_resource() -> Resource {
    Resource {
        attributes: vec![
            text("service.name", "auto-trainer"),
            text("service.instance.id", Uuid::new_v4().to_string()),
        ],
    }
}

pub(super) fn unix_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// All that is observed.
#[derive(Debug)]
pub(super) struct Sources {
    observed: Mutex<Vec<Observed>>,
    sources_max: usize,
}

#[derive(Debug)]
struct Observed {
    source: Arc<Source>,
    observable: Box<dyn Observable>,
}

impl Sources {
    pub(super) fn new(sources_max: usize) -> Self {
        Self {
            observed: Mutex::new(Vec::new()),
            sources_max: sources_max.max(1),
        }
    }

    /// `false` if there are too many.
    pub(super) fn add(&self, source: &Arc<Source>, observable: Box<dyn Observable>) -> bool {
        let mut observed = self.lock();
        let has_room = observed.len() < self.sources_max;
        if has_room {
            observed.push(Observed {
                source: Arc::clone(source),
                observable,
            });
        }
        has_room
    }

    /// What all have counted; what is gone tells it once more, and is forgotten.
    pub(super) fn collect(&self) -> Vec<(Arc<Resource>, Vec<Metric>)> {
        let mut observed = self.lock();
        let now = unix_ns(SystemTime::now());
        let mut collected = Vec::new();
        observed.retain(|each| {
            // Asked first: what is gone by now counts no more afterwards.
            let is_gone = each.observable.is_gone();
            let mut metrics = MetricsWriter::new(each.source.started_unix_ns, now);
            each.observable.observe(&each.source, &mut metrics);
            collected.push((Arc::clone(each.source.resource()), metrics.finish()));
            !is_gone
        });
        collected
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Observed>> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
