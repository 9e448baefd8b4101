//! What a handler answers.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::Serialize;

use crate::header;
use crate::service_error::ServiceError;

/// A body with headers.
///
/// ```
/// use nats_micro::Reply;
///
/// let reply = Reply::new("done").with_header("X-Took", "12 ms");
/// assert_eq!(&reply.payload[..], b"done");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// The body.
    pub payload: Bytes,
    /// The headers. Without any, the reply is published without a header block.
    pub headers: HeaderMap,
}

impl Reply {
    /// A reply without headers.
    #[must_use]
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self {
            payload: payload.into(),
            headers: HeaderMap::new(),
        }
    }

    /// A value as JSON.
    ///
    /// # Errors
    /// It cannot be written as JSON: a map with keys that are no text, say. The error is a 500 for the caller.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, ServiceError> {
        serde_json::to_vec(value)
            .map(Self::new)
            .map_err(ServiceError::internal)
    }

    /// The same reply with one more header. Line ends in the value become spaces.
    ///
    /// # Panics
    /// The name is no header name; names that are not literals go through [`HeaderMap`] and are checked there.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, header::one_line(value));
        self
    }

    /// The same reply with a success code. spec: nats-micro 5
    #[must_use]
    pub fn with_success_code(mut self, code: u32) -> Self {
        self.headers.insert(header::SUCCESS_CODE, code.to_string());
        self
    }
}

impl<T: Into<Bytes>> From<T> for Reply {
    fn from(payload: T) -> Self {
        Self::new(payload)
    }
}

/// What one request is answered with when its handler, and all middleware, has returned.
#[derive(Debug, Clone)]
pub enum Response {
    /// A reply.
    Reply(Reply),
    /// An error reply.
    Error(ServiceError),
    /// Nothing (more): the handler answered through [`Request::respond`](crate::Request::respond), or not at all.
    Silent,
}

impl Response {
    /// The headers, to change them; `None` if there is no reply.
    pub fn headers_mut(&mut self) -> Option<&mut HeaderMap> {
        match self {
            Self::Reply(reply) => Some(&mut reply.headers),
            Self::Error(error) => Some(error.headers_mut()),
            Self::Silent => None,
        }
    }

    /// The body, to change it; `None` if there is no reply.
    pub fn payload_mut(&mut self) -> Option<&mut Bytes> {
        match self {
            Self::Reply(reply) => Some(&mut reply.payload),
            Self::Error(error) => Some(error.payload_mut()),
            Self::Silent => None,
        }
    }

    /// The error, if it is one.
    #[must_use]
    pub fn error(&self) -> Option<&ServiceError> {
        match self {
            Self::Error(error) => Some(error),
            Self::Reply(_) | Self::Silent => None,
        }
    }

    /// How large it is when it is sent, headers included; the error headers apart.
    pub(crate) fn size_bytes(&self) -> usize {
        let size = |payload: &Bytes, headers| payload.len() + header::block_bytes(headers);
        match self {
            Self::Reply(reply) => size(&reply.payload, &reply.headers),
            Self::Error(error) => size(error.payload(), error.headers()),
            Self::Silent => 0,
        }
    }

    /// What is published: body, and headers if there are any. A reply that is no error has no error headers, since callers
    /// would take it for one.
    pub(crate) fn into_parts(self) -> Option<(Bytes, Option<HeaderMap>)> {
        match self {
            Self::Reply(Reply {
                payload,
                mut headers,
            }) => {
                if !headers.is_empty() {
                    header::remove_error(&mut headers);
                }
                Some((payload, (!headers.is_empty()).then_some(headers)))
            }
            Self::Error(error) if error.is_answered() => None,
            Self::Error(error) => {
                let (payload, headers) = error.into_parts();
                Some((payload, Some(headers)))
            }
            Self::Silent => None,
        }
    }
}

/// What a handler may return.
pub trait IntoResponse {
    /// The answer.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

/// Nothing more: the handler answered through its request, or chose silence.
impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::Silent
    }
}

impl IntoResponse for ServiceError {
    fn into_response(self) -> Response {
        Response::Error(self)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        Response::Reply(self)
    }
}

macro_rules! body {
    ($($body:ty),*) => {$(
        impl IntoResponse for $body {
            fn into_response(self) -> Response {
                Response::Reply(Reply::new(self))
            }
        }
    )*};
}
body!(Bytes, Vec<u8>, String, &'static str, &'static [u8]);

/// A value that is sent as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        Reply::json(&self.0).into_response()
    }
}

impl<T: IntoResponse, E: Into<ServiceError>> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        self.map_or_else(|error| Response::Error(error.into()), T::into_response)
    }
}
