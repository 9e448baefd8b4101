//! What can go wrong on the caller's side.

use std::time::Duration;

use thiserror::Error;

use crate::document::DocumentError;
use crate::response::Reply;
use crate::service_error::ServiceError;

/// Why a request has no reply.
#[derive(Debug, Clone, Error)]
pub enum RequestError {
    /// The service answered with an error.
    #[error("the service answered with error {0}")]
    Service(#[source] ServiceError),
    /// Nobody listens there.
    #[error("no service listens on {subject:?}; is it started, and the subject right?")]
    NoResponders {
        /// Where the request went.
        subject: String,
    },
    /// Somebody listens, or the connection is away, but no reply came in time.
    #[error("no reply from {subject:?} within {after:?}")]
    TimedOut {
        /// Where the request went.
        subject: String,
        /// The time allowed.
        after: Duration,
    },
    /// The broker would not take it. Nothing was sent.
    #[error(
        "the request has {actual_bytes} bytes with its headers, the broker takes at most {max_bytes}; send less or in parts"
    )]
    TooLarge {
        /// Its size with headers.
        actual_bytes: usize,
        /// The broker's limit.
        max_bytes: usize,
    },
    /// No request can be sent there. Nothing was sent.
    #[error("no request can be sent to {subject:?}: {reason}")]
    InvalidSubject {
        /// The subject.
        subject: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The connection is closed.
    #[error("the connection to the broker is closed; connect again")]
    Closed,
}

impl From<ServiceError> for RequestError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

/// So that a handler that calls another service can use `?`: its caller gets the other service's error as it is, 503 if
/// the other is not there, 504 if it does not answer, and otherwise 500.
impl From<RequestError> for ServiceError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Service(error) => error,
            RequestError::NoResponders { .. } | RequestError::Closed => {
                Self::unavailable().with_source(error)
            }
            RequestError::TimedOut { .. } => Self::new(504, "Gateway Timeout").with_source(error),
            RequestError::TooLarge { .. } | RequestError::InvalidSubject { .. } => {
                Self::internal(error)
            }
        }
    }
}

/// Why a request with JSON has no value.
#[derive(Debug, Error)]
pub enum RequestJsonError {
    /// The value cannot be written as JSON. Nothing was sent.
    #[error("the request cannot be written as JSON")]
    Unwritable(#[source] serde_json::Error),
    /// There is no reply.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The reply is not the value that was expected.
    #[error("the reply cannot be read")]
    Unreadable {
        /// The reply.
        reply: Reply,
        /// Where and why.
        source: serde_json::Error,
    },
}

impl From<RequestJsonError> for ServiceError {
    fn from(error: RequestJsonError) -> Self {
        match error {
            RequestJsonError::Request(error) => error.into(),
            RequestJsonError::Unwritable(_) | RequestJsonError::Unreadable { .. } => {
                Self::internal(error)
            }
        }
    }
}

/// Why one instance's document is not there.
#[derive(Debug, Error)]
pub enum ControlError {
    /// There is no reply; [`RequestError::NoResponders`] if there is no such instance.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The reply cannot be used.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// Why an endpoint was not found.
#[derive(Debug, Error)]
pub enum LookupError {
    /// Nobody could be asked.
    #[error("the endpoints of service {service:?} cannot be looked up")]
    Request {
        /// The service.
        service: String,
        /// Why.
        source: RequestError,
    },
    /// No instance answered.
    #[error("service {service:?} does not answer; is it started, and its name right?")]
    UnknownService {
        /// The service.
        service: String,
    },
    /// No instance that answered has it.
    #[error("service {service:?} has no endpoint {endpoint:?}; it has {known:?}")]
    UnknownEndpoint {
        /// The service.
        service: String,
        /// The endpoint.
        endpoint: String,
        /// The endpoints that there are.
        known: Vec<String>,
    },
    /// Several endpoints of an instance have the name.
    #[error(
        "service {service:?} has several endpoints {endpoint:?}; send the request to one of the subjects {subjects:?}"
    )]
    Ambiguous {
        /// The service.
        service: String,
        /// The endpoint.
        endpoint: String,
        /// Their subjects.
        subjects: Vec<String>,
    },
}

/// Why calling an endpoint by its name gave no reply.
#[derive(Debug, Error)]
pub enum CallError {
    /// It was not found.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It answers on many subjects.
    #[error(
        "endpoint {endpoint:?} answers on {subject:?}; send the request to a subject without wildcards"
    )]
    Wildcards {
        /// The endpoint.
        endpoint: String,
        /// Its subject.
        subject: String,
    },
    /// There is no reply.
    #[error(transparent)]
    Request(#[from] RequestError),
}
