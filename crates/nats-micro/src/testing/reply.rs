//! A reply as its caller receives it.

use std::str::Utf8Error;

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::header;
use crate::service_error::ServiceError;

/// A reply as its caller receives it.
#[derive(Debug, Clone)]
pub struct TestReply(Message);

impl TestReply {
    pub(super) fn new(message: Message) -> Self {
        Self(message)
    }

    /// The body.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    /// The body as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(&self.0.payload)
    }

    /// The body as a value.
    ///
    /// # Errors
    /// It cannot be read as such.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.0.payload)
    }

    /// The headers; `None` if it was sent without a header block.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.0.headers.as_ref()
    }

    /// The first value of a header: by its exact name, else by one that differs in case only.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header::lookup(self.headers()?, name)
    }

    /// The error, if it is an error reply.
    #[must_use]
    pub fn error(&self) -> Option<ServiceError> {
        ServiceError::from_reply(&self.0)
    }

    /// The success code, if there is one.
    #[must_use]
    pub fn success_code(&self) -> Option<u32> {
        self.header(header::SUCCESS_CODE)?.parse().ok()
    }

    /// The message itself.
    #[must_use]
    pub fn into_message(self) -> Message {
        self.0
    }
}
