//! A whole service on subjects in memory. spec: nats-micro 10.3

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::replies::Replies;
use super::reply::TestReply;
use crate::document::{Document, DocumentError, Info, Ping, Stats};
use crate::service::{Service, ServiceBuilder, StartError, StopReason};
use crate::transport::{Bus, Transport};

/// What a message may have at most, unless a harness says otherwise: as a broker with its defaults.
pub const DEFAULT_MAX_PAYLOAD_BYTES: usize = 1_048_576;

/// How long a reply may take, unless a harness says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// How soon a condition is looked at again; then less and less often.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Of the whole time, how much may pass between two looks.
const LOOKS_MIN: u32 = 64;

/// How a harness is to be; made by [`Harness::options`].
#[derive(Debug, Clone)]
pub struct HarnessOptions {
    max_payload_bytes: usize,
    timeout: Duration,
}

/// A service that runs on subjects in memory.
///
/// ```
/// use nats_micro::testing::Harness;
/// use nats_micro::{Endpoint, Request, Service};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let echo = Endpoint::new("echo", |request: Request| async move { request.payload().clone() });
/// let harness = Harness::start(Service::builder("echo", "1.0.0").endpoint(echo)).await?;
/// assert_eq!(harness.request("echo", "hello").await?.text()?, "hello");
/// assert_eq!(harness.stats().await?.endpoints[0].num_requests, 1);
/// harness.stop().await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Harness {
    service: Service,
    control_prefix: String,
    bus: Arc<Bus>,
    timeout: Duration,
    inboxes: AtomicU64,
}

