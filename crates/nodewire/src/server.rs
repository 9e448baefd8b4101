//! [`NodeServer`]: nodes, and the wires they are served on.

mod error;
mod running;
mod shutdown;
mod wires;

use std::sync::Arc;
use std::time::Duration;

use nodewire_core::{AssetStore, DynNode, Executor, ExecutorConfig};

use self::shutdown::ShutdownHandler;
use self::wires::Wires;
#[cfg(feature = "autotrainer")]
use crate::autotrainer::AutotrainerConfig;
use crate::capability::Losses;
#[cfg(feature = "http")]
use crate::http::HttpConfig;
use crate::metrics::{Metrics, MetricsConfig};
use crate::nanograph::{self, NanographConfig};
#[cfg(feature = "nats")]
use crate::nats::NatsConfig;
#[cfg(feature = "nnrp")]
use crate::nnrp::NnrpConfig;
use crate::program;
use crate::telemetry::{ExecutionTracer, Telemetry};

pub use self::error::ServeError;
pub use self::running::RunningServer;
pub use self::shutdown::ShutdownError;
pub(crate) use self::wires::RunningWire;

/// How long executions may go on after a stop was asked for; orchestrators wait 10 s before they insist.
const DRAIN_DEFAULT: Duration = Duration::from_secs(5);

/// Nodes and the wires they are served on; see the crate documentation for an example.
#[derive(Debug)]
pub struct NodeServer {
    executor: Executor,
    wires: Wires,
    metrics: Option<MetricsConfig>,
    telemetry: Option<Telemetry>,
    drain: Duration,
    shutdown_handlers: Vec<ShutdownHandler>,
}

/// Builds a [`NodeServer`].
#[derive(Debug, Default)]
#[must_use]
pub struct NodeServerBuilder {
    nodes: Vec<Arc<dyn DynNode>>,
    executor: ExecutorConfig,
    wires: Wires,
    metrics: Option<MetricsConfig>,
    telemetry: Option<Telemetry>,
    assets: Option<AssetsFrom>,
    drain: Option<Duration>,
    shutdown_handlers: Vec<ShutdownHandler>,
}

/// A store of the author's own.
struct AssetsFrom(Arc<dyn AssetStore>);

impl std::fmt::Debug for AssetsFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AssetStore")
    }
}

impl NodeServerBuilder {
    /// Adds a node.
    pub fn node(mut self, node: impl DynNode) -> Self {
        self.nodes.push(Arc::new(node));
        self
    }

    /// Sets the executor's bounds.
    pub fn executor(mut self, config: ExecutorConfig) -> Self {
        self.executor = config;
        self
    }

    /// Serves on the Nanograph wire. [`Self::run`] does so by itself if no wire is configured.
    pub fn nanograph(mut self, config: NanographConfig) -> Self {
        self.wires.nanograph = Some(config);
        self
    }

    /// Serves on the NATS wire, as one service.
    #[cfg(feature = "nats")]
    pub fn nats(mut self, config: NatsConfig) -> Self {
        self.wires.nats = Some(config);
        self
    }

    /// Serves on the Autotrainer wire, as one device service.
    #[cfg(feature = "autotrainer")]
    pub fn autotrainer(mut self, config: AutotrainerConfig) -> Self {
        self.wires.autotrainer = Some(config);
        self
    }

    /// Serves on the NNRP wire.
    #[cfg(feature = "nnrp")]
    pub fn nnrp(mut self, config: NnrpConfig) -> Self {
        self.wires.nnrp = Some(config);
        self
    }

    /// Serves plain HTTP.
    #[cfg(feature = "http")]
    pub fn http(mut self, config: HttpConfig) -> Self {
        self.wires.http = Some(config);
        self
    }

    /// Serves metrics on an address of their own, for servers without the HTTP wire; see [`metrics`](crate::metrics).
    pub fn metrics(mut self, config: MetricsConfig) -> Self {
        self.metrics = Some(config);
        self
    }

    /// Makes a span of each execution, and has it exported; see [`telemetry`](crate::telemetry). Who started the exporter
    /// stops it, after the server.
    pub fn telemetry(mut self, telemetry: &Telemetry) -> Self {
        self.telemetry = Some(telemetry.clone());
        self
    }

    /// Keeps assets here, instead of on the orchestrator's asset server.
    pub fn assets(mut self, store: Arc<dyn AssetStore>) -> Self {
        self.assets = Some(AssetsFrom(store));
        self
    }

