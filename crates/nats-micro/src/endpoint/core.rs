//! What one endpoint's task, its requests and its service share.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::config::PendingLimits;
use super::counters::{Counters, EndpointSnapshot};
use crate::document::EndpointInfo;
use crate::handler::Chain;
use crate::transport::Transport;

/// Which service and which instance of it.
#[derive(Debug)]
pub(crate) struct ServiceIdentity {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) version: String,
}

pub(crate) struct EndpointCore {
    pub(crate) service: Arc<ServiceIdentity>,
    pub(crate) info: EndpointInfo,
    pub(crate) queue_group: Option<String>,
    pub(crate) handler: Chain,
    /// Replies are held back until all middleware has seen them. spec: nats-micro 11
    pub(crate) captures: bool,
    pub(crate) concurrency: usize,
    pub(crate) limits: PendingLimits,
    pub(crate) transport: Transport,
    pub(crate) counters: Counters,
    /// Held by the one endpoint of the service that gives up its subscription at a quiet moment: nothing else is sent then.
    pub(crate) quiet: Arc<tokio::sync::Mutex<()>>,
    /// Cancelled when the service begins to stop.
    pub(crate) stopping: CancellationToken,
}

impl fmt::Debug for EndpointCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointCore")
            .field("service", &self.service)
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl EndpointCore {
    pub(crate) fn snapshot(&self) -> EndpointSnapshot {
        self.counters.snapshot(self.info.clone())
    }
}
