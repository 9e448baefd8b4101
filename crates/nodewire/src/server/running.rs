//! A server that can be reached.

use std::net::SocketAddr;

use nodewire_core::Executor;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::shutdown::Shutdown;
use super::wires::{Addresses, Started};
#[cfg(feature = "autotrainer")]
use crate::autotrainer::{AutotrainerAddress, AutotrainerCounts};
use crate::capability::{Losses, Lost};
#[cfg(feature = "mcp")]
use crate::mcp::McpCounts;
use crate::metrics::Metrics;
#[cfg(feature = "nats")]
use crate::nats::NatsAddress;
#[cfg(feature = "nnrp")]
use crate::nnrp::NnrpCounts;

/// A server that can be reached. Dropping it stops it gracefully, in the background.
#[derive(Debug)]
pub struct RunningServer {
    executor: Executor,
    addresses: Addresses,
    losses: Losses,
    metrics: Metrics,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningServer {
    pub(super) fn new(
        executor: Executor,
        started: Started,
        (losses, metrics): (Losses, Metrics),
        shutdown: Shutdown,
    ) -> Self {
        let stop = CancellationToken::new();
        let asked = stop.clone();
        let wires = started.running;
        let draining = executor.clone();
        let task = tokio::spawn(async move {
            asked.cancelled().await;
            shutdown.run(wires, draining).await;
        });
        Self {
            executor,
            addresses: started.addresses,
            losses,
            metrics,
            stop,
            task,
        }
    }

    /// Where the Nanograph wire listens, if it is served.
    #[must_use]
    pub fn nanograph_address(&self) -> Option<SocketAddr> {
        self.addresses.nanograph
    }

    /// Under which names the NATS wire can be reached, if it is served.
    #[cfg(feature = "nats")]
    #[must_use]
    pub fn nats_address(&self) -> Option<&NatsAddress> {
        self.addresses.nats.as_ref()
    }

    /// Where the Autotrainer wire listens, if it is served.
    #[cfg(feature = "autotrainer")]
    #[must_use]
    pub fn autotrainer_address(&self) -> Option<AutotrainerAddress> {
        self.addresses.autotrainer.as_ref().map(|it| it.address())
    }

    /// What the Autotrainer wire counts, if it is served.
    #[cfg(feature = "autotrainer")]
    #[must_use]
    pub fn autotrainer_counts(&self) -> Option<AutotrainerCounts> {
        self.addresses.autotrainer.as_ref().map(|it| it.counts())
    }

    /// Where the NNRP wire listens, for all its transports, if it is served.
    #[cfg(feature = "nnrp")]
    #[must_use]
    pub fn nnrp_address(&self) -> Option<SocketAddr> {
        self.addresses.nnrp.as_ref().map(|(address, _)| *address)
    }

    /// What the NNRP wire counts, if it is served.
    #[cfg(feature = "nnrp")]
    #[must_use]
    pub fn nnrp_counts(&self) -> Option<NnrpCounts> {
        self.addresses.nnrp.as_ref().map(|(_, it)| it.snapshot())
    }

    /// Where plain HTTP listens, if it is served.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.addresses.http
    }

    /// Where metrics are served on an address of their own, if they are.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.addresses.metrics
    }

    /// All metrics at this moment, as OpenMetrics text; see [`crate::metrics`].
    ///
    /// # Errors
    /// Never, as far as is known: the library that writes them could fail.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        self.metrics.text()
    }

    /// Where MCP is served over HTTP, at `/mcp`, if it is.
    #[cfg(feature = "mcp")]
    #[must_use]
    pub fn mcp_address(&self) -> Option<SocketAddr> {
        self.addresses.mcp.as_ref().map(|(address, _)| *address)
    }

    /// What MCP over HTTP counts, if it is served.
    #[cfg(feature = "mcp")]
    #[must_use]
    pub fn mcp_counts(&self) -> Option<McpCounts> {
        self.addresses.mcp.as_ref().map(|(_, it)| it.snapshot())
    }

    /// The executor behind all wires.
    #[must_use]
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// What executions lost so far because their wire could not carry it; see [`crate::capability`].
    #[must_use]
    pub fn lost(&self) -> Vec<Lost> {
        self.losses.snapshot()
    }

    /// Takes no new requests, lets those that run finish within the drain time, cancels the rest, closes the wires, and
    /// runs the shutdown handlers.
    ///
    /// # Cancel safety
    /// The stop goes on in the background if this is dropped.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "the server's task failed");
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
