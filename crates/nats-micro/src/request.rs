//! A request as its handler sees it. spec: nats-micro 5

use std::sync::Arc;

use async_nats::HeaderMap;
use bytes::Bytes;
use http::Extensions;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::document::EndpointInfo;
use crate::endpoint::{Call, RespondFailure};
use crate::header;
use crate::response::{Reply, Response};
use crate::service_error::ServiceError;

/// A request. The handler answers by returning, or through [`respond`](Self::respond) as often as it likes.
///
/// [`testing::RequestStub`](crate::testing::RequestStub) makes one without a broker.
#[derive(Debug)]
pub struct Request {
    call: Arc<Call>,
    /// What middleware changed.
    changed: Option<Box<Changed>>,
}

#[derive(Debug, Default)]
struct Changed {
    payload: Option<Bytes>,
    headers: Option<HeaderMap>,
    extensions: Extensions,
}

/// Why a reply did not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RespondError {
    /// The broker would not take it; the caller got 500 `Response too large` instead.
    #[error(
        "the reply has {actual_bytes} bytes with its headers, the broker takes at most {max_bytes}; answer with less or in parts"
    )]
    TooLarge {
        /// Its size with headers.
        actual_bytes: usize,
        /// The broker's limit.
        max_bytes: usize,
    },
    /// The service's stop took too long and the caller was told so; nothing more is sent.
    #[error(
        "the service's stop took too long; the caller was told that the service is unavailable"
    )]
    Ended,
    /// The connection is closed.
    #[error("the connection to the broker is closed")]
    Closed,
}

impl Request {
    pub(crate) fn new(call: Arc<Call>) -> Self {
        Self {
            call,
            changed: None,
        }
    }

    /// The subject it was sent to; at a wildcard endpoint not the endpoint's own.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.call.message.subject
    }

    /// Where the caller waits for replies; `None` if it does not.
    #[must_use]
    pub fn reply_subject(&self) -> Option<&str> {
        self.call.message.reply.as_deref()
    }

    /// The body.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        let changed = self
            .changed
            .as_ref()
            .and_then(|changed| changed.payload.as_ref());
        changed.unwrap_or(&self.call.message.payload)
    }

    /// Gives the request another body: middleware that decompresses does.
    pub fn set_payload(&mut self, payload: impl Into<Bytes>) {
        self.changed.get_or_insert_default().payload = Some(payload.into());
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        let changed = self
            .changed
            .as_ref()
            .and_then(|changed| changed.headers.as_ref());
        changed.or(self.call.message.headers.as_ref())
    }

    /// All headers, to change them: middleware that decodes the body takes its encoding out.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        let original = &self.call.message.headers;
        let changed = self.changed.get_or_insert_default();
        changed
            .headers
            .get_or_insert_with(|| original.clone().unwrap_or_default())
    }

    /// The first value of a header: by its exact name, else by one that differs in case only.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header::lookup(self.headers()?, name)
    }

    /// The body as a value.
    ///
    /// # Errors
    /// 400 with the place where it cannot be read.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ServiceError> {
        serde_json::from_slice(self.payload()).map_err(|error| {
            ServiceError::bad_request(format!("the request cannot be read: {error}"))
        })
    }

    /// The endpoint that it came to.
    #[must_use]
    pub fn endpoint(&self) -> &EndpointInfo {
        &self.call.core.info
    }

    /// The service's name.
    #[must_use]
    pub fn service_name(&self) -> &str {
        &self.call.core.service.name
    }

    /// The service instance's id.
    #[must_use]
    pub fn service_id(&self) -> &str {
        &self.call.core.service.id
    }

    /// The service's version.
    #[must_use]
    pub fn service_version(&self) -> &str {
        &self.call.core.service.version
    }

    /// What middleware left for the handler.
    #[must_use]
    pub fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.changed.as_ref()?.extensions.get()
    }

    /// What middleware leaves for the handler.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.changed.get_or_insert_default().extensions
    }

    /// Completes when the service begins to stop. The handler still has the rest of the stop's time limit; past that it
    /// is dropped and the caller gets 503.
    pub fn stopping(&self) -> WaitForCancellationFutureOwned {
        self.call.core.stopping.clone().cancelled_owned()
    }

    /// Sends a reply now; may be called any number of times. A no-op if the caller waits for none. Behind middleware
    /// replies are held back until it has seen them and only the last goes out, except at a
    /// [streaming](crate::Endpoint::streaming) endpoint.
    ///
    /// A task that the handler leaves behind may go on answering; what it says then is in no statistics.
    ///
    /// # Errors
    /// It is too large, the request was cut off by a stop, or the connection is closed.
    ///
    /// Dropping the future sends nothing or the whole reply.
    pub async fn respond(&self, reply: impl Into<Reply>) -> Result<(), RespondError> {
        self.send(Response::Reply(reply.into())).await
    }

    /// Sends a reply with a success code.
    ///
    /// # Errors
    /// As [`respond`](Self::respond).
    pub async fn respond_success(
        &self,
        code: u32,
        reply: impl Into<Reply>,
    ) -> Result<(), RespondError> {
        let reply = reply.into().with_success_code(code);
        self.send(Response::Reply(reply)).await
    }

    /// Sends an error reply; the request counts as failed.
    ///
    /// # Errors
    /// As [`respond`](Self::respond).
    pub async fn respond_error(
        &self,
        code: u32,
        description: &str,
        reply: impl Into<Reply>,
    ) -> Result<(), RespondError> {
        let Reply { payload, headers } = reply.into();
        let mut error = ServiceError::new(code, description).with_payload(payload);
        *error.headers_mut() = headers;
        self.send(Response::Error(error)).await
    }

    pub(crate) fn call(&self) -> &Arc<Call> {
        &self.call
    }

    async fn send(&self, response: Response) -> Result<(), RespondError> {
        self.call
            .respond(response)
            .await
            .map_err(|failure| match failure {
                RespondFailure::TooLarge {
                    actual_bytes,
                    max_bytes,
                } => RespondError::TooLarge {
                    actual_bytes,
                    max_bytes,
                },
                RespondFailure::Ended => RespondError::Ended,
                RespondFailure::Closed(_) => RespondError::Closed,
            })
    }
}

/// For handlers that pass it on with `?`: the request counts as failed, and the caller gets nothing more.
impl From<RespondError> for ServiceError {
    fn from(error: RespondError) -> Self {
        Self::answered(error)
    }
}
