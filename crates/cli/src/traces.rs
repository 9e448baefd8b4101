//! Traces of what a command does, exported where OpenTelemetry's variables say.

use nodewire_telemetry::otlp::SpanKind;
use nodewire_telemetry::{Span, SpanStart, Telemetry, TelemetryConfig, TraceParent, Tracer};

use crate::terminal;

/// Where a program that calls another says which trace it is in, as OpenTelemetry's specification has it.
const TRACE_PARENT: &str = "TRACEPARENT";

/// A command's exporter of traces, if there is one.
#[derive(Debug)]
pub(crate) struct Traces(Option<Telemetry>);

impl Traces {
    /// Starts to export if the environment says so. A mistake there is told, and no reason not to go on.
    pub(crate) fn start(service_name: &str) -> Self {
        let started = TelemetryConfig::from_variables(variable, service_name)
            .and_then(|config| config.map(Telemetry::start).transpose());
        Self(started.unwrap_or_else(|error| {
            let warning = terminal::warning_word();
            terminal::say(format_args!("{warning} traces are not exported: {error}"));
            None
        }))
    }

    /// What makes spans, if they are exported.
    pub(crate) fn tracer(&self) -> Option<Tracer> {
        self.0.as_ref().map(|telemetry| telemetry.tracer().clone())
    }

    /// A span of a request to another program, part of the trace that [`parent`] names.
    pub(crate) fn request(&self, name: &str) -> Option<Span> {
        self.request_within(name, parent())
    }

    /// The same, part of this trace; of a new one if there is none.
    pub(crate) fn request_within(&self, name: &str, parent: Option<TraceParent>) -> Option<Span> {
        let start = SpanStart {
            name,
            kind: SpanKind::Client,
            parent,
            trace_state: None,
        };
        Some(self.0.as_ref()?.tracer().start(start))
    }

    /// Exports what is left, within 5 s.
    pub(crate) async fn stop(self) {
        if let Some(telemetry) = self.0 {
            telemetry.stop().await;
        }
    }
}

/// Reads a trace that a person names on the command line.
pub(crate) fn trace_parent(text: &str) -> Result<TraceParent, &'static str> {
    TraceParent::parse(text)
        .ok_or("this is no W3C traceparent: 00-<32 hex>-<16 hex>-<2 hex>, the ids not all zeros")
}

/// The trace that whoever called this program is in. A variable that cannot be read counts as none, as the standard has
/// it: it is other programs' word, and no reason not to do what was asked for.
pub(crate) fn parent() -> Option<TraceParent> {
    TraceParent::parse(&variable(TRACE_PARENT)?)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
