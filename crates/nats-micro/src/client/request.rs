//! A request as its sender describes it.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::Serialize;

use crate::header;

/// A body, and optionally headers and a time limit. Anything that is bytes or text is one without either.
///
/// ```
/// use std::time::Duration;
///
/// use nats_micro::client::OutgoingRequest;
///
/// let request = OutgoingRequest::new("[1, 2]")
///     .with_header("X-Tenant", "a")
///     .with_timeout(Duration::from_secs(5));
/// assert_eq!(&request.payload[..], b"[1, 2]");
/// ```
#[derive(Debug, Clone, Default)]
pub struct OutgoingRequest {
    /// The body.
    pub payload: Bytes,
    /// The headers. Without any, the request is published without a header block.
    pub headers: HeaderMap,
    /// How long to wait for a reply, or in total for many; `None`: what the client says.
    pub timeout: Option<Duration>,
}

impl OutgoingRequest {
    /// A request without headers.
    #[must_use]
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            headers: HeaderMap::new(),
            timeout: None,
        }
    }

    /// A value as JSON.
    ///
    /// # Errors
    /// It cannot be written as JSON: a map with keys that are no text, say.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_vec(value).map(Self::new)
    }

    /// The same request with one more header. Line ends in the value become spaces.
    ///
    /// # Panics
    /// The name is no header name: it has a colon, a control character or is not ASCII. For names that are not
    /// literals make a [`HeaderMap`] with `HeaderName::from_str`.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, header::one_line(value));
        self
    }

    /// The same request with these headers instead of its own.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// The same request with a time limit of its own.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<T: Into<Bytes>> From<T> for OutgoingRequest {
    fn from(payload: T) -> Self {
        Self::new(payload)
    }
}
