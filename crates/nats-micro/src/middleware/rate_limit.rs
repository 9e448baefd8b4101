//! A limit to how many requests come in a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Middleware, Next};
use crate::request::Request;
use crate::response::Response;
use crate::service_error::ServiceError;

/// When the caller may try again, in seconds, rounded up.
pub const RETRY_AFTER: &str = "Retry-After";

/// When the caller may try again, in milliseconds, rounded up.
pub const RETRY_AFTER_MS: &str = "Retry-After-Ms";

/// Between two tokens there is at most a year, which keeps all sums in range.
const INTERVAL_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A token bucket: it holds so many tokens, gets new ones at an even rate, and each request takes one. Requests that
/// find it empty are answered at once with 429 `Too Many Requests`, and the headers [`RETRY_AFTER`] and
/// [`RETRY_AFTER_MS`].
///
/// All endpoints of the service or group that it is added to share it, and all places that a clone is added to.
///
/// ```
/// use nats_micro::Service;
/// use nats_micro::middleware::RateLimit;
///
/// let limit = RateLimit::per_second(100).burst(20);
/// let builder = Service::builder("search", "1.0.0").middleware(limit.clone());
/// assert_eq!(limit.refused(), 0);
/// ```
#[derive(Debug, Clone)]
pub struct RateLimit {
    /// Between two tokens.
    interval: Duration,
    burst: u32,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// When the bucket will be full again; in the past if it is full.
    full_at: Mutex<Instant>,
    refused: AtomicU64,
}

impl RateLimit {
    /// So many requests per second, and as many at once; 0 counts as 1.
    #[must_use]
    pub fn per_second(requests: u32) -> Self {
        Self::new(requests, Duration::from_secs(1))
    }

    /// So many requests in a time, and as many at once; 0 counts as 1.
    #[must_use]
    pub fn new(requests: u32, per: Duration) -> Self {
        let requests = requests.max(1);
        Self {
            interval: (per / requests).clamp(Duration::from_nanos(1), INTERVAL_MAX),
            burst: requests,
            shared: Arc::new(Shared {
                full_at: Mutex::new(Instant::now()),
                refused: AtomicU64::new(0),
            }),
        }
    }

    /// How many requests may come at once; 0 counts as 1.
    #[must_use]
    pub fn burst(mut self, requests: u32) -> Self {
        self.burst = requests.max(1);
        self
    }

    /// How many requests were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Takes a token, or says how long there will be none.
    fn take(&self) -> Result<(), Duration> {
        let now = Instant::now();
        let room = self.interval.saturating_mul(self.burst - 1);
        let mut full_at = self
            .shared
            .full_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let missing = full_at.saturating_duration_since(now);
        if missing > room {
            return Err(missing - room);
        }
        *full_at = (*full_at).max(now) + self.interval;
        Ok(())
    }
}

impl Middleware for RateLimit {
    async fn handle(&self, request: Request, next: Next) -> Response {
        match self.take() {
            Ok(()) => next.run(request).await,
            Err(wait) => {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                Response::Error(too_many_requests(wait))
            }
        }
    }
}

fn too_many_requests(wait: Duration) -> ServiceError {
    let wait_ms = wait.as_micros().div_ceil(1000).max(1);
    ServiceError::new(429, "Too Many Requests")
        .with_header(RETRY_AFTER, &wait_ms.div_ceil(1000).to_string())
        .with_header(RETRY_AFTER_MS, &wait_ms.to_string())
}
