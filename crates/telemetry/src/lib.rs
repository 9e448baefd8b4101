//! Traces, the same for every wire: W3C trace context.

#![forbid(unsafe_code)]

mod trace_parent;

pub use trace_parent::{SpanId, TraceId, TraceParent};
