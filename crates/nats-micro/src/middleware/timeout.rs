//! A limit to how long a request may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Middleware, Next};
use crate::request::Request;
use crate::response::Response;
use crate::service_error::ServiceError;

/// Answers with 504 `Deadline Exceeded` when what is further in takes too long, and drops it.
///
/// 504 and not 408: the caller did all it should, the time was the handler's. A
/// [blocking](crate::Endpoint::blocking) handler's thread goes on to its end. At a
/// [streaming](crate::Endpoint::streaming) endpoint the error comes after the replies that went out.
///
/// Clones count together.
///
/// ```
/// use std::time::Duration;
///
/// use nats_micro::middleware::Timeout;
/// use nats_micro::{Request, Service};
///
/// let timeout = Timeout::new(Duration::from_secs(2)).shorter_by_header("X-Timeout-Ms");
/// let builder = Service::builder("shop", "1.0.0").middleware(timeout.clone());
/// assert_eq!(timeout.timed_out(), 0);
/// ```
#[derive(Debug, Clone)]
pub struct Timeout {
    limit: Duration,
    header: Option<String>,
    timed_out: Arc<AtomicU64>,
}

impl Timeout {
    /// A limit for every request.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            header: None,
            timed_out: Arc::default(),
        }
    }

    /// Callers may ask for less time, never for more, with milliseconds as a decimal number in this header. Anything
    /// else in it is answered with 400, because its caller relies on a limit that nobody would keep.
    #[must_use]
    pub fn shorter_by_header(mut self, name: impl Into<String>) -> Self {
        self.header = Some(name.into());
        self
    }

    /// How many requests took too long.
    #[must_use]
    pub fn timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }

    fn limit_of(&self, request: &Request) -> Result<Duration, ServiceError> {
        let Some(name) = &self.header else {
            return Ok(self.limit);
        };
        let Some(text) = request.header(name) else {
            return Ok(self.limit);
        };
        let wanted_ms: u64 = text.trim().parse().map_err(|_| {
            ServiceError::bad_request(format!("header {name}: not a number of milliseconds"))
        })?;
        Ok(self.limit.min(Duration::from_millis(wanted_ms)))
    }
}

impl Middleware for Timeout {
    async fn handle(&self, request: Request, next: Next) -> Response {
        let limit = match self.limit_of(&request) {
            Ok(limit) => limit,
            Err(error) => return Response::Error(error),
        };
        match tokio::time::timeout(limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                self.timed_out.fetch_add(1, Ordering::Relaxed);
                Response::Error(deadline_exceeded())
            }
        }
    }
}

pub(super) fn deadline_exceeded() -> ServiceError {
    ServiceError::new(504, "Deadline Exceeded")
}
