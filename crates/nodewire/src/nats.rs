//! Nodes on the NATS wire: one service per server.

use nats_micro::{Service, StartError};
use nodewire_core::{BoxFuture, Executor};
use std::time::Duration;

use crate::capability::Losses;
use crate::server::RunningWire;

/// How to serve the NATS wire.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NatsConfig {
    /// The service's name; all instances of a service share it.
    pub service: String,
    /// The service's version, by Semantic Versioning.
    pub version: String,
    /// The connection to serve on.
    pub client: async_nats::Client,
}

impl NatsConfig {
    /// Serves on a connection that exists.
    pub fn new(
        service: impl Into<String>,
        version: impl Into<String>,
        client: async_nats::Client,
    ) -> Self {
        Self {
            service: service.into(),
            version: version.into(),
            client,
        }
    }
}

/// Why the NATS wire did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// The service did not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Under which names the wire can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsAddress {
    /// The service.
    pub service: String,
    /// This instance of it.
    pub id: String,
}

/// The wire, serving.
#[derive(Debug)]
pub(crate) struct RunningNats {
    service: Service,
}

pub(crate) async fn start(
    config: NatsConfig,
    _executor: Executor,
    _losses: Losses,
) -> Result<RunningNats, NatsError> {
    let service = Service::builder(config.service, config.version);
    let service = service.start(&config.client).await?;
    Ok(RunningNats { service })
}

impl RunningNats {
    pub(crate) fn address(&self) -> NatsAddress {
        NatsAddress {
            service: self.service.name().to_owned(),
            id: self.service.id().to_owned(),
        }
    }
}

impl RunningWire for RunningNats {
    fn close(self: Box<Self>, _time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.service.stop().await;
        })
    }
}
