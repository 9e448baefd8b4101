//! The place in a trace, and how it comes and goes with headers.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use async_nats::HeaderMap;

use super::traceparent::TraceParent;
use super::{baggage, tracestate};
use crate::header;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// A place in a trace (W3C Trace Context): which trace, which span, and what travels along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    parent: TraceParent,
    /// The span above this one.
    parent_span_id: Option<u64>,
    tracestate: Option<Arc<str>>,
    baggage: Option<Arc<str>>,
}

impl TraceContext {
    /// Begins a trace.
    #[must_use]
    pub fn new_trace(sampled: bool) -> Self {
        Self {
            parent: TraceParent {
                trace_id: u128::from(random()) << 64 | u128::from(random()),
                span_id: random(),
                sampled,
                random: true,
            },
            parent_span_id: None,
            tracestate: None,
            baggage: None,
        }
    }

    /// The context that headers bring; `None` if there is none that can be read. Its span is the sender's.
    #[must_use]
    pub fn extract(headers: &HeaderMap) -> Option<Self> {
        let extracted = Extracted::from_headers(Some(headers));
        Some(Self {
            parent: extracted.parent?,
            parent_span_id: None,
            tracestate: extracted.tracestate,
            baggage: extracted.baggage,
        })
    }

    /// The context of the handler that runs now, if [`Tracing`](super::Tracing) is around it. Tasks and threads that
    /// the handler starts do not have it, those of [`spawn`](crate::Endpoint::spawn) excepted: take it along, or use the
    /// request's extensions.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// The same place with a new span below this one, for a span of your own around a call.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            parent: TraceParent {
                span_id: random(),
                ..self.parent
            },
            parent_span_id: Some(self.parent.span_id),
            ..self.clone()
        }
    }

    /// Writes the context into the headers of a request, instead of one that is there.
    pub fn inject(&self, headers: &mut HeaderMap) {
        for name in [TRACEPARENT, TRACESTATE, BAGGAGE] {
            header::remove(headers, name);
        }
        headers.insert(TRACEPARENT, self.parent.to_string());
        if let Some(tracestate) = &self.tracestate {
            headers.insert(TRACESTATE, tracestate.as_ref());
        }
        if let Some(baggage) = &self.baggage {
            headers.insert(BAGGAGE, baggage.as_ref());
        }
    }

    /// The trace; never 0.
    #[must_use]
    pub const fn trace_id(&self) -> u128 {
        self.parent.trace_id
    }

    /// The span; never 0.
    #[must_use]
    pub const fn span_id(&self) -> u64 {
        self.parent.span_id
    }

    /// The span above this one, if it is known.
    #[must_use]
    pub const fn parent_span_id(&self) -> Option<u64> {
        self.parent_span_id
    }

    /// Whether the trace is marked as recorded.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.parent.sampled
    }

    /// The header `tracestate` as it came, of several one.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// The header `baggage` as it came, of several one.
    #[must_use]
    pub fn baggage(&self) -> Option<&str> {
        self.baggage.as_deref()
    }

    /// Runs a future within this context.
    pub(super) fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self.clone(), future)
    }

    pub(super) fn trace_id_hex(&self) -> impl fmt::Display {
        format!("{:032x}", self.trace_id())
    }

    pub(super) fn span_id_hex(&self) -> impl fmt::Display {
        format!("{:016x}", self.span_id())
    }

    pub(super) fn parent_span_id_hex(&self) -> Option<impl fmt::Display> {
        Some(format!("{:016x}", self.parent_span_id?))
    }
}

/// As in the header `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parent.fmt(f)
    }
}

/// What headers bring, and what of it cannot be used.
pub(super) struct Extracted {
    parent: Option<TraceParent>,
    tracestate: Option<Arc<str>>,
    baggage: Option<Arc<str>>,
    pub(super) invalid_parent: bool,
    pub(super) dropped_headers: u64,
}

impl Extracted {
    pub(super) fn from_headers(headers: Option<&HeaderMap>) -> Self {
        let mut extracted = Self {
            parent: None,
            tracestate: None,
            baggage: None,
            invalid_parent: false,
            dropped_headers: 0,
        };
        if let Some(headers) = headers {
            extracted.read(headers);
        }
        extracted
    }

    fn read(&mut self, headers: &HeaderMap) {
        let parents = values(headers, TRACEPARENT);
        // With two of them nobody can say which is meant.
        if let [only] = parents[..] {
            self.parent = TraceParent::parse(only);
        }
        self.invalid_parent = !parents.is_empty() && self.parent.is_none();
        // The state is the trace's: it means nothing without it. Baggage stands alone.
        let states = values(headers, TRACESTATE);
        if self.parent.is_some() && !states.is_empty() {
            self.tracestate = tracestate::joined(&states);
            self.dropped_headers += u64::from(self.tracestate.is_none());
        }
        let baggages = values(headers, BAGGAGE);
        if !baggages.is_empty() {
            self.baggage = baggage::joined(&baggages);
            self.dropped_headers += u64::from(self.baggage.is_none());
        }
    }

    pub(super) fn into_server_context(self, sample_new: bool) -> TraceContext {
        let context = match self.parent {
            Some(parent) => TraceContext {
                parent,
                parent_span_id: None,
                tracestate: self.tracestate,
                baggage: None,
            }
            .child(),
            None => TraceContext::new_trace(sample_new),
        };
        TraceContext {
            baggage: self.baggage,
            ..context
        }
    }
}

/// Those of the name as it stands in the specification, else of a name that differs in case only.
fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> Vec<&'a str> {
    let exact: Vec<_> = headers.get_all(name).map(|value| value.as_str()).collect();
    if exact.is_empty() {
        return header::values(headers, name).collect();
    }
    exact
}

/// Never 0. The keys of the standard library's hashes come from the operating system.
fn random() -> u64 {
    RandomState::new().build_hasher().finish().max(1)
}
