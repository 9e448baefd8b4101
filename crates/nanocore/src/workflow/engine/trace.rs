//! Spans of a run and of its steps, and the trace that steps' requests name.

use std::sync::Arc;

use nanograph::message::{ExecutionRequest, StatusKind};
use nodewire_telemetry::attributes::integer;
use nodewire_telemetry::names::attribute;
use nodewire_telemetry::otlp::SpanKind;
use nodewire_telemetry::{Span, SpanStart, TraceParent, TraceState, Tracer};

use super::RunOptions;
use crate::workflow::invoker::{Call, Report};
use crate::workflow::result::RunResult;
use crate::workflow::scheduler::{ENVELOPE_BYTES, MAX_REQUEST_BYTES};

/// The trace of one run.
#[derive(Debug)]
pub(super) struct RunTrace {
    tracer: Option<Tracer>,
    run: Option<Span>,
    parent: Option<TraceParent>,
    state: Option<TraceState>,
    run_id: Arc<str>,
}

/// The span of one attempt of a node, if there is one. Dropping it before the end tells that nobody waited for the end.
#[derive(Debug, Default)]
pub(super) struct StepTrace(Option<Span>);

impl RunTrace {
    /// The run begins.
    pub(super) fn begin(options: &RunOptions, run_id: &Arc<str>) -> Self {
        let (tracer, parent) = (options.tracer.clone(), options.trace_parent);
        // It belongs to the parent.
        let state = options.trace_state.clone().filter(|_| parent.is_some());
        let run = tracer.as_ref().map(|tracer| {
            let mut run = tracer.start(SpanStart {
                name: "run",
                kind: SpanKind::Internal,
                parent,
                trace_state: state.as_ref().map(TraceState::as_str),
            });
            run.add_text(attribute::RUN, run_id);
            run
        });
        Self {
            tracer,
            parent: run.as_ref().map(Span::context).or(parent),
            run,
            state,
            run_id: run_id.clone(),
        }
    }

    /// A step is about to be sent: its request names the trace.
    pub(super) fn step(&self, call: &mut Call, node_id: u64, attempt: u32) -> StepTrace {
        let span = self.tracer.as_ref().map(|tracer| {
            let mut span = tracer.start(SpanStart {
                name: &call.request.node_uid,
                kind: SpanKind::Client,
                parent: self.parent,
                trace_state: self.state.as_ref().map(TraceState::as_str),
            });
            if span.is_recorded() {
                self.describe(&mut span, call, node_id, attempt);
            }
            span
        });
        let parent = span.as_ref().map(Span::context).or(self.parent);
        if let Some(parent) = parent.filter(|_| has_room(&call.request)) {
            call.request.trace_parent = Some(parent.to_string().into());
            let state = self.state.as_ref();
            call.request.trace_state = state.map(|state| state.as_str().into());
        }
        StepTrace(span)
    }

    fn describe(&self, span: &mut Span, call: &Call, node_id: u64, attempt: u32) {
        span.add_text(attribute::RUN, &self.run_id);
        span.add_text(attribute::NODE, &call.request.node_uid);
        span.add_text(attribute::SERVER, &call.server.uid);
        span.add([
            integer(
                attribute::STEP_NODE,
                i64::try_from(node_id).unwrap_or(i64::MAX),
            ),
            integer(attribute::STEP_ATTEMPT, i64::from(attempt)),
        ]);
    }

    /// The run has ended.
    pub(super) fn end(self, result: &RunResult) {
        let Some(mut run) = self.run else {
            return;
        };
        let outcome = result.status.as_str();
        run.add_text(attribute::OUTCOME, outcome);
        run.end((outcome == "error").then_some("a node failed"));
    }
}

impl StepTrace {
    /// What the server said of it; its first terminal word is the end.
    pub(super) fn report(&mut self, report: &Report) {
        match report {
            Report::Failed(error) => self.end("failed", Some(&error.message)),
            Report::Status(status) => match status.kind {
                StatusKind::Complete => self.end("completed", None),
                StatusKind::Error => {
                    let message = status.message.as_deref();
                    self.end("failed", Some(message.unwrap_or_default()));
                }
                StatusKind::Idle
                | StatusKind::Running
                | StatusKind::Missing
                | StatusKind::Other(_) => {}
            },
        }
    }

    /// The server was lost before it said how it ended.
    pub(super) fn lost(&mut self) {
        self.end("lost", Some("the node server was lost"));
    }

    fn end(&mut self, outcome: &str, error: Option<&str>) {
        if let Some(mut span) = self.0.take() {
            span.add_text(attribute::OUTCOME, outcome);
            span.end(error);
        }
    }
}

impl Drop for StepTrace {
    fn drop(&mut self) {
        self.end("given_up", Some("the run did not wait for its end"));
    }
}

/// A trace must not make a request too large that was not.
fn has_room(request: &ExecutionRequest) -> bool {
    let values = request.inputs.as_str().len() + request.graph_node.as_str().len();
    values + ENVELOPE_BYTES <= MAX_REQUEST_BYTES
}
