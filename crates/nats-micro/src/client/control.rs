//! The instances of one service, and one of them. spec: nats-micro 3, 10.2

use std::time::Duration;

use super::discovery::Discovery;
use super::error::{CallError, ControlError, LookupError};
use super::handle::Client;
use super::lookup::find_endpoint;
use super::reply::received;
use super::request::OutgoingRequest;
use super::subject::has_wildcards;
use crate::document::{Document, EndpointInfo, Info, Ping, Stats};
use crate::response::Reply;

/// The instances of one service; made by [`Client::service`].
#[derive(Debug, Clone)]
pub struct ServiceClient {
    client: Client,
    name: String,
}

impl ServiceClient {
    pub(super) fn new(client: &Client, name: String) -> Self {
        Self {
            client: client.clone(),
            name,
        }
    }

    /// The service's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One instance.
    #[must_use]
    pub fn instance(&self, id: impl Into<String>) -> InstanceClient {
        InstanceClient {
            client: self.client.clone(),
            name: self.name.clone(),
            id: id.into(),
            timeout: self.client.limits().max_wait,
        }
    }

    /// Asks the instances who they are.
    pub fn ping(&self) -> Discovery<Ping> {
        Discovery::new(&self.client, Some(self.name.clone()))
    }

    /// Asks the instances what endpoints there are.
    pub fn info(&self) -> Discovery<Info> {
        Discovery::new(&self.client, Some(self.name.clone()))
    }

    /// Asks the instances what their endpoints have done.
    pub fn stats(&self) -> Discovery<Stats> {
        Discovery::new(&self.client, Some(self.name.clone()))
    }

    /// Looks an endpoint up by its name: the first instance that has it is enough. To call it often, keep its subject.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// The service does not answer, or has no such endpoint or several.
    pub async fn endpoint(&self, endpoint: &str) -> Result<EndpointInfo, LookupError> {
        find_endpoint(self, endpoint).await
    }

    /// Looks an endpoint up by its name and sends a request to it.
    ///
    /// Dropping the future gives up the reply; the request may have been sent.
    ///
    /// # Errors
    /// The endpoint was not found or answers on many subjects, or the request has no reply.
    pub async fn request(
        &self,
        endpoint: &str,
        request: impl Into<OutgoingRequest>,
    ) -> Result<Reply, CallError> {
        let request = request.into();
        let EndpointInfo { subject, .. } = self.endpoint(endpoint).await?;
        if has_wildcards(&subject) {
            return Err(CallError::Wildcards {
                endpoint: endpoint.to_owned(),
                subject,
            });
        }
        Ok(self.client.request(&subject, request).await?)
    }
}

/// One instance of a service; made by [`Client::instance`].
#[derive(Debug, Clone)]
pub struct InstanceClient {
    client: Client,
    name: String,
    id: String,
    timeout: Duration,
}

impl InstanceClient {
    /// How long the instance may take to answer, instead of the client's `max_wait`.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Asks who it is.
    ///
    /// Dropping the future gives up the reply.
    ///
    /// # Errors
    /// It is not there, does not answer in time, or not with such a document.
    pub async fn ping(&self) -> Result<Ping, ControlError> {
        self.ask().await
    }

    /// Asks what endpoints there are.
    ///
    /// Dropping the future gives up the reply.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn info(&self) -> Result<Info, ControlError> {
        self.ask().await
    }

    /// Asks what its endpoints have done.
    ///
    /// Dropping the future gives up the reply.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn stats(&self) -> Result<Stats, ControlError> {
        self.ask().await
    }

    async fn ask<D: Document>(&self) -> Result<D, ControlError> {
        let prefix = self.client.control_prefix();
        let subject = D::VERB.subject(prefix, Some(&self.name), Some(&self.id));
        let request = OutgoingRequest::default();
        let message = self.client.reply_to(&subject, request, self.timeout);
        let reply = received(message.await?).map_err(super::RequestError::Service)?;
        Ok(D::parse(&reply.payload)?)
    }
}
