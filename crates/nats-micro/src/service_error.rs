//! The error that a handler answers with and a caller receives. spec: nats-micro 5

use std::fmt;
use std::sync::Arc;

use async_nats::{HeaderMap, Message};
use bytes::Bytes;

use crate::header;

type Source = Arc<dyn std::error::Error + Send + Sync>;

/// An error reply: a code, a description for people, and optionally a body and headers.
///
/// A handler returns one to answer with it; [`Client::request`](crate::client::Client::request) fails with the one that
/// it received, so that a service that calls another can pass it on with `?`.
///
/// ```
/// use nats_micro::ServiceError;
///
/// let error = ServiceError::new(404, "no such order").with_payload(r#"{"order": 7}"#);
/// assert_eq!(error.to_string(), "404:no such order");
/// ```
#[derive(Debug, Clone)]
pub struct ServiceError(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: String,
    description: String,
    payload: Bytes,
    headers: HeaderMap,
    source: Option<Source>,
    /// The caller has its answer: this is only for the statistics.
    answered: bool,
}

impl ServiceError {
    /// An error with a code, usually one of HTTP's, and a description. Line ends in the description become spaces.
    #[must_use]
    pub fn new(code: u32, description: impl AsRef<str>) -> Self {
        Self(Box::new(Inner {
            code: code.to_string(),
            description: header::one_line(description.as_ref()),
            payload: Bytes::new(),
            headers: HeaderMap::new(),
            source: None,
            answered: false,
        }))
    }

    /// 500 `Internal Server Error`. The cause is for the log and the statistics (`last_error`); callers do not see it.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(500, "Internal Server Error").with_source(source)
    }

    /// 400 with a description.
    #[must_use]
    pub fn bad_request(description: impl AsRef<str>) -> Self {
        Self::new(400, description)
    }

    /// 503 `Service Unavailable`: what is refused, and what is cut off by a stop.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(503, "Service Unavailable")
    }

    /// The same error with a body.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.0.payload = payload.into();
        self
    }

    /// The same error with one more header. The two error headers themselves cannot be set this way.
    ///
    /// # Panics
    /// The name is no header name; names that are not literals go through [`HeaderMap`] and are checked there.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.0.headers.append(name, header::one_line(value));
        self
    }

    /// The same error with a cause, for the log and the statistics.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// The error in a reply, if it is one: if either of the error headers is there.
    #[must_use]
    pub fn from_reply(reply: &Message) -> Option<Self> {
        let headers = reply.headers.as_ref()?;
        let code = header::lookup(headers, header::ERROR_CODE);
        let description = header::lookup(headers, header::ERROR);
        if code.is_none() && description.is_none() {
            return None;
        }
        Some(Self(Box::new(Inner {
            code: code.unwrap_or_default().to_owned(),
            description: description.or(code).unwrap_or_default().to_owned(),
            payload: reply.payload.clone(),
            headers: headers.clone(),
            source: None,
            answered: false,
        })))
    }

    /// The code; `None` if a peer sent none, or one that is no number.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        self.0.code.trim().parse().ok()
    }

    /// The code as it was sent.
    #[must_use]
    pub fn code_text(&self) -> &str {
        &self.0.code
    }

    /// What went wrong, for people.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.0.description
    }

    /// The body.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    /// The headers: those of a received error with the error headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The headers, to change them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.0.headers
    }

    /// The body, to change it.
    pub fn payload_mut(&mut self) -> &mut Bytes {
        &mut self.0.payload
    }

    /// What statistics show: `code:description`, and the cause if there is one.
    pub(crate) fn for_statistics(&self) -> String {
        self.0
            .source
            .as_ref()
            .map_or_else(|| self.to_string(), |source| format!("{self}: {source}"))
    }

    /// An error that is counted and not sent, since the caller has an answer already.
    pub(crate) fn answered(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let mut error = Self::internal(source);
        error.0.answered = true;
        error
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.0.answered
    }

    /// What is published. Nothing overrides the error headers.
    pub(crate) fn into_parts(self) -> (Bytes, HeaderMap) {
        let Inner {
            code,
            description,
            payload,
            mut headers,
            ..
        } = *self.0;
        header::remove_error(&mut headers);
        headers.insert(header::ERROR, description);
        headers.insert(
            header::ERROR_CODE,
            if code.is_empty() {
                "500".to_owned()
            } else {
                code
            },
        );
        (payload, headers)
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.code, self.0.description)
    }
}

impl std::error::Error for ServiceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as _)
    }
}
