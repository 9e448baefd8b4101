//! [`NodeServer`]: nodes, and the wires they are served on.

mod error;
mod identity;
mod running;
mod shutdown;
mod wires;

use std::sync::Arc;
use std::time::Duration;

use nodewire_core::{AssetStore, DynNode, Executor, ExecutorConfig};
#[cfg(feature = "mcp")]
use tokio::io::{AsyncRead, AsyncWrite};

use self::shutdown::ShutdownHandler;
pub(crate) use self::wires::Wires;
#[cfg(feature = "autotrainer")]
use crate::autotrainer::AutotrainerConfig;
use crate::capability::Losses;
#[cfg(feature = "config")]
use crate::config::{self, NodewireConfig, Problems, Surroundings};
#[cfg(feature = "http")]
use crate::http::HttpConfig;
#[cfg(feature = "mcp")]
use crate::mcp::{McpConfig, McpOptions, StdioStreams};
use crate::metrics::{Metrics, MetricsConfig};
use crate::nanograph::{self, NanographConfig};
#[cfg(feature = "nats")]
use crate::nats::NatsConfig;
#[cfg(feature = "nnrp")]
use crate::nnrp::NnrpConfig;
use crate::program;
use crate::telemetry::settings::ExportSettings;
use crate::telemetry::{ExecutionTracer, Telemetry};

pub use self::error::ServeError;
pub(crate) use self::identity::Identity;
#[cfg(any(feature = "autotrainer", feature = "http", feature = "nnrp"))]
pub(crate) use self::identity::SOFTWARE;
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
    identity: Identity,
    telemetry: Option<Telemetry>,
    export: ExportSettings,
    drain: Duration,
    shutdown_handlers: Vec<ShutdownHandler>,
}

/// Builds a [`NodeServer`].
#[derive(Debug, Default)]
#[must_use]
pub struct NodeServerBuilder {
    nodes: Vec<Arc<dyn DynNode>>,
    parts: Parts,
    #[cfg(feature = "config")]
    config: Option<NodewireConfig>,
    #[cfg(feature = "config")]
    has_own_arguments: bool,
    telemetry: Option<Telemetry>,
    assets: Option<AssetsFrom>,
    shutdown_handlers: Vec<ShutdownHandler>,
}