/// Why a harness could not do what a test asked for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HarnessError {
    /// Nobody serves the subject.
    #[error("nobody serves {0}")]
    NoResponders(String),
    /// No reply came, or no further one.
    #[error("no reply came from {subject} within {timeout:?}")]
    NoReply {
        /// The request's subject.
        subject: String,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// A broker would not take the request.
    #[error("the request has {actual_bytes} bytes; at most {max_bytes} are allowed")]
    TooLarge {
        /// Its size with headers.
        actual_bytes: usize,
        /// The harness's limit.
        max_bytes: usize,
    },
    /// An endpoint did not come to the end of so many requests.
    #[error("endpoint {endpoint} ended {actual} requests within {timeout:?}, not {expected}")]
    NotHandled {
        /// The endpoint's name.
        endpoint: String,
        /// How many requests were waited for.
        expected: u64,
        /// How many ended.
        actual: u64,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// A control request was answered with something else.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl Default for HarnessOptions {
    fn default() -> Self {
        Self {
            max_payload_bytes: DEFAULT_MAX_PAYLOAD_BYTES,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

impl HarnessOptions {
    /// What a message may have at most, headers included; [`DEFAULT_MAX_PAYLOAD_BYTES`] unless set.
    #[must_use]
    pub fn max_payload_bytes(mut self, bytes: usize) -> Self {
        self.max_payload_bytes = bytes;
        self
    }

    /// How long the harness waits for a reply, in tokio's time; 5 s unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts a service.
    ///
    /// # Errors
    /// Its description cannot be used.
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn start(self, builder: ServiceBuilder) -> Result<Harness, StartError> {
        let bus = Bus::new(self.max_payload_bytes);
        let control_prefix = builder.control_prefix.clone();
        Ok(Harness {
            service: builder
                .start_on(Transport::Memory(Arc::clone(&bus)))
                .await?,
            control_prefix,
            bus,
            timeout: self.timeout,
            inboxes: AtomicU64::new(0),
        })
    }
}

impl Harness {
    /// Starts a service with the harness's defaults.
    ///
    /// # Errors
    /// Its description cannot be used.
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn start(builder: ServiceBuilder) -> Result<Self, StartError> {
        Self::options().start(builder).await
    }

    /// How to start one otherwise.
    #[must_use]
    pub fn options() -> HarnessOptions {
        HarnessOptions::default()
    }

    /// Starts another service, or another instance, on the same subjects.
    ///
    /// # Errors
    /// Its description cannot be used.
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn start_another(&self, builder: ServiceBuilder) -> Result<Service, StartError> {
        builder
            .start_on(Transport::Memory(Arc::clone(&self.bus)))
            .await
    }

    /// The service.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Sends a request and waits for its first reply, which may be an error reply.
    ///
    /// # Errors
    /// Nobody serves the subject, no reply comes, or the request is too large.
    ///
    /// Dropping the future takes nothing back.
    pub async fn request(
        &self,
        subject: &str,
        payload: impl Into<Bytes>,
    ) -> Result<TestReply, HarnessError> {
        self.replies(subject, payload)?.next().await
    }

    /// Sends a request with headers and waits for its first reply, which may be an error reply.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    ///
    /// Dropping the future takes nothing back.
    pub async fn request_with_headers(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: impl Into<Bytes>,
    ) -> Result<TestReply, HarnessError> {
        self.replies_with_headers(subject, headers, payload)?
            .next()
            .await
    }

    /// Sends a request that may get any number of replies.
    ///
    /// # Errors
    /// The request is too large.
    pub fn replies(
        &self,
        subject: &str,
        payload: impl Into<Bytes>,
    ) -> Result<Replies, HarnessError> {
        self.replies_with_headers(subject, HeaderMap::new(), payload)
    }

    /// Sends a request with headers that may get any number of replies.
    ///
    /// # Errors
    /// The request is too large.
    pub fn replies_with_headers(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: impl Into<Bytes>,
    ) -> Result<Replies, HarnessError> {
        let number = self.inboxes.fetch_add(1, Ordering::Relaxed);
        let inbox = format!("_INBOX.harness.{number}");
        let subscription = self.bus.subscribe(&inbox, None);
        self.send(subject, Some(inbox), headers, payload.into())?;
        Ok(Replies {
            subject: subject.to_owned(),
            subscription,
            timeout: self.timeout,
        })
    }

    /// Sends a request that waits for no reply.
    ///
    /// # Errors
    /// The request is too large.
    pub fn publish(&self, subject: &str, payload: impl Into<Bytes>) -> Result<(), HarnessError> {
        self.send(subject, None, HeaderMap::new(), payload.into())
    }

    /// Waits until all endpoints of a name together have ended at least so many requests since the service's start or
    /// last reset. Replies precede the count: after this, all replies to those requests have arrived.
    ///
    /// # Errors
    /// It takes too long.
    ///
    /// Dropping the future changes nothing.
    pub async fn handled(&self, endpoint: &str, requests: u64) -> Result<(), HarnessError> {
        let deadline = Instant::now() + self.timeout;
        let mut pause = LOOK_AGAIN;
        loop {
            let actual = self.ended(endpoint);
            if actual >= requests {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(HarnessError::NotHandled {
                    endpoint: endpoint.to_owned(),
                    expected: requests,
                    actual,
                    timeout: self.timeout,
                });
            }
            sleep(pause).await;
            pause = (2 * pause).min(self.timeout / LOOKS_MIN);
        }
    }

    /// Asks the instance who it is, on its control subject.
    ///
    /// # Errors
    /// As [`request`](Self::request), or the answer is no such document.
    ///
    /// Dropping the future changes nothing.
    pub async fn ping(&self) -> Result<Ping, HarnessError> {
        self.document().await
    }

    /// Asks the instance what endpoints it has, on its control subject.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    ///
    /// Dropping the future changes nothing.
    pub async fn info(&self) -> Result<Info, HarnessError> {
        self.document().await
    }

    /// Asks the instance how it has been, on its control subject.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    ///
    /// Dropping the future changes nothing.
    pub async fn stats(&self) -> Result<Stats, HarnessError> {
        self.document().await
    }

    /// How many messages were lost because 65,536 others waited for the same subscriber.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.bus.dropped()
    }

    /// Stops the service as [`Service::stop`] does: what was sent before is answered.
    ///
    /// Dropping the future changes nothing: the service stops all the same.
    pub async fn stop(self) -> Arc<StopReason> {
        self.service.stop().await
    }

    async fn document<D: Document>(&self) -> Result<D, HarnessError> {
        let (name, id) = (Some(self.service.name()), Some(self.service.id()));
        let subject = D::VERB.subject(&self.control_prefix, name, id);
        let reply = self.request(&subject, Bytes::new()).await?;
        Ok(D::parse(reply.payload())?)
    }

    fn send(
        &self,
        subject: &str,
        reply: Option<String>,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<(), HarnessError> {
        let headers = (!headers.is_empty()).then_some(headers);
        let actual_bytes = payload.len() + headers.as_ref().map_or(0, crate::header::block_bytes);
        let max_bytes = self.bus.max_payload_bytes();
        if actual_bytes > max_bytes {
            return Err(HarnessError::TooLarge {
                actual_bytes,
                max_bytes,
            });
        }
        self.bus
            .publish(subject.into(), reply.map(Into::into), headers, payload);
        Ok(())
    }

    fn ended(&self, endpoint: &str) -> u64 {
        let snapshots = self.service.snapshots();
        let named = snapshots
            .iter()
            .filter(|snapshot| snapshot.info.name == endpoint);
        named.map(|snapshot| snapshot.num_requests).sum()
    }
}
