//! Who watches executions from outside, such as a program that traces.

use std::fmt;
use std::time::Duration;

use crate::event::{ExecutionEvent, ExecutionId};

/// Watches what is submitted through an executor; see [`crate::Executor::with_observer`].
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// An execution is about to be admitted. `None` if it is not to be watched. Must not wait: it holds up the caller.
    ///
    /// If the execution is refused, what this returned is dropped and told nothing.
    fn begin(&self, submission: &Submission<'_>) -> Option<Box<dyn Watch>>;
}

/// Watches one execution.
pub trait Watch: Send + Sync + 'static {
    /// What the handler is given as [`crate::Context::trace_parent`], in place of what the request brought.
    fn trace_parent(&self) -> Option<&str>;

    /// It has ended, and the counters know; its caller does not yet. Told once. Must not wait.
    fn end(&self, ended: &Ended<'_>);
}

/// What is submitted.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Submission<'a> {
    /// Its id, if it is admitted.
    pub id: ExecutionId,
    /// The node's uid.
    pub node: &'a str,
    /// See [`crate::Executor::with_origin`].
    pub origin: Option<&'static str>,
    /// W3C `traceparent`, if the request brought one.
    pub trace_parent: Option<&'a str>,
    /// W3C `tracestate`, if the request brought one.
    pub trace_state: Option<&'a str>,
    /// The caller's own name for it; may be empty.
    pub caller_id: &'a str,
}

/// How an execution ended.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Ended<'a> {
    /// The terminal event.
    pub event: &'a ExecutionEvent,
    /// From admission to start, or to the end if it was not started.
    pub queue_time: Duration,
    /// From start to end; `None` if it was not started.
    pub run_time: Option<Duration>,
}
