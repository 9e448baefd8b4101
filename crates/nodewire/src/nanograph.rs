//! Nodes on the Nanograph wire: an executor as the backend of a `nanograph` server.
//!
//! | Execution | Wire |
//! |---|---|
//! | started | `running`, "Starting execution..." |
//! | progress, partial outputs | `running`, with `progress`, with `outputs` |
//! | completed | `complete` |
//! | failed, refused, dropped | `error` |
//! | cancelled | `error`, "Execution cancelled" |
//!
//! What this wire cannot express: deadlines and priorities (requests have none), and bytes in JSON. Bytes travel as
//! assets: references at inputs that take bytes are fetched by the executor, bytes at outputs are stored before they are
//! sent. An execution has one preview stored at a time; the next waits in its handler, and progress meanwhile is dropped.
//!
//! Inputs and parameters that a node does not have are ignored here, unlike on all other wires: orchestrators send what a
//! graph says, which may have been saved before the node changed, and the protocol's own servers hand all of it to the node.
//! spec: nanograph 9, 17.4

mod assets;
mod definition;
mod sink;
mod transfers;
mod values;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ::nanograph::assets::{AssetClient, AssetClientConfig, AssetError};
use ::nanograph::config::ServerConfig;
use ::nanograph::message::{self as wire, ExecutionRequest as WireRequest};
use ::nanograph::server::{Backend, Identity, Limits, Replies, Server, ServerError, ServerOptions};
use nodewire_core::{AssetStore, BoxFuture, ExecutionRequest, Executor, NodeDefinition, NodeError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::sink::{ReplySink, Stop};
pub(crate) use self::transfers::Transfers;
use crate::server::RunningWire;

/// How to serve the Nanograph wire.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NanographConfig {
    /// Who the server says it is, and its port; 0 lets the system choose.
    pub server: ServerConfig,
    /// Where to listen; loopback by default. The protocol has no authentication.
    pub listen: IpAddr,
    /// The orchestrator's asset server, if there is one.
    pub assets: Option<AssetClientConfig>,
    /// Bounds of the wire.
    pub limits: Limits,
    /// Bytes of an asset that is fetched into memory; 256 MiB by default.
    pub fetch_bytes_max: u64,
    /// Executions whose outputs are being stored as assets at once; others wait. 16 by default.
    pub transfers_max: usize,
}

impl NanographConfig {
    /// Serves on loopback, without assets.
    #[must_use]
    pub fn new(server: ServerConfig) -> Self {
        Self {
            server,
            listen: Ipv4Addr::LOCALHOST.into(),
            assets: None,
            limits: Limits::default(),
            fetch_bytes_max: 256 << 20,
            transfers_max: 16,
        }
    }
}

/// The wire, serving.
#[derive(Debug)]
pub(crate) struct RunningNanograph {
    address: SocketAddr,
    transfers: Transfers,
    /// Cancelled when this is dropped, too.
    stop: DropGuard,
    task: JoinHandle<()>,
}

/// Listens and serves the executor's nodes.
///
/// # Errors
/// The address cannot be listened on.
pub(crate) async fn start(
    config: &NanographConfig,
    executor: Executor,
) -> Result<RunningNanograph, ServerError> {
    let transfers = Transfers::new(config.transfers_max);
    let server = bind(config, executor, transfers.clone()).await?;
    let address = server.local_addr();
    let stop = CancellationToken::new();
    let task = tokio::spawn(server.serve(stop.clone().cancelled_owned()));
    Ok(RunningNanograph {
        address,
        transfers,
        stop: stop.drop_guard(),
        task,
    })
}

impl RunningNanograph {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl RunningWire for RunningNanograph {
    fn close(self: Box<Self>, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            self.transfers.finish(time).await;
            drop(self.stop);
            if let Err(error) = self.task.await {
                tracing::error!(%error, "the Nanograph wire's task failed");
            }
        })
    }
}

/// Listens, with the executor's nodes as what can be asked for.
async fn bind(
    config: &NanographConfig,
    executor: Executor,
    transfers: Transfers,
) -> Result<Server<ExecutorBackend>, ServerError> {
    let mut identity = Identity::new(&config.server.server_uid, &config.server.server_package_id);
    identity
        .server_display_name
        .clone_from(&config.server.server_display_name);
    identity.domain.clone_from(&config.server.domain);
    identity
        .nanocore_http_endpoint
        .clone_from(&config.server.nanocore_http_endpoint);
    let mut options = ServerOptions::new(identity);
    options.debounce = config.server.watch_debounce;
    options.limits = config.limits.clone();
    let address = SocketAddr::new(config.listen, config.server.port);
    Server::bind(
        &address.to_string(),
        options,
        ExecutorBackend {
            executor,
            transfers,
        },
    )
    .await
}

/// The orchestrator's assets, for nodes.
pub(crate) fn asset_store(
    assets: AssetClientConfig,
    config: &NanographConfig,
) -> Result<Arc<dyn AssetStore>, AssetError> {
    let client = AssetClient::new(assets)?;
    Ok(Arc::new(assets::RemoteAssets::new(client, config)))
}

/// An executor as a Nanograph server sees it.
#[derive(Debug)]
pub(crate) struct ExecutorBackend {
    executor: Executor,
    transfers: Transfers,
}

impl Backend for ExecutorBackend {
    type Handle = Stop;

    fn definitions(&self) -> Vec<wire::NodeDefinition> {
        self.executor
            .registry()
            .definitions()
            .iter()
            .map(definition::to_wire)
            .collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.executor.registry().changes()
    }

    fn execute(&self, request: WireRequest, replies: Replies) -> Stop {
        let node = self.executor.registry().get(&request.node_uid);
        let definition = node.as_ref().map(|node| node.definition());
        let core_request = match to_core(&request, definition) {
            Ok(core_request) => core_request,
            Err(error) => {
                self.refuse(&request, &replies, &error);
                return Stop::nothing();
            }
        };
        let assets = self.executor.assets().clone();
        let sink = ReplySink::new(replies, assets, self.transfers.clone());
        Stop::of(sink.submit(&self.executor, core_request))
    }
}

impl ExecutorBackend {
    /// Answers a request with parameters that are none. The peers say `running` before they look at the parameters, but
    /// not if there is no such node. spec: nanograph 5.3, 5.4
    fn refuse(&self, request: &WireRequest, replies: &Replies, error: &NodeError) {
        if self.executor.registry().get(&request.node_uid).is_none() {
            replies.not_found();
            return;
        }
        replies.started();
        replies.error(error.message());
    }
}

fn to_core(
    request: &WireRequest,
    definition: Option<&NodeDefinition>,
) -> Result<ExecutionRequest, NodeError> {
    let mut core_request = ExecutionRequest::new(request.node_uid.clone());
    core_request.trace_parent = request.trace_parent.as_ref().map(ToString::to_string);
    let trace_state = request.trace_state.as_ref();
    core_request.trace_state = trace_state.map(ToString::to_string);
    core_request.parameters = values::parameters(request)?;
    core_request.inputs = values::inputs(request);
    if let Some(definition) = definition {
        assets::find_references(&mut core_request.inputs, definition);
    }
    core_request.caller_id = request.instance_id.clone();
    Ok(core_request)
}
