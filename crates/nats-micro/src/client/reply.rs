//! A reply as its receiver sees it.

use async_nats::Message;
use serde::de::DeserializeOwned;

use crate::header;
use crate::response::Reply;
use crate::service_error::ServiceError;

/// Of a received reply.
impl Reply {
    /// The first value of a header: by its exact name, else by one that differs in case only.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header::lookup(&self.headers, name)
    }

    /// The success code, if the service sent one. spec: nats-micro 5
    #[must_use]
    pub fn success_code(&self) -> Option<u32> {
        self.header(header::SUCCESS_CODE)?.trim().parse().ok()
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// It is no JSON, or no such value.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.payload)
    }
}

/// The reply in a message, or the error that it is.
pub(super) fn received(message: Message) -> Result<Reply, ServiceError> {
    match ServiceError::from_reply(&message) {
        Some(error) => Err(error),
        None => Ok(Reply {
            payload: message.payload,
            headers: message.headers.unwrap_or_default(),
        }),
    }
}
