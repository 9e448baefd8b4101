//! What a request to a harness gets.

use std::time::Duration;

use async_nats::StatusCode;
use tokio::time::timeout;

use super::harness::HarnessError;
use super::reply::TestReply;
use crate::transport::BusSubscription;

/// Replies to one request.
#[derive(Debug)]
pub struct Replies {
    pub(super) subject: String,
    pub(super) subscription: BusSubscription,
    pub(super) timeout: Duration,
}

impl Replies {
    /// Waits for the next reply.
    ///
    /// # Errors
    /// Nobody serves the subject, or no further reply comes.
    ///
    /// Dropping the future loses no reply.
    pub async fn next(&mut self) -> Result<TestReply, HarnessError> {
        match timeout(self.timeout, self.subscription.next()).await {
            Ok(Some(message)) if message.status == Some(StatusCode::NO_RESPONDERS) => {
                Err(HarnessError::NoResponders(self.subject.clone()))
            }
            Ok(Some(message)) => Ok(TestReply::new(message)),
            Ok(None) | Err(_) => Err(HarnessError::NoReply {
                subject: self.subject.clone(),
                timeout: self.timeout,
            }),
        }
    }

    /// The replies that have arrived and were not taken yet, without waiting. With [`handled`](super::Harness::handled) before, these
    /// are all.
    #[must_use]
    pub fn received(&mut self) -> Vec<TestReply> {
        let arrived = std::iter::from_fn(|| self.subscription.try_next());
        arrived.map(TestReply::new).collect()
    }
}
