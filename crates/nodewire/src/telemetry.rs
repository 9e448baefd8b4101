//! Traces: a span for each execution, on whatever wire it came, exported with OTLP; see [`nodewire_telemetry`], which is
//! here whole.
//!
//! As a program ([`NodeServer::run`](crate::NodeServer::run)) a server exports where OpenTelemetry's variables say
//! (`OTEL_EXPORTER_OTLP_ENDPOINT` and others: [`TelemetryConfig::from_variables`]) or `[telemetry]` of `nodewire.toml` does,
//! and nothing without them. Elsewhere
//! [`NodeServerBuilder::telemetry`](crate::NodeServerBuilder::telemetry) is given an exporter.
//!
//! An execution's span has the node's name, and is part of the trace that the request named
//! ([`capability`](crate::capability) says how each wire does). The handler finds it in
//! [`Context::trace_parent`](crate::Context::trace_parent), to pass on to whatever it calls.

pub(crate) mod settings;

use std::sync::{Mutex, PoisonError};

use nodewire_core::{Ended, ExecutionEvent, Observer, Submission, Watch};
use nodewire_telemetry::attributes::integer;
use nodewire_telemetry::names::attribute;
use nodewire_telemetry::otlp::SpanKind;

pub use nodewire_telemetry::*;

/// Makes a span of each execution.
#[derive(Debug)]
pub(crate) struct ExecutionTracer(pub(crate) Tracer);

impl Observer for ExecutionTracer {
    fn begin(&self, submission: &Submission<'_>) -> Option<Box<dyn Watch>> {
        let parent = submission.trace_parent.and_then(TraceParent::parse);
        let mut span = self.0.start(SpanStart {
            name: submission.node,
            kind: SpanKind::Server,
            parent,
            // Without a parent that can be read it says nothing.
            trace_state: parent.and(submission.trace_state),
        });
        if parent.is_some() && !span.is_recorded() {
            return None;
        }
        if span.is_recorded() {
            describe(&mut span, submission);
        }
        Some(Box::new(Traced {
            trace_parent: span.context().to_string(),
            span: Mutex::new(Some(span)),
        }))
    }
}

fn describe(span: &mut Span, submission: &Submission<'_>) {
    span.add_text(attribute::NODE, submission.node);
    span.add_text(attribute::EXECUTION, &submission.id.to_string());
    if let Some(origin) = submission.origin {
        span.add_text(attribute::WIRE, origin);
    }
    if !submission.caller_id.is_empty() {
        span.add_text(attribute::CALLER, submission.caller_id);
    }
}

/// An execution with a span.
struct Traced {
    trace_parent: String,
    /// Taken when it ends.
    span: Mutex<Option<Span>>,
}

impl Watch for Traced {
    fn trace_parent(&self) -> Option<&str> {
        Some(&self.trace_parent)
    }

    fn end(&self, ended: &Ended<'_>) {
        let span = self
            .span
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut span) = span.filter(Span::is_recorded) else {
            return;
        };
        let queue_time_us = i64::try_from(ended.queue_time.as_micros()).unwrap_or(i64::MAX);
        span.add([integer(attribute::QUEUE_TIME, queue_time_us)]);
        span.add_text(attribute::OUTCOME, outcome(ended.event));
        let error = error(ended.event, &mut span);
        span.end(error.as_deref());
    }
}

/// The same words as in metrics.
fn outcome(event: &ExecutionEvent) -> &'static str {
    match event {
        ExecutionEvent::Completed(_) => "completed",
        ExecutionEvent::Cancelled { .. } => "cancelled",
        ExecutionEvent::Dropped(_) => "dropped",
        ExecutionEvent::Failed(_)
        | ExecutionEvent::Accepted
        | ExecutionEvent::Started
        | ExecutionEvent::Progress(_)
        | ExecutionEvent::Partial(_) => "failed",
    }
}

/// That somebody cancelled it is no error of its own.
fn error(event: &ExecutionEvent, span: &mut Span) -> Option<String> {
    match event {
        ExecutionEvent::Failed(error) => {
            span.add_text(attribute::ERROR_TYPE, error.kind().name());
            Some(error.message().to_owned())
        }
        ExecutionEvent::Dropped(reason) => {
            span.add_text(attribute::ERROR_TYPE, reason.name());
            Some(reason.to_string())
        }
        ExecutionEvent::Completed(_)
        | ExecutionEvent::Cancelled { .. }
        | ExecutionEvent::Accepted
        | ExecutionEvent::Started
        | ExecutionEvent::Progress(_)
        | ExecutionEvent::Partial(_) => None,
    }
}
