//! Spans for requests, and the context that joins them to those of other programs. spec: nats-micro 14.2

mod baggage;
mod context;
mod traceparent;
mod tracestate;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Empty, display};
use tracing::{Instrument, Span, info_span};

use super::outcome::{EndWatch, Outcome, code};
use super::{Middleware, Next};
use crate::request::Request;
use crate::response::Response;

use context::Extracted;
pub use context::TraceContext;

/// Opens a span for each request, within the caller's trace if the request says which that is (W3C Trace Context), and
/// leaves a [`TraceContext`] for the handler: in [`Request::extension`] and, within the handler's own task, in
/// [`TraceContext::current`].
///
/// A request without a context, or with one that cannot be read, begins a new trace; it is never refused for that. The
/// span is named `{service} {endpoint}` (`otel.name`), its kind is `server`, and its status is `ERROR` after an error
/// reply, a panic or a cancellation. It is a span of the `tracing` package at level `INFO`: without a subscriber it costs
/// little, and the context is passed on all the same.
///
/// Nothing of the context is put into the reply.
///
/// ```
/// use nats_micro::middleware::{TraceContext, Tracing};
/// use nats_micro::{HeaderMap, Request, Service};
///
/// let builder = Service::builder("shop", "1.0.0").middleware(Tracing::new());
///
/// async fn order(request: Request) {
///     let mut headers = HeaderMap::new();
///     if let Some(context) = request.extension::<TraceContext>() {
///         // What is called with these headers belongs to the same trace.
///         context.inject(&mut headers);
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Tracing {
    sample_new: bool,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    invalid_contexts: AtomicU64,
    dropped_headers: AtomicU64,
}

impl Default for Tracing {
    fn default() -> Self {
        Self::new()
    }
}

impl Tracing {
    /// New traces are marked as sampled.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sample_new: true,
            counts: Arc::default(),
        }
    }

    /// Whether new traces are marked as sampled. Traces that a caller began keep their mark.
    #[must_use]
    pub const fn sample_new(mut self, sampled: bool) -> Self {
        self.sample_new = sampled;
        self
    }

    /// How many requests had a `traceparent` that cannot be read, and began a new trace.
    #[must_use]
    pub fn invalid_contexts(&self) -> u64 {
        self.counts.invalid_contexts.load(Ordering::Relaxed)
    }

    /// How many times a `tracestate` or `baggage` that is malformed or too large was left out.
    #[must_use]
    pub fn dropped_headers(&self) -> u64 {
        self.counts.dropped_headers.load(Ordering::Relaxed)
    }

    fn context(&self, request: &Request) -> TraceContext {
        let extracted = Extracted::from_headers(request.headers());
        if extracted.invalid_parent {
            self.counts.invalid_contexts.fetch_add(1, Ordering::Relaxed);
        }
        if extracted.dropped_headers > 0 {
            self.counts
                .dropped_headers
                .fetch_add(extracted.dropped_headers, Ordering::Relaxed);
        }
        extracted.into_server_context(self.sample_new)
    }
}

impl Middleware for Tracing {
    async fn handle(&self, mut request: Request, next: Next) -> Response {
        let context = self.context(&request);
        let span = server_span(&request, &context);
        request.extensions_mut().insert(context.clone());
        let recorded = span.clone();
        let watch = EndWatch::new(&request, move |outcome, response| {
            record(&recorded, outcome, response);
        });
        let handling = next.run(request).instrument(span);
        let response = context.scope(handling).await;
        watch.ended(&response);
        response
    }
}

fn server_span(request: &Request, context: &TraceContext) -> Span {
    let endpoint = request.endpoint();
    let span = info_span!(
        target: "nats_micro::trace",
        "nats_micro.request",
        otel.name = Empty,
        otel.kind = "server",
        otel.status_code = Empty,
        otel.status_description = Empty,
        messaging.system = "nats",
        messaging.operation.type = "process",
        messaging.destination.name = endpoint.subject,
        service.instance.id = request.service_id(),
        trace_id = Empty,
        span_id = Empty,
        parent_span_id = Empty,
        reply.code = Empty,
        outcome = Empty,
    );
    if !span.is_disabled() {
        let name = format_args!("{} {}", request.service_name(), endpoint.name);
        span.record("otel.name", display(name));
        span.record("trace_id", display(context.trace_id_hex()));
        span.record("span_id", display(context.span_id_hex()));
        if let Some(parent) = context.parent_span_id_hex() {
            span.record("parent_span_id", display(parent));
        }
    }
    span
}

fn record(span: &Span, outcome: Outcome, response: Option<&Response>) {
    span.record("outcome", outcome.as_str());
    if let Some(code) = response.and_then(code) {
        span.record("reply.code", code);
    }
    let description = match outcome {
        Outcome::Reply | Outcome::Streamed | Outcome::Silent => return,
        Outcome::Error(_) => response
            .and_then(Response::error)
            .map_or("", |error| error.description()),
        Outcome::Panicked => "the handler panicked",
        Outcome::Cancelled => "cancelled",
    };
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", description);
}
