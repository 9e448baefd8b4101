//! Metrics for Prometheus, with the same names on every wire.
//!
//! `GET /metrics` of the [HTTP wire](crate::http) tells them, with its token; a server without that wire can have a
//! listener for them alone ([`NodeServerBuilder::metrics`](crate::NodeServerBuilder::metrics), or `[metrics]` of
//! `nodewire.toml`). The text is that of OpenMetrics 1.0, which Prometheus reads.
//!
//! | Metric | Labels | Meaning |
//! |---|---|---|
//! | `nodewire_accepted_total` | `wire`, `node` | executions admitted |
//! | `nodewire_executions_total` | `wire`, `node`, `outcome` | ended: `completed`, `failed`, `cancelled`, `dropped` |
//! | `nodewire_execution_duration_seconds` | `wire`, `node` | histogram: from admission to end |
//! | `nodewire_in_flight` | `wire`, `node` | waiting or running now |
//! | `nodewire_queued` | `wire`, `node` | of those, waiting now |
//! | `nodewire_refused_total` | `wire`, `reason` | not admitted; the executor's reasons |
//! | `nodewire_lost_total` | `wire`, `feature` | executions that lost what their wire cannot carry |
//! | `nodewire_telemetry_spans_total` | `outcome` | spans exported, dropped, failed, rejected, where they are exported |
//!
//! `wire` is the wire's name; `direct` is what the program itself submitted. `node` is a registered node, and nothing else:
//! requests for others are refused. So the number of series is bounded by the program, whatever callers send.
//!
//! In every scrape and for each wire and node, `nodewire_accepted_total` is the sum of `nodewire_executions_total` and
//! `nodewire_in_flight`, and the histogram's count is that of the ended.

mod listener;
mod text;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use nodewire_core::Executor;
use nodewire_telemetry::Telemetry;

use self::text::Snapshot;
use crate::capability::{Losses, Wire};
#[cfg(feature = "http")]
use crate::http::Access;

pub(crate) use self::listener::start;

/// What the answer says it is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How to serve metrics on an address of their own.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MetricsConfig {
    /// Where to listen; `127.0.0.1` and any free port by default. There is no TLS. Requests of pages in a browser are
    /// refused.
    pub address: SocketAddr,
    /// Who may read them; by default whoever reaches the port, who learns how many executions there were, and the nodes'
    /// names.
    #[cfg(feature = "http")]
    pub access: Access,
    /// Connections at once; 16 by default. Further ones wait in the system's queue.
    pub connections_max: usize,
}

/// The metrics' listener cannot start.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be served on {address}; stop what listens there or choose another address")]
pub struct MetricsError {
    /// Where it should have listened.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub source: std::io::Error,
}

impl MetricsConfig {
    /// On loopback, at any free port.
    #[must_use]
    pub fn new() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            #[cfg(feature = "http")]
            access: Access::Open,
            connections_max: 16,
        }
    }

    /// Listens here.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }
}

#[cfg(feature = "http")]
impl MetricsConfig {
    /// Admits those who know this token, or everybody. A token that is empty, or that no header can carry, is
    /// refused at the start.
    #[must_use]
    pub fn access(mut self, access: impl Into<Access>) -> Self {
        self.access = access.into();
        self
    }

    fn is_open(&self) -> bool {
        self.access.token().is_none()
    }

    fn check_token(&self) -> std::io::Result<()> {
        let wrong = |error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
        self.access.check_token().map_err(wrong)
    }

    /// Whether a request with this `Authorization` may read them.
    fn admits(&self, authorization: &[u8]) -> bool {
        let token = self.access.token();
        token.is_none_or(|token| token.admits(authorization))
    }
}

/// There are no tokens without the wire that has them.
#[cfg(not(feature = "http"))]
impl MetricsConfig {
    const fn is_open(&self) -> bool {
        true
    }

    const fn check_token(&self) -> std::io::Result<()> {
        Ok(())
    }

    const fn admits(&self, _authorization: &[u8]) -> bool {
        true
    }
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Where metrics are read from. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Arc<Sources>);

#[derive(Debug)]
struct Sources {
    executor: Executor,
    losses: Losses,
    /// Those that are served: they have all their series from the start.
    wires: Vec<Wire>,
    telemetry: Option<Telemetry>,
}

impl Metrics {
    pub(crate) fn new(
        executor: Executor,
        losses: Losses,
        wires: Vec<Wire>,
        telemetry: Option<Telemetry>,
    ) -> Self {
        Self(Arc::new(Sources {
            executor,
            losses,
            wires,
            telemetry,
        }))
    }

    /// Everything at this moment.
    ///
    /// # Errors
    /// Never, as far as is known: a string takes any text.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        Snapshot::take(&self.0).text()
    }
}
