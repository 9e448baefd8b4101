//! Traces, the same for every wire: W3C trace context, spans, and their export with OTLP over HTTP; and the [names] of
//! spans, attributes and metrics.
//!
//! ```
//! use nodewire_telemetry::otlp::SpanKind;
//! use nodewire_telemetry::{SpanStart, Telemetry, TelemetryConfig, TraceParent};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // What a program reads from its environment; here, nothing, so that nothing is exported.
//! let config = TelemetryConfig::from_variables(|_| None, "my-service")?;
//! if let Some(config) = config {
//!     let telemetry = Telemetry::start(config)?;
//!     let parent = TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
//!     let span = telemetry.tracer().start(SpanStart {
//!         name: "work",
//!         kind: SpanKind::Internal,
//!         parent,
//!         trace_state: None,
//!     });
//!     // … pass `span.context()` on to whoever is called …
//!     span.end(None);
//!     telemetry.stop().await;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A span that has ended goes into a bounded queue, and a task exports what is there in batches: a collector that refuses,
//! hangs or is not there costs spans, which are counted, and nothing else.
//!
//! [`SpanQueue`], [`Exporter`] and [`otlp`] are for libraries that export in their own way.

#![forbid(unsafe_code)]

pub mod attributes;
mod config;
mod endpoint;
mod error;
mod export;
pub mod names;
pub mod otlp;
mod queue;
mod sampler;
mod span;
mod telemetry;
mod trace_parent;
mod trace_state;

pub use config::TelemetryConfig;
pub use endpoint::Endpoint;
pub use error::{ExportSetupError, TelemetryError};
pub use export::{ExportCounts, Exporter, ExporterOptions};
pub use queue::{SpanCounts, SpanQueue};
pub use sampler::Sampler;
pub use span::{Span, SpanStart, Tracer};
pub use telemetry::Telemetry;
pub use trace_parent::{SpanId, TraceId, TraceParent};
pub use trace_state::TraceState;
