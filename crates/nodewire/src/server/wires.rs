//! Any set of wires, started together or not at all.

use std::net::SocketAddr;
use std::time::Duration;

use nodewire_core::{BoxFuture, Executor};

use super::error::ServeError;
use super::identity::Identity;
use super::shutdown::close_all;
#[cfg(feature = "autotrainer")]
use crate::autotrainer::{self, AutotrainerConfig};
use crate::capability::{self, Losses, Wire};
#[cfg(feature = "http")]
use crate::http::{self, HttpConfig};
#[cfg(feature = "mcp")]
use crate::mcp::{self, McpConfig, McpOptions};
use crate::metrics::{self, Metrics, MetricsConfig};
use crate::nanograph::{self, NanographConfig};
#[cfg(feature = "nats")]
use crate::nats::{self, NatsConfig};
#[cfg(feature = "nnrp")]
use crate::nnrp::{self, NnrpConfig};

/// How long one shutdown handler may take, unless the Nanograph wire's limits say otherwise.
const SHUTDOWN_HANDLER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long wires that had started may take to close, when another could not start.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(1);

/// A wire that can be reached. Dropping it ends it, in the background.
pub(crate) trait RunningWire: Send + 'static {
    /// Stops taking requests, where the wire can do so without losing any; what was taken goes on. Completes when
    /// nothing is left, or may be dropped before.
    fn leave(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Sends what is still to be said, for `time` at most, and ends the wire. The executor has drained before.
    fn close(self: Box<Self>, time: Duration) -> BoxFuture<'static, ()>;
}

/// What is to be served on.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    pub(crate) nanograph: Option<NanographConfig>,
    #[cfg(feature = "nats")]
    pub(crate) nats: Option<NatsConfig>,
    #[cfg(feature = "autotrainer")]
    pub(crate) autotrainer: Option<AutotrainerConfig>,
    #[cfg(feature = "nnrp")]
    pub(crate) nnrp: Option<NnrpConfig>,
    #[cfg(feature = "http")]
    pub(crate) http: Option<HttpConfig>,
    #[cfg(feature = "mcp")]
    pub(crate) mcp: Option<McpConfig>,
    #[cfg(feature = "mcp")]
    pub(crate) mcp_options: McpOptions,
    #[cfg(feature = "mcp")]
    pub(crate) mcp_stdio: Option<mcp::StdioStreams>,
    /// Metrics on an address of their own, which is no wire.
    pub(crate) metrics: Option<MetricsConfig>,
}

/// Where the wires can be reached.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses {
    pub(super) nanograph: Option<SocketAddr>,
    #[cfg(feature = "nats")]
    pub(super) nats: Option<nats::NatsAddress>,
    #[cfg(feature = "autotrainer")]
    pub(super) autotrainer: Option<autotrainer::Status>,
    #[cfg(feature = "nnrp")]
    pub(super) nnrp: Option<(SocketAddr, nnrp::Counted)>,
    #[cfg(feature = "http")]
    pub(super) http: Option<SocketAddr>,
    #[cfg(feature = "mcp")]
    pub(super) mcp: Option<(SocketAddr, mcp::Counted)>,
    pub(super) metrics: Option<SocketAddr>,
}

/// The wires that serve.
#[derive(Default)]
pub(super) struct Started {
    pub(super) running: Vec<Box<dyn RunningWire>>,
    wires: Vec<Wire>,
    pub(super) addresses: Addresses,
}

impl Wires {
    pub(crate) fn is_empty(&self) -> bool {
        self.served().is_empty()
    }

