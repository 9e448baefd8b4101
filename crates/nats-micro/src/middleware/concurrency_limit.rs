//! A limit to how many requests run at the same time, over several endpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Middleware, Next};
use crate::request::Request;
use crate::response::Response;
use crate::service_error::ServiceError;

/// How long a request waits for its turn, unless the limit says otherwise.
const DEFAULT_WAIT_MAX: Duration = Duration::from_secs(1);

/// Lets so many requests run at the same time; further ones wait in the order in which they came, and those that wait
/// too long are answered with 503 `Service Unavailable`.
///
/// All endpoints of the service or group that it is added to share it, and all places that a clone is added to. Those
/// that wait count as running for their endpoint, so that at most the sum of the endpoints'
/// [`concurrency`](crate::Endpoint::concurrency) waits here. For one endpoint alone, that setting is the better one.
///
/// ```
/// use std::time::Duration;
///
/// use nats_micro::Group;
/// use nats_micro::middleware::ConcurrencyLimit;
///
/// let database = ConcurrencyLimit::new(8).wait_max(Duration::from_millis(200));
/// let orders = Group::new("orders").middleware(database.clone());
/// let customers = Group::new("customers").middleware(database);
/// ```
#[derive(Debug, Clone)]
pub struct ConcurrencyLimit {
    shared: Arc<Shared>,
    wait_max: Duration,
}

#[derive(Debug)]
struct Shared {
    permits: Semaphore,
    requests: usize,
    refused: AtomicU64,
}

impl ConcurrencyLimit {
    /// A limit to so many requests; 0 counts as 1. Others wait up to a second.
    #[must_use]
    pub fn new(requests: usize) -> Self {
        let requests = requests.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                permits: Semaphore::new(requests),
                requests,
                refused: AtomicU64::new(0),
            }),
            wait_max: DEFAULT_WAIT_MAX,
        }
    }

    /// How long a request may wait for its turn; with zero it does not.
    #[must_use]
    pub fn wait_max(mut self, wait_max: Duration) -> Self {
        self.wait_max = wait_max;
        self
    }

    /// How many requests run now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.requests - self.shared.permits.available_permits()
    }

    /// How many requests were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

impl Middleware for ConcurrencyLimit {
    async fn handle(&self, request: Request, next: Next) -> Response {
        // The semaphore is polled before the time, so that a free turn is taken without any.
        match timeout(self.wait_max, self.shared.permits.acquire()).await {
            Ok(Ok(_turn)) => next.run(request).await,
            Ok(Err(_)) | Err(_) => {
                self.shared.refused.fetch_add(1, Ordering::Relaxed);
                Response::Error(ServiceError::unavailable())
            }
        }
    }
}