    /// How long executions may go on after a stop was asked for; 5 s by default. Then they are cancelled.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = Some(drain);
        self
    }

    /// Does something after all wires are closed. Handlers run in the order in which they were added; one that fails,
    /// panics or takes longer than 30 s (or what the Nanograph wire's limits say) is logged under its name, and the next
    /// one runs.
    pub fn on_shutdown(
        mut self,
        name: impl Into<String>,
        work: impl Future<Output = Result<(), ShutdownError>> + Send + 'static,
    ) -> Self {
        self.shutdown_handlers.push(ShutdownHandler {
            name: name.into(),
            work: Box::pin(work),
        });
        self
    }

    /// The server, not yet started.
    ///
    /// # Errors
    /// If two nodes have the same uid.
    pub fn build(self) -> Result<NodeServer, ServeError> {
        let executor = Executor::new(self.executor);
        executor.registry().replace_all(self.nodes)?;
        let executor = match self.assets {
            Some(assets) => executor.with_assets(assets.0),
            None => executor,
        };
        Ok(NodeServer {
            executor,
            wires: self.wires,
            metrics: self.metrics,
            telemetry: self.telemetry,
            drain: self.drain.unwrap_or(DRAIN_DEFAULT),
            shutdown_handlers: self.shutdown_handlers,
        })
    }

    /// Builds and runs as a program; see [`NodeServer::run`].
    ///
    /// # Errors
    /// As [`Self::build`] and [`NodeServer::run`].
    pub async fn run(self) -> Result<(), ServeError> {
        // The configurations of all wires are in it.
        Box::pin(self.build()?.run()).await
    }
}

impl NodeServer {
    /// Starts building one.
    pub fn builder() -> NodeServerBuilder {
        NodeServerBuilder::default()
    }

    /// The executor behind all wires; its registry may change while the server runs. Not every wire follows changes: see
    /// its module.
    #[must_use]
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Runs as a program until SIGINT or SIGTERM: logs to standard error, reads `nanoserver.json` and the environment if
    /// no wire was configured, exports traces where OpenTelemetry's variables say, prints the ready line, and stops
    /// gracefully.
    ///
    /// # Errors
    /// If the configuration is wrong or a wire cannot start. Nothing is left running then.
    ///
    /// # Cancel safety
    /// Dropping this ends the server without a graceful stop.
    pub async fn run(mut self) -> Result<(), ServeError> {
        program::init_log();
        program::init_tls();
        if self.wires.is_empty() {
            self.wires.nanograph = Some(program::nanograph_config()?);
        }
        let stop_signal = program::stop_signal().map_err(ServeError::Signals)?;
        let exporter = if self.telemetry.is_none() {
            self.telemetry = program::telemetry();
            self.telemetry.clone()
        } else {
            None
        };
        let running = self.start().await?;
        program::announce_ready();
        stop_signal.await;
        running.stop().await;
        if let Some(exporter) = exporter {
            exporter.stop().await;
        }
        Ok(())
    }

    /// Starts serving on all wires that are configured, and returns once each can be reached.
    ///
    /// # Errors
    /// If no wire is configured, or one cannot start; those that had started are stopped then.
    ///
    /// # Cancel safety
    /// If dropped before completion, what had started stops, in the background.
    pub async fn start(self) -> Result<RunningServer, ServeError> {
        if self.wires.is_empty() {
            return Err(ServeError::NoWire);
        }
        let executor = with_assets(self.executor, self.wires.nanograph.as_ref())?;
        let handler_time = self.wires.shutdown_handler_timeout();
        let losses = Losses::default();
        let metrics = Metrics::new(
            executor.clone(),
            losses.clone(),
            self.wires.served(),
            self.telemetry.clone(),
        );
        let executor = match &self.telemetry {
            Some(telemetry) => {
                executor.with_observer(Arc::new(ExecutionTracer(telemetry.tracer().clone())))
            }
            None => executor,
        };
        // Boxed, as it holds what all wires need to start.
        let served = (metrics.clone(), self.metrics);
        let started = Box::pin(self.wires.start(&executor, &losses, served)).await?;
        let shutdown = shutdown::Shutdown {
            drain: self.drain,
            handlers: self.shutdown_handlers,
            handler_time,
        };
        Ok(RunningServer::new(
            executor,
            started,
            (losses, metrics),
            shutdown,
        ))
    }
}

/// The orchestrator's asset server, where the author has no store of their own.
fn with_assets(
    executor: Executor,
    config: Option<&NanographConfig>,
) -> Result<Executor, ServeError> {
    let Some(config) = config.filter(|_| !executor.assets().is_available()) else {
        return Ok(executor);
    };
    Ok(match config.assets.clone() {
        Some(assets) => executor.with_assets(nanograph::asset_store(assets, config)?),
        None => executor,
    })
}