    /// Those that are configured.
    pub(super) fn served(&self) -> Vec<Wire> {
        let configured = |wire: &Wire| match wire {
            Wire::Nanograph => self.nanograph.is_some(),
            #[cfg(feature = "nats")]
            Wire::Nats => self.nats.is_some(),
            #[cfg(feature = "autotrainer")]
            Wire::Autotrainer => self.autotrainer.is_some(),
            #[cfg(feature = "nnrp")]
            Wire::Nnrp => self.nnrp.is_some(),
            #[cfg(feature = "http")]
            Wire::Http => self.http.is_some(),
            #[cfg(feature = "mcp")]
            Wire::Mcp => self.mcp.is_some() || self.mcp_stdio.is_some(),
            #[cfg(not(all(
                feature = "autotrainer",
                feature = "http",
                feature = "mcp",
                feature = "nats",
                feature = "nnrp"
            )))]
            _ => false,
        };
        Wire::ALL.into_iter().filter(configured).collect()
    }

    pub(super) fn shutdown_handler_timeout(&self) -> Duration {
        self.nanograph
            .as_ref()
            .map_or(SHUTDOWN_HANDLER_TIMEOUT, |config| {
                config.limits.shutdown_handler_timeout
            })
    }

    /// Starts all of them.
    ///
    /// # Errors
    /// One cannot start; the others are closed again.
    pub(super) async fn start(
        self,
        executor: &Executor,
        losses: &Losses,
        metrics: Metrics,
        identity: &Identity,
    ) -> Result<Started, ServeError> {
        let mut started = Started::default();
        let shared = Common {
            executor,
            losses,
            identity,
        };
        let all = self.start_each(shared, metrics, &mut started);
        match all.await {
            Ok(()) => {
                started.log();
                Ok(started)
            }
            Err(error) => {
                close_all(started.running, GIVE_UP_TIMEOUT).await;
                Err(error)
            }
        }
    }

    async fn start_each(
        self,
        Common {
            executor,
            losses,
            identity,
        }: Common<'_>,
        metrics: Metrics,
        started: &mut Started,
    ) -> Result<(), ServeError> {
        let from = |wire: Wire| of_wire(executor, wire);
        if let Some(config) = self.nanograph {
            let wire = nanograph::start(&config, from(Wire::Nanograph)).await?;
            started.addresses.nanograph = Some(wire.address());
            started.add(Wire::Nanograph, wire);
        }
        #[cfg(feature = "nats")]
        if let Some(config) = self.nats {
            let wire = nats::start(config, from(Wire::Nats), losses.clone()).await?;
            started.addresses.nats = Some(wire.address());
            started.add(Wire::Nats, wire);
        }
        #[cfg(feature = "autotrainer")]
        if let Some(config) = self.autotrainer {
            let wire =
                autotrainer::start(config, from(Wire::Autotrainer), losses.clone(), identity)
                    .await?;
            started.addresses.autotrainer = Some(wire.status());
            started.add(Wire::Autotrainer, wire);
        }
        #[cfg(feature = "nnrp")]
        if let Some(config) = self.nnrp {
            let wire = nnrp::start(config, from(Wire::Nnrp), losses.clone(), identity).await?;
            started.addresses.nnrp = Some((wire.address(), wire.counted()));
            started.add(Wire::Nnrp, wire);
        }
        #[cfg(feature = "mcp")]
        let mcp = {
            let options = || self.mcp_options.clone();
            if let Some(streams) = self.mcp_stdio {
                let executor = from(Wire::Mcp);
                let wire = mcp::start_stdio(streams, options(), executor, losses.clone());
                started.add(Wire::Mcp, wire);
            }
            let prepare = |config| mcp::prepare(config, options(), from(Wire::Mcp), losses.clone());
            self.mcp.map(prepare).transpose()?
        };
        #[cfg(feature = "http")]
        if let Some(config) = self.http {
            #[cfg(feature = "mcp")]
            let further = mcp.as_ref().and_then(mcp::Prepared::beside_http);
            #[cfg(not(feature = "mcp"))]
            let further = None;
            let shown = http::Shown {
                losses: losses.clone(),
                metrics: metrics.clone(),
                identity: identity.clone(),
            };
            let wire = http::start(config, from(Wire::Http), shown, further).await?;
            started.addresses.http = Some(wire.address());
            started.add(Wire::Http, wire);
        }
        #[cfg(feature = "mcp")]
        if let Some(mcp) = mcp {
            let wire = mcp.start(started.addresses.http).await?;
            started.addresses.mcp = Some((wire.address(), wire.counted()));
            started.add(Wire::Mcp, wire);
        }
        if let Some(config) = self.metrics {
            let listener = metrics::start(config, metrics).await?;
            started.addresses.metrics = Some(listener.address());
            started.running.push(Box::new(listener));
        }
        let _ = (losses, identity);
        Ok(())
    }
}

/// What all wires get.
#[derive(Clone, Copy)]
struct Common<'a> {
    executor: &'a Executor,
    losses: &'a Losses,
    identity: &'a Identity,
}

/// The executor as a wire has it: statistics tell the wires apart, and callers are told of inputs and parameters that a
/// node does not have. But not orchestrators: they send what a graph says that may have been saved before the node changed,
/// and their own servers ignore what is unknown. spec: nanograph 9, 17.4
fn of_wire(executor: &Executor, wire: Wire) -> Executor {
    let executor = executor.clone().with_origin(wire.name());
    match wire {
        Wire::Nanograph => executor,
        Wire::Nats | Wire::Autotrainer | Wire::Nnrp | Wire::Http | Wire::Mcp => {
            executor.refusing_unknown()
        }
    }
}

impl Started {
    fn add(&mut self, wire: Wire, running: impl RunningWire) {
        self.wires.push(wire);
        self.running.push(Box::new(running));
    }

    fn log(&self) {
        self.addresses.log();
        self.wires.iter().copied().for_each(capability::log);
    }
}

impl Addresses {
    /// Says where each wire can be reached.
    fn log(&self) {
        if let Some(address) = self.nanograph {
            tracing::info!(%address, "serving the Nanograph wire");
        }
        #[cfg(feature = "nats")]
        if let Some(address) = &self.nats {
            tracing::info!(
                service = address.service,
                id = address.id,
                "serving the NATS wire"
            );
        }
        #[cfg(feature = "autotrainer")]
        if let Some(wire) = &self.autotrainer {
            let address = wire.address();
            tracing::info!(
                events = ?address.events,
                commands = ?address.commands,
                "serving the Autotrainer wire"
            );
        }
        #[cfg(feature = "nnrp")]
        if let Some((address, _)) = &self.nnrp {
            tracing::info!(%address, "serving the NNRP wire");
        }
        #[cfg(feature = "http")]
        if let Some(address) = self.http {
            tracing::info!(%address, "serving plain HTTP");
        }
        #[cfg(feature = "mcp")]
        if let Some((address, _)) = &self.mcp {
            tracing::info!(%address, "serving MCP at /mcp");
        }
        if let Some(address) = self.metrics {
            tracing::info!(%address, "serving metrics");
        }
    }
}
