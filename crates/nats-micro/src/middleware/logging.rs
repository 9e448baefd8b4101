//! One event in the log for each request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Level;

use super::outcome::{EndWatch, Outcome, body_bytes, code};
use super::{Middleware, Next};
use crate::endpoint::Call;
use crate::request::Request;
use crate::response::Response;

/// Writes an event for each request when it ends, with the `tracing` target `nats_micro::request`.
///
/// | Outcome | Level |
/// |---|---|
/// | reply, silence | `DEBUG`, unless [set](Self::success_level) |
/// | error reply with a code of 400 to 499 | `WARN` |
/// | any other error reply | `ERROR`, with its description and cause |
/// | panic | `ERROR` |
/// | dropped before its end | `WARN` |
///
/// With the duration and the sizes of the bodies, and never with a body or a header. Descriptions of errors 400 to 499
/// are left out too: they may quote what the caller sent.
///
/// ```
/// use nats_micro::Service;
/// use nats_micro::middleware::Logging;
///
/// let builder = Service::builder("shop", "1.0.0").middleware(Logging::new());
/// ```
#[derive(Debug, Clone)]
pub struct Logging {
    success_level: Level,
}

impl Default for Logging {
    fn default() -> Self {
        Self::new()
    }
}

impl Logging {
    /// With the levels of the table.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            success_level: Level::DEBUG,
        }
    }

    /// The level of requests that end well.
    #[must_use]
    pub const fn success_level(mut self, level: Level) -> Self {
        self.success_level = level;
        self
    }

    const fn level(&self, outcome: Outcome) -> Level {
        match outcome {
            Outcome::Reply | Outcome::Streamed | Outcome::Silent => self.success_level,
            Outcome::Error(Some(400..=499)) | Outcome::Cancelled => Level::WARN,
            Outcome::Error(_) | Outcome::Panicked => Level::ERROR,
        }
    }
}

impl Middleware for Logging {
    async fn handle(&self, request: Request, next: Next) -> Response {
        let seen = Seen::new(&request);
        let watch = EndWatch::new(&request, |outcome, response| {
            seen.log(&self.level(outcome), outcome, response);
        });
        let response = next.run(request).await;
        watch.ended(&response);
        response
    }
}

/// What the event says about a request that is passed on.
struct Seen {
    call: Arc<Call>,
    request_bytes: usize,
    started: Instant,
}

macro_rules! event_at {
    ($level:expr, $($fields:tt)*) => {
        match *$level {
            Level::ERROR => tracing::event!(target: "nats_micro::request", Level::ERROR, $($fields)*),
            Level::WARN => tracing::event!(target: "nats_micro::request", Level::WARN, $($fields)*),
            Level::INFO => tracing::event!(target: "nats_micro::request", Level::INFO, $($fields)*),
            Level::DEBUG => tracing::event!(target: "nats_micro::request", Level::DEBUG, $($fields)*),
            Level::TRACE => tracing::event!(target: "nats_micro::request", Level::TRACE, $($fields)*),
        }
    };
}

impl Seen {
    fn new(request: &Request) -> Self {
        Self {
            call: Arc::clone(request.call()),
            request_bytes: request.payload().len(),
            started: Instant::now(),
        }
    }

    fn log(&self, level: &Level, outcome: Outcome, response: Option<&Response>) {
        let service = &self.call.core.service;
        event_at!(
            level,
            service = service.name,
            instance = service.id,
            endpoint = self.call.core.info.name,
            subject = self.call.message.subject.as_str(),
            outcome = outcome.as_str(),
            code = response.and_then(code),
            error = error_text(outcome, response),
            took_us = micros(self.started.elapsed()),
            request_bytes = self.request_bytes,
            reply_bytes = response.map_or(0, body_bytes),
            "request"
        );
    }
}

fn error_text(outcome: Outcome, response: Option<&Response>) -> Option<String> {
    if matches!(outcome, Outcome::Error(Some(400..=499))) {
        return None;
    }
    Some(response?.error()?.for_statistics())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
