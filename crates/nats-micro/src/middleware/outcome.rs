//! How a request ended, as middleware sees it.

use std::sync::Arc;

use crate::endpoint::Call;
use crate::header;
use crate::request::Request;
use crate::response::Response;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Reply,
    /// An error reply, with its code if that is a number.
    Error(Option<u32>),
    /// A streaming endpoint answered; with what, middleware does not see.
    Streamed,
    Silent,
    Panicked,
    /// Dropped by middleware further out, or because the service's stop took too long.
    Cancelled,
}

impl Outcome {
    /// A name of which there are few: a metric's label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "ok",
            Self::Streamed => "streamed",
            Self::Silent => "silent",
            Self::Error(Some(400..=499)) => "4xx",
            Self::Error(Some(500..=599)) => "5xx",
            Self::Error(_) => "error",
            Self::Panicked => "panic",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Sees a request's end, also if the handler panics or is dropped.
pub(super) struct EndWatch<F: FnOnce(Outcome, Option<&Response>)> {
    call: Arc<Call>,
    on_end: Option<F>,
}

impl<F: FnOnce(Outcome, Option<&Response>)> EndWatch<F> {
    pub(super) fn new(request: &Request, on_end: F) -> Self {
        Self {
            call: Arc::clone(request.call()),
            on_end: Some(on_end),
        }
    }

    pub(super) fn ended(mut self, response: &Response) {
        let outcome = match response {
            Response::Reply(_) => Outcome::Reply,
            Response::Error(error) => Outcome::Error(error.code()),
            Response::Silent if self.call.has_replied() => Outcome::Streamed,
            Response::Silent => Outcome::Silent,
        };
        if let Some(on_end) = self.on_end.take() {
            on_end(outcome, Some(response));
        }
    }
}

impl<F: FnOnce(Outcome, Option<&Response>)> Drop for EndWatch<F> {
    fn drop(&mut self) {
        if let Some(on_end) = self.on_end.take() {
            let outcome = if std::thread::panicking() {
                Outcome::Panicked
            } else {
                Outcome::Cancelled
            };
            on_end(outcome, None);
        }
    }
}

/// How long a response's body is.
pub(super) fn body_bytes(response: &Response) -> usize {
    match response {
        Response::Reply(reply) => reply.payload.len(),
        Response::Error(error) => error.payload().len(),
        Response::Silent => 0,
    }
}

/// The code that the caller sees, if there is one.
pub(super) fn code(response: &Response) -> Option<u32> {
    match response {
        Response::Reply(reply) => header::lookup(&reply.headers, header::SUCCESS_CODE)?
            .parse()
            .ok(),
        Response::Error(error) => error.code(),
        Response::Silent => None,
    }
}