/// What a configuration may change.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) executor: ExecutorConfig,
    pub(crate) wires: Wires,
    pub(crate) drain: Option<Duration>,
    /// Where traces go to, unless the code says.
    pub(crate) export: ExportSettings,
    pub(crate) identity: Identity,
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
        self.parts.executor = config;
        self
    }

    /// Serves on the Nanograph wire. [`Self::run`] does so by itself if no wire is configured.
    pub fn nanograph(mut self, config: NanographConfig) -> Self {
        self.parts.wires.nanograph = Some(config);
        self
    }

    /// Serves on the NATS wire, as one service.
    #[cfg(feature = "nats")]
    pub fn nats(mut self, config: NatsConfig) -> Self {
        self.parts.wires.nats = Some(config);
        self
    }

    /// Serves on the Autotrainer wire, as one device service.
    #[cfg(feature = "autotrainer")]
    pub fn autotrainer(mut self, config: AutotrainerConfig) -> Self {
        self.parts.wires.autotrainer = Some(config);
        self
    }

    /// Serves on the NNRP wire.
    #[cfg(feature = "nnrp")]
    pub fn nnrp(mut self, config: NnrpConfig) -> Self {
        self.parts.wires.nnrp = Some(config);
        self
    }

    /// Serves plain HTTP.
    #[cfg(feature = "http")]
    pub fn http(mut self, config: HttpConfig) -> Self {
        self.parts.wires.http = Some(config);
        self
    }

    /// Serves MCP over streamable HTTP.
    #[cfg(feature = "mcp")]
    pub fn mcp(mut self, config: McpConfig) -> Self {
        self.parts.wires.mcp = Some(config);
        self
    }

    /// How MCP presents the nodes and what it bounds, over HTTP and stdio.
    #[cfg(feature = "mcp")]
    pub fn mcp_options(mut self, options: McpOptions) -> Self {
        self.parts.wires.mcp_options = options;
        self
    }

    /// Serves metrics on an address of their own, for servers without the HTTP wire; see [`metrics`](crate::metrics).
    pub fn metrics(mut self, config: MetricsConfig) -> Self {
        self.parts.wires.metrics = Some(config);
        self
    }

    /// Makes a span of each execution, and has it exported; see [`telemetry`](crate::telemetry). Who started the exporter
    /// stops it, after the server.
    pub fn telemetry(mut self, telemetry: &Telemetry) -> Self {
        self.telemetry = Some(telemetry.clone());
        self
    }

    /// What the server is called: over HTTP, NNRP and MCP, in help, and where a configuration names none, as NATS service
    /// and as device. By default the program's file name, or `node-server` without [`Self::run`].
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.parts.identity.name = Some(name.into());
        self
    }

    /// The server's version, by Semantic Versioning: `env!("CARGO_PKG_VERSION")` for instance. `0.0.0` by default.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.parts.identity.version = Some(version.into());
        self
    }

    /// Takes settings from here, which win over what the code configures. [`Self::run`] does not look for a
    /// `nodewire.toml` then, unless it is told to by a flag or a variable.
    #[cfg(feature = "config")]
    pub fn config(mut self, config: NodewireConfig) -> Self {
        self.config = Some(config);
        self
    }

    /// Leaves the command line to the program: [`Self::run`] takes no flags from it.
    #[cfg(feature = "config")]
    pub fn own_arguments(mut self) -> Self {
        self.has_own_arguments = true;
        self
    }

    /// Keeps assets here, instead of on the orchestrator's asset server.
    pub fn assets(mut self, store: Arc<dyn AssetStore>) -> Self {
        self.assets = Some(AssetsFrom(store));
        self
    }

    /// How long executions may go on after a stop was asked for; 5 s by default. Then they are cancelled.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.parts.drain = Some(drain);
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
    /// If two nodes have the same uid, or the configuration that was given is wrong. Of the environment nothing is looked
    /// at.
    #[cfg_attr(
        not(any(feature = "config", feature = "mcp")),
        expect(unused_mut, reason = "a configuration changes it")
    )]
    pub fn build(mut self) -> Result<NodeServer, ServeError> {
        #[cfg(feature = "config")]
        if let Some(config) = self.config.take() {
            let nodes = self.node_names();
            // Of a library nobody expects that it looks around.
            let around = Surroundings {
                lookup: &|_| None,
                folder: None,
                name: identity::NAME_DEFAULT,
                nodes: &nodes,
            };
            config::apply(&mut self.parts, &config.layers, around, Problems::default())?;
        }
        let identity = self.parts.identity;
        #[cfg(feature = "mcp")]
        identity.announce(&mut self.parts.wires.mcp_options);
        let executor = Executor::new(self.parts.executor);
        executor.registry().replace_all(self.nodes)?;
        let executor = match self.assets {
            Some(assets) => executor.with_assets(assets.0),
            None => executor,
        };
        Ok(NodeServer {
            executor,
            wires: self.parts.wires,
            identity,
            telemetry: self.telemetry,
            export: self.parts.export,
            drain: self.parts.drain.unwrap_or(DRAIN_DEFAULT),
            shutdown_handlers: self.shutdown_handlers,
        })
    }

    /// Builds and runs as a program: with `nodewire.toml`, the environment and the program's flags
    /// ([`config`](crate::config)), and then as [`NodeServer::run`]. Returns at once if it is only asked for help, its
    /// version or its configuration.
    ///
    /// # Errors
    /// As [`Self::build`] and [`NodeServer::run`].
    ///
    /// # Cancel safety
    /// Dropping this ends the server without a graceful stop.
    #[cfg_attr(
        not(feature = "config"),
        expect(unused_mut, reason = "a configuration changes it")
    )]
    pub async fn run(mut self) -> Result<(), ServeError> {
        #[cfg(feature = "config")]
        let nodes = self.node_names();
        #[cfg(feature = "config")]
        match program::configure(
            &mut self.parts,
            self.config.take(),
            self.has_own_arguments,
            &nodes,
        )? {
            None => return Ok(()),
            Some(program::Mode::Wires) => {}
            #[cfg(feature = "mcp")]
            Some(program::Mode::McpStdio) => {
                return Box::pin(self.build()?.run_mcp_stdio()).await;
            }
        }
        // The configurations of all wires are in it.
        Box::pin(self.build()?.run()).await
    }

    /// The uids of the nodes, in order.
    #[cfg(feature = "config")]
    fn node_names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self
            .nodes
            .iter()
            .map(|node| Arc::clone(&node.definition().uid))
            .collect();
        names.sort_unstable();
        names
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
    /// no wire was configured, exports traces where OpenTelemetry's variables or `[telemetry]` say, prints the ready line, and stops
    /// gracefully.
    ///
    /// # Errors
    /// If the configuration is wrong or a wire cannot start. Nothing is left running then.
    ///
    /// # Cancel safety
    /// Dropping this ends the server without a graceful stop.
    pub async fn run(mut self) -> Result<(), ServeError> {
        program::init_log(&program::LogSettings::default());
        program::init_tls();
        if self.wires.is_empty() {
            self.wires.nanograph = Some(program::nanograph_config()?);
        }
        let stop_signal = program::stop_signal().map_err(ServeError::Signals)?;
        let exporter = self.export();
        let running = self.start().await?;
        program::announce_ready();
        stop_signal.await;
        running.stop().await;
        if let Some(exporter) = exporter {
            exporter.stop().await;
        }
        Ok(())
    }

    /// Exports traces where OpenTelemetry's variables or the settings say, unless the program does by itself.
    fn export(&mut self) -> Option<Telemetry> {
        if self.telemetry.is_some() {
            return None;
        }
        self.telemetry = program::telemetry(&self.export);
        self.telemetry.clone()
    }

    /// Serves MCP to one client over a pair of streams, and on whatever wires are configured, until the client closes the
    /// input; then it stops gracefully.
    ///
    /// # Errors
    /// If a wire cannot start. Nothing is left running then.
    ///
    /// # Cancel safety
    /// Dropping this stops the server gracefully, in the background.
    #[cfg(feature = "mcp")]
    pub async fn serve_mcp_stdio(
        self,
        input: impl AsyncRead + Send + Unpin + 'static,
        output: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<(), ServeError> {
        let never = std::future::pending();
        self.serve_mcp_until(input, output, never).await
    }

    /// As [`Self::run`], but as a server of MCP on the process's standard input and output, and on whatever wires are
    /// configured, until the client closes the input, or SIGINT or SIGTERM. The log goes to standard error; there is no
    /// ready line.
    ///
    /// # Errors
    /// As [`Self::serve_mcp_stdio`], or if signals cannot be caught.
    ///
    /// # Cancel safety
    /// As [`Self::serve_mcp_stdio`].
    #[cfg(feature = "mcp")]
    pub async fn run_mcp_stdio(mut self) -> Result<(), ServeError> {
        program::init_log(&program::LogSettings::default());
        program::init_tls();
        let stop_signal = program::stop_signal().map_err(ServeError::Signals)?;
        let exporter = self.export();
        let (input, (output, written)) = (program::standard_input(), program::standard_output());
        self.serve_mcp_until(input, output, stop_signal).await?;
        written.await;
        if let Some(exporter) = exporter {
            exporter.stop().await;
        }
        Ok(())
    }

    #[cfg(feature = "mcp")]
    async fn serve_mcp_until(
        mut self,
        input: impl AsyncRead + Send + Unpin + 'static,
        output: impl AsyncWrite + Send + Unpin + 'static,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let (streams, ended) = StdioStreams::new(input, output);
        self.wires.mcp_stdio = Some(streams);
        let running = self.start().await?;
        tokio::select! {
            () = ended.cancelled() => {}
            () = stop => {}
        }
        running.stop().await;
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
        let identity = &self.identity;
        let started = self
            .wires
            .start(&executor, &losses, metrics.clone(), identity);
        let started = Box::pin(started).await?;
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
