//! Spans of a program.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::attributes::{cut, peer_text};
use crate::otlp;
use crate::otlp::{KeyValue, Resource, SpanKind, Status, StatusCode};
use crate::queue::{SpanCounts, SpanQueue};
use crate::sampler::Sampler;
use crate::trace_parent::TraceParent;

/// Makes spans. Clones are handles to the same queue, which outlives its exporter: then spans are counted as dropped.
#[derive(Debug, Clone)]
pub struct Tracer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Arc<SpanQueue>,
    resource: Arc<Resource>,
    sampler: Sampler,
}

/// What a span is about.
#[derive(Debug, Clone, Copy)]
pub struct SpanStart<'a> {
    /// Its name; what a peer chose is cut after 256 bytes.
    pub name: &'a str,
    /// Its part in a call.
    pub kind: SpanKind,
    /// The span that it is part of, here or elsewhere; without one it begins a trace.
    pub parent: Option<TraceParent>,
    /// W3C `tracestate` that came with the parent.
    pub trace_state: Option<&'a str>,
}

/// Something that takes time. It is exported when it ends; dropping it exports nothing.
#[derive(Debug)]
pub struct Span {
    tracer: Tracer,
    context: TraceParent,
    /// `None` if its trace is not recorded.
    recorded: Option<Box<Recorded>>,
}

#[derive(Debug)]
struct Recorded {
    span: otlp::Span,
    started_at: Instant,
}

impl Tracer {
    pub(crate) fn new(queue: Arc<SpanQueue>, resource: Resource, sampler: Sampler) -> Self {
        Self {
            shared: Arc::new(Shared {
                queue,
                resource: Arc::new(resource),
                sampler,
            }),
        }
    }

    /// What became of the spans of this and all clones so far.
    #[must_use]
    pub fn spans(&self) -> SpanCounts {
        self.shared.queue.counts()
    }

    /// A span that begins now.
    #[must_use]
    pub fn start(&self, start: SpanStart<'_>) -> Span {
        let new = match start.parent {
            Some(parent) => parent.child(),
            None => TraceParent::new_trace(false),
        };
        let is_recorded = self.shared.sampler.records(&new, start.parent.as_ref());
        let context = match start.parent {
            // Nobody will know of this span: what comes after it is part of the one before.
            Some(parent) if !is_recorded => parent.sampled(false),
            Some(_) | None => new.sampled(is_recorded),
        };
        Span {
            tracer: self.clone(),
            context,
            recorded: is_recorded.then(|| Box::new(Recorded::new(&start, context))),
        }
    }
}

impl Recorded {
    fn new(start: &SpanStart<'_>, context: TraceParent) -> Self {
        let parent = start.parent.map(|parent| parent.span_id().to_u64());
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let span = otlp::Span {
            trace_id: context.trace_id().to_u128().to_be_bytes().to_vec(),
            span_id: context.span_id().to_u64().to_be_bytes().to_vec(),
            trace_state: start.trace_state.map(cut).unwrap_or_default().to_owned(),
            parent_span_id: parent.map_or_else(Vec::new, |id| id.to_be_bytes().to_vec()),
            name: cut(start.name).to_owned(),
            kind: start.kind.into(),
            start_time_unix_nano: nanos(now.unwrap_or_default().as_nanos()),
            ..otlp::Span::default()
        };
        Self {
            span,
            started_at: Instant::now(),
        }
    }
}

impl Span {
    /// What whoever is called gets as `traceparent`.
    #[must_use]
    pub const fn context(&self) -> TraceParent {
        self.context
    }

    /// Whether it will be exported; if not, attributes need not be made.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    /// Adds attributes.
    pub fn add(&mut self, attributes: impl IntoIterator<Item = KeyValue>) {
        if let Some(recorded) = &mut self.recorded {
            recorded.span.attributes.extend(attributes);
        }
    }

    /// Adds a text, which is cut after 256 bytes.
    pub fn add_text(&mut self, key: &str, value: &str) {
        if let Some(recorded) = &mut self.recorded {
            recorded.span.attributes.push(peer_text(key, value));
        }
    }

    /// It ends now, well or with an error, whose text is cut after 256 bytes. Never waits.
    pub fn end(self, error: Option<&str>) {
        let Some(recorded) = self.recorded else {
            return;
        };
        let Recorded {
            mut span,
            started_at,
        } = *recorded;
        let took = nanos(started_at.elapsed().as_nanos());
        span.end_time_unix_nano = span.start_time_unix_nano.saturating_add(took);
        span.status = error.map(|message| Status {
            message: cut(message).to_owned(),
            code: StatusCode::Error.into(),
        });
        let shared = &self.tracer.shared;
        shared.queue.put(&shared.resource, span);
    }
}

fn nanos(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}
