//! [`NodeServer`]: nodes, and the wires they are served on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nodewire_core::{AssetStore, BoxFuture, DynNode, Executor, ExecutorConfig, RegistryError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::nanograph::{self, NanographConfig, Transfers};
use crate::program;

/// How long executions may go on after a stop was asked for; orchestrators wait 10 s before they insist.
const DRAIN_DEFAULT: Duration = Duration::from_secs(5);

/// Nodes and the wires they are served on; see the crate documentation for an example.
#[derive(Debug)]
pub struct NodeServer {
    executor: Executor,
    nanograph: Option<NanographConfig>,
    drain: Duration,
    shutdown_handlers: Vec<ShutdownHandler>,
}

/// Something to do when the server stops.
struct ShutdownHandler {
    name: String,
    work: BoxFuture<'static, Result<(), ShutdownError>>,
}

/// Why a shutdown handler failed.
pub type ShutdownError = Box<dyn std::error::Error + Send + Sync>;

impl std::fmt::Debug for ShutdownHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShutdownHandler")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Why a server could not be built, started or run. `Debug` is for people, too: it is what a `main` that returns this
/// prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Two nodes with the same uid.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// `nanoserver.json` is missing or wrong.
    #[error(transparent)]
    Config(#[from] ::nanograph::config::ConfigError),
    /// The asset server's address or token cannot be used.
    #[error(transparent)]
    Assets(#[from] ::nanograph::assets::AssetError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ::nanograph::server::ServerError),
    /// No wire was configured.
    #[error("no wire is configured: call `nanograph(config)`, or `run()` beside a nanoserver.json")]
    NoWire,
    /// Signals cannot be caught.
    #[error("signals cannot be caught")]
    Signals(#[source] std::io::Error),
}

impl std::fmt::Debug for ServeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let reason = error.to_string();
            // Some texts have their cause in them already.
            if !text.contains(&reason) {
                text.push_str(": ");
                text.push_str(&reason);
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}

/// Builds a [`NodeServer`].
#[derive(Debug, Default)]
#[must_use]
pub struct NodeServerBuilder {
    nodes: Vec<Arc<dyn DynNode>>,
    executor: ExecutorConfig,
    nanograph: Option<NanographConfig>,
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
        self.nanograph = Some(config);
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

    /// Does something after the connections are closed. Handlers run in the order in which they were added; one that
    /// fails, panics or takes too long is logged under its name, and the next one runs.
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
            nanograph: self.nanograph,
            drain: self.drain.unwrap_or(DRAIN_DEFAULT),
            shutdown_handlers: self.shutdown_handlers,
        })
    }

    /// Builds and runs as a program; see [`NodeServer::run`].
    ///
    /// # Errors
    /// As [`Self::build`] and [`NodeServer::run`].
    pub async fn run(self) -> Result<(), ServeError> {
        self.build()?.run().await
    }
}

impl NodeServer {
    /// Starts building one.
    pub fn builder() -> NodeServerBuilder {
        NodeServerBuilder::default()
    }

    /// The executor behind all wires; its registry may change while the server runs.
    #[must_use]
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Runs as a program until SIGINT or SIGTERM: logs to standard error, reads `nanoserver.json` and the environment if
    /// no wire was configured, prints the ready line, and stops gracefully.
    ///
    /// # Errors
    /// If the configuration is wrong or the address taken. Nothing was started then.
    ///
    /// # Cancel safety
    /// Dropping this ends the server without a graceful stop.
    pub async fn run(mut self) -> Result<(), ServeError> {
        program::init_log();
        program::init_tls();
        if self.nanograph.is_none() {
            self.nanograph = Some(program::nanograph_config()?);
        }
        let stop_signal = program::stop_signal().map_err(ServeError::Signals)?;
        let running = self.start().await?;
        tracing::info!(address = %running.nanograph_address(), "serving the Nanograph wire");
        program::announce_ready();
        stop_signal.await;
        running.stop().await;
        Ok(())
    }

    /// Starts serving, and returns once the server can be reached.
    ///
    /// # Errors
    /// If no wire is configured, or its address cannot be listened on.
    ///
    /// # Cancel safety
    /// Nothing is left behind if dropped before completion.
    pub async fn start(self) -> Result<RunningServer, ServeError> {
        let config = self.nanograph.ok_or(ServeError::NoWire)?;
        let executor = match config.assets.clone() {
            Some(assets) if !self.executor.assets().is_available() => self
                .executor
                .with_assets(nanograph::asset_store(assets, &config)?),
            Some(_) | None => self.executor,
        };
        let transfers = Transfers::new(config.transfers_max);
        let mut server = nanograph::bind(&config, executor.clone(), transfers.clone()).await?;
        for handler in self.shutdown_handlers {
            server.on_shutdown(handler.name, handler.work);
        }
        let address = server.local_addr();
        let stop = CancellationToken::new();
        let drained = drain(stop.clone(), executor.clone(), transfers, self.drain);
        let task = tokio::spawn(server.serve(drained));
        Ok(RunningServer {
            executor,
            address,
            stop,
            task,
        })
    }
}

/// Completes once a stop was asked for and the executions have ended, so that their last statuses go out before the
/// connections are closed.
async fn drain(stop: CancellationToken, executor: Executor, transfers: Transfers, time: Duration) {
    stop.cancelled().await;
    executor.shutdown(time).await;
    transfers.finish(time).await;
}

/// A server that can be reached. Dropping it stops it gracefully, in the background.
#[derive(Debug)]
pub struct RunningServer {
    executor: Executor,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningServer {
    /// Where the Nanograph wire listens.
    #[must_use]
    pub fn nanograph_address(&self) -> SocketAddr {
        self.address
    }

    /// The executor behind all wires.
    #[must_use]
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// Refuses new executions, lets those that run finish within the drain time, cancels the rest, closes the
    /// connections, and runs the shutdown handlers.
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
