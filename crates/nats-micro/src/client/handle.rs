//! The client itself.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, RequestErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::control::{InstanceClient, ServiceClient};
use super::discovery::Discovery;
use super::error::{RequestError, RequestJsonError};
use super::limits::Limits;
use super::many::RequestMany;
use super::reply::received;
use super::request::OutgoingRequest;
use super::subject::check_subject;
use crate::document::{Info, Ping, Stats};
use crate::header;
use crate::name::{ConfigError, check_control_prefix};
use crate::response::Reply;

/// How long a request waits for its reply, unless told otherwise.
pub const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// Calls and finds services. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    connection: async_nats::Client,
    settings: Arc<Settings>,
}

#[derive(Debug, Clone)]
struct Settings {
    control_prefix: String,
    request_timeout: Duration,
    limits: Limits,
}

/// Describes a client; made by [`Client::builder`].
#[derive(Debug, Clone)]
pub struct ClientBuilder {
    connection: async_nats::Client,
    settings: Settings,
}

impl ClientBuilder {
    /// What control subjects begin with; `$SRV` unless set.
    #[must_use]
    pub fn control_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.control_prefix = prefix.into();
        self
    }

    /// How long a request waits for its reply; 1 s unless set.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.settings.request_timeout = timeout;
        self
    }

    /// How long replies are collected in total, and how long one instance may take to answer a control request; 0.5 s
    /// unless set.
    #[must_use]
    pub fn max_wait(mut self, time: Duration) -> Self {
        self.settings.limits.max_wait = time;
        self
    }

    /// What collecting replies may take.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// The control prefix is none.
    pub fn build(self) -> Result<Client, ConfigError> {
        check_control_prefix(&self.settings.control_prefix)?;
        Ok(Client {
            connection: self.connection,
            settings: Arc::new(self.settings),
        })
    }
}

impl Client {
    /// A client with the usual settings.
    #[must_use]
    pub fn new(connection: async_nats::Client) -> Self {
        let ClientBuilder {
            connection,
            settings,
        } = Self::builder(connection);
        Self {
            connection,
            settings: Arc::new(settings),
        }
    }

    /// A client with other settings.
    #[must_use]
    pub fn builder(connection: async_nats::Client) -> ClientBuilder {
        ClientBuilder {
            connection,
            settings: Settings {
                control_prefix: crate::DEFAULT_CONTROL_PREFIX.to_owned(),
                request_timeout: DEFAULT_REQUEST_TIMEOUT,
                limits: Limits::default(),
            },
        }
    }

    /// The connection that it works on.
    #[must_use]
    pub fn connection(&self) -> &async_nats::Client {
        &self.connection
    }

    /// Sends a request and waits for its first reply.
    ///
    /// Dropping the future gives up the reply; the request may have been sent. A request that is never answered costs
    /// its connection some 200 bytes until that is closed: `async-nats` 0.51 does not forget whom it waits for.
    ///
    /// # Errors
    /// The reply is an error, or there is none.
    pub async fn request(
        &self,
        subject: &str,
        request: impl Into<OutgoingRequest>,
    ) -> Result<Reply, RequestError> {
        let request = request.into();
        let after = request.timeout.unwrap_or(self.settings.request_timeout);
        let message = self.reply_to(subject, request, after).await?;
        Ok(received(message)?)
    }

    /// Sends a value as JSON and reads the reply as one.
    ///
    /// Dropping the future gives up the reply; the request may have been sent.
    ///
    /// # Errors
    /// As [`request`](Self::request), and if the one cannot be written or the other not be read.
    pub async fn request_json<I, O>(&self, subject: &str, value: &I) -> Result<O, RequestJsonError>
    where
        I: Serialize + ?Sized,
        O: DeserializeOwned,
    {
        let request = OutgoingRequest::json(value).map_err(RequestJsonError::Unwritable)?;
        let reply = self.request(subject, request).await?;
        match reply.decode() {
            Ok(value) => Ok(value),
            Err(source) => Err(RequestJsonError::Unreadable { reply, source }),
        }
    }

    /// Asks everyone who listens on a subject; awaiting it collects the replies,
    /// [`stream`](RequestMany::stream) gives them as they come.
    pub fn request_many(
        &self,
        subject: impl Into<String>,
        request: impl Into<OutgoingRequest>,
    ) -> RequestMany {
        RequestMany::new(self, subject.into(), request.into())
    }

    /// Asks all services who is there.
    pub fn ping(&self) -> Discovery<Ping> {
        Discovery::new(self, None)
    }

    /// Asks all services what endpoints there are.
    pub fn info(&self) -> Discovery<Info> {
        Discovery::new(self, None)
    }

    /// Asks all services what their endpoints have done.
    pub fn stats(&self) -> Discovery<Stats> {
        Discovery::new(self, None)
    }

    /// The instances of one service.
    #[must_use]
    pub fn service(&self, name: impl Into<String>) -> ServiceClient {
        ServiceClient::new(self, name.into())
    }

    /// One instance of a service.
    #[must_use]
    pub fn instance(&self, name: impl Into<String>, id: impl Into<String>) -> InstanceClient {
        self.service(name).instance(id)
    }

    pub(super) fn control_prefix(&self) -> &str {
        &self.settings.control_prefix
    }

    pub(super) fn limits(&self) -> Limits {
        self.settings.limits
    }

    pub(super) async fn reply_to(
        &self,
        subject: &str,
        request: OutgoingRequest,
        after: Duration,
    ) -> Result<Message, RequestError> {
        check_subject(subject)?;
        let actual_bytes = self.check_size(&request)?;
        let mut sent = async_nats::Request::new()
            .payload(request.payload)
            .timeout(None);
        if !request.headers.is_empty() {
            sent = sent.headers(request.headers);
        }
        // The time covers handing over, which waits while the connection is away.
        let kind = match timeout(
            after,
            self.connection.send_request(subject.to_owned(), sent),
        )
        .await
        {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(error)) => error.kind(),
            Err(_) => RequestErrorKind::TimedOut,
        };
        let subject = subject.to_owned();
        Err(match kind {
            RequestErrorKind::NoResponders => RequestError::NoResponders { subject },
            RequestErrorKind::TimedOut => RequestError::TimedOut { subject, after },
            RequestErrorKind::Other => RequestError::Closed,
            // Both were checked above. The broker's limit may have changed since.
            RequestErrorKind::MaxPayloadExceeded => self.too_large(actual_bytes),
            RequestErrorKind::InvalidSubject => RequestError::InvalidSubject {
                subject,
                reason: "the connection does not take it",
            },
        })
    }

    /// The size, if the broker takes it.
    pub(super) fn check_size(&self, request: &OutgoingRequest) -> Result<usize, RequestError> {
        let actual_bytes = request.payload.len() + header::block_bytes(&request.headers);
        if actual_bytes > self.connection.max_payload() {
            return Err(self.too_large(actual_bytes));
        }
        Ok(actual_bytes)
    }

    pub(super) fn too_large(&self, actual_bytes: usize) -> RequestError {
        RequestError::TooLarge {
            actual_bytes,
            max_bytes: self.connection.max_payload(),
        }
    }
}
