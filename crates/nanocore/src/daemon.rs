//! [`Daemon`]: all parts of the orchestrator together, over one data folder. spec: nanograph 12.6, 19

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nodewire_telemetry::Tracer;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use crate::api::{Api, ApiOptions, ApiParts};
use crate::assets::{
    Asset, AssetService, AssetServiceConfig, AssetStore, AssetTransfer, StoreError, StoreOptions,
    Token, Tokens, TransferOptions,
};
use crate::connections::Connections;
use crate::db::{Database, DatabaseError, DatabaseOptions};
use crate::events::{EventHub, EventHubOptions};
use crate::home::{DataFolder, HomeError};
use crate::process::Tools;
use crate::registry::Registry;
use crate::runs::{RunManager, RunManagerOptions, RunManagerParts, StartError};
use crate::supervisor::{Supervisor, SupervisorError, SupervisorOptions, SupervisorParts};
use crate::workflow::{CopyingInvoker, ServerPool, StoreLinks};

/// How a daemon is started.
#[derive(Debug, Clone)]
pub struct DaemonOptions {
    /// Where everything is kept; see [`home`](crate::home).
    pub data_folder: PathBuf,
    /// Where the HTTP server listens. Default `127.0.0.1:3001`.
    pub bind: SocketAddr,
    /// The master token, in place of the one in the data folder.
    pub token: Option<Token>,
    /// The domain in `nanocore://<domain>/asset/<uuid>`. Default `nanocore.local`.
    pub domain: String,
    /// The base address that node servers and clients use, if it is not that of the listener.
    pub endpoint: Option<String>,
    /// The registry file, in place of the one in the data folder.
    pub registry: Option<PathBuf>,
    /// The programs that servers are prepared and started with.
    pub tools: Tools,
    /// Limits of the HTTP API.
    pub api: ApiOptions,
    /// Limits of events.
    pub events: EventHubOptions,
    /// How the database is used.
    pub database: DatabaseOptions,
    /// Limits of assets, and where their contents lie.
    pub assets: StoreOptions,
    /// Limits of copies from and to the asset servers of others.
    pub transfers: TransferOptions,
    /// Limits of runs.
    pub runs: RunManagerOptions,
    /// How long runs may take to stop at a shutdown. Default 10 s.
    pub runs_grace: Duration,
    /// Limits and times of supervision.
    pub supervisor: SupervisorOptions,
    /// Makes spans of runs and their steps; none by default. Its exporter is stopped after the daemon, by who started it.
    pub tracer: Option<Tracer>,
}

impl DaemonOptions {
    /// The defaults over this data folder.
    #[must_use]
    pub fn new(data_folder: impl Into<PathBuf>) -> Self {
        Self {
            data_folder: data_folder.into(),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 3001)),
            token: None,
            domain: "nanocore.local".to_owned(),
            endpoint: None,
            registry: None,
            tools: Tools::default(),
            api: ApiOptions::default(),
            events: EventHubOptions::default(),
            database: DatabaseOptions::default(),
            assets: StoreOptions::default(),
            transfers: TransferOptions::default(),
            runs: RunManagerOptions::default(),
            runs_grace: Duration::from_secs(10),
            supervisor: SupervisorOptions::default(),
            tracer: None,
        }
    }
}

/// Why a daemon did not start. Nothing of it runs then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// The data folder is in use, or cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Others could reach it, and guess the token.
    #[error(
        "refusing to listen on {address} with no token or the token \"changeme\"; set a secret token or listen on 127.0.0.1"
    )]
    WeakToken {
        /// Where it should have listened.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}; stop what listens there or choose another address")]
    Listen {
        /// Where it should have listened.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The database cannot be used.
    #[error("the database cannot be used")]
    Database(#[from] DatabaseError),
    /// The assets cannot be used.
    #[error("the assets cannot be used")]
    Assets(#[from] StoreError),
    /// The registry, or the record of processes, cannot be used.
    #[error("the node servers cannot be supervised")]
    Supervisor(#[from] SupervisorError),
    /// The runs of the time before cannot be looked through.
    #[error("the runs cannot be taken up")]
    Runs(#[from] StartError),
    /// The runtime is going down.
    #[error("the runtime ended while the daemon was starting")]
    Runtime,
}

/// A running daemon.
///
/// Dropping it closes its HTTP server; runs and node servers go on until the runtime ends, so call [`Self::shutdown`].
#[derive(Debug)]
pub struct Daemon {
    address: SocketAddr,
    endpoint: String,
    tokens: Tokens,
    events: EventHub,
    database: Database,
    supervisor: Supervisor,
    runs: RunManager,
    runs_grace: Duration,
    /// Whom server tokens are checked with; emptied at the end, since the supervisor has it too.
    registered: Registered,
    http: Http,
    asked_to_end: CancellationToken,
    _object_store_check: Option<AbortOnDropHandle<()>>,
    /// Given back last.
    folder: DataFolder,
}

/// The HTTP server: what ends its streams when it is dropped, and its connections.
#[derive(Debug)]
struct Http {
    streams: DropGuard,
    connections: Connections,
}

type Registered = Arc<Mutex<Option<Supervisor>>>;

impl Daemon {
    /// Takes the data folder, starts all registered servers, and serves the API. An object store for assets is asked
    /// once whether it can be used, which is waited for by nobody: without it, the rest works all the same. Must be
    /// called within a tokio runtime.
    ///
    /// Cancel safety: if dropped, servers that were started already go on until the runtime ends.
    ///
    /// # Errors
    /// Another daemon has the folder; the address is taken, or others could reach it with a token that is easily
    /// guessed; a file cannot be used.
    pub async fn start(options: DaemonOptions) -> Result<Self, DaemonError> {
        let path = options.data_folder.clone();
        let folder = blocking(move || DataFolder::open(&path)).await??;
        let token = match &options.token {
            Some(token) => token.clone(),
            None => folder.token()?,
        };
        let listener = listen(options.bind, &token).await?;
        let address = listener.local_addr().map_err(unusable(options.bind))?;
        // Whoever connects already is answered once everything is there.
        folder.set_address(address)?;
        let (database, store) = open(&folder, &options).await?;
        let endpoint = options.endpoint.clone();
        let endpoint = endpoint.unwrap_or_else(|| format!("http://{}", reachable(address)));
        let registered = Registered::default();
        let tokens = tokens(token, &registered);
        let domain = options.domain.clone();
        let mut config = AssetServiceConfig::new(tokens.clone(), domain, &endpoint);
        config.body_timeout = options.api.body_timeout;
        let links = StoreLinks::new(store.clone(), options.domain.clone());
        let events = EventHub::new(options.events);
        tell_of_assets(&store, &events, &options.domain);
        let object_store_check = check_object_store(&store);
        let transfer = AssetTransfer::new(store.clone(), options.transfers);
        let assets = AssetService::new(store, config);
        let pool = ServerPool::new();
        let (steps, tracer) = (pool.counts(), options.tracer.clone());
        let runs = RunManager::start(RunManagerParts {
            nodes: Arc::new(CopyingInvoker::new(
                pool.clone(),
                transfer.clone(),
                &*options.domain,
            )),
            db: database.clone(),
            events: events.clone(),
            assets: Some(Arc::new(links)),
            tracer: options.tracer,
            options: options.runs,
        })
        .await?;
        let started = Supervisor::start(SupervisorParts {
            registry: Registry::new(options.registry.unwrap_or_else(|| folder.registry())),
            pool,
            events: events.clone(),
            assets: assets.clone(),
            processes: folder.processes(),
            logs: folder.logs(),
            endpoint: assets.endpoint().to_owned(),
            tokens: tokens.clone(),
            tools: options.tools,
            options: options.supervisor,
        })
        .await;
        let supervisor = match started {
            Ok(supervisor) => supervisor,
            Err(error) => {
                runs.shutdown(options.runs_grace).await;
                database.close().await;
                return Err(error.into());
            }
        };
        *lock(&registered) = Some(supervisor.clone());
        let asked_to_end = CancellationToken::new();
        let http = Http::start(listener, |stop| {
            Api::new(ApiParts {
                tokens: tokens.clone(),
                assets,
                transfer,
                database: database.clone(),
                events: events.clone(),
                supervisor: supervisor.clone(),
                runs: runs.clone(),
                steps,
                tracer,
                domain: options.domain,
                loopback_only: address.ip().is_loopback() && options.endpoint.is_none(),
                stop,
                asked_to_end: asked_to_end.clone(),
                options: options.api,
            })
        });
        tracing::warn!(
            "node servers listen on all interfaces and ask nobody who they are; keep others out with a firewall"
        );
        tracing::info!(%address, folder = %folder.path().display(), "the daemon has started");
        Ok(Self {
            address,
            endpoint,
            tokens,
            events,
            database,
            supervisor,
            runs,
            runs_grace: options.runs_grace,
            registered,
            http,
            asked_to_end,
            _object_store_check: object_store_check,
            folder,
        })
    }

    /// Where the HTTP server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base address for node servers and clients.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where everything is kept.
    #[must_use]
    pub fn data_folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Who may call.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// What happens.
    #[must_use]
    pub fn events(&self) -> &EventHub {
        &self.events
    }

    /// The supervised servers.
    #[must_use]
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// The runs.
    #[must_use]
    pub fn runs(&self) -> &RunManager {
        &self.runs
    }

    /// Waits until a client asks the daemon to end. Cancel safe.
    pub async fn asked_to_end(&self) {
        self.asked_to_end.cancelled().await;
    }

    /// Ends everything in order: no new runs, then the runs, then all node servers at the same time, then streams and
    /// connections (5 s at most); at last the database is closed and the folder given back.
    ///
    /// Cancel safety: if dropped, what was not ended goes on until the runtime ends.
    pub async fn shutdown(self) {
        self.runs.shutdown(self.runs_grace).await;
        self.supervisor.shutdown().await;
        self.http.end().await;
        self.database.close().await;
        lock(&self.registered).take();
        tracing::info!("the daemon has ended");
    }
}

impl Http {
    fn start(listener: TcpListener, api: impl FnOnce(CancellationToken) -> Api) -> Self {
        let streams = CancellationToken::new();
        let connections = api(streams.clone()).serve(listener);
        Self {
            streams: streams.drop_guard(),
            connections,
        }
    }

    async fn end(self) {
        drop(self.streams);
        self.connections.end().await;
    }
}

/// Listens, unless others could reach the address and guess the token. spec: nanograph 19.5
async fn listen(address: SocketAddr, token: &Token) -> Result<TcpListener, DaemonError> {
    if !address.ip().is_loopback() && token.is_weak() {
        return Err(DaemonError::WeakToken { address });
    }
    TcpListener::bind(address).await.map_err(unusable(address))
}

fn unusable(address: SocketAddr) -> impl FnOnce(std::io::Error) -> DaemonError {
    move |source| DaemonError::Listen { address, source }
}

async fn open(
    folder: &DataFolder,
    options: &DaemonOptions,
) -> Result<(Database, AssetStore), DaemonError> {
    let (path, how) = (folder.database(), options.database.clone());
    let database = blocking(move || Database::open(&path, how)).await??;
    let (path, how) = (folder.assets(), options.assets.clone());
    let store = blocking(move || AssetStore::open(path, how)).await??;
    Ok((database, store))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DaemonError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| DaemonError::Runtime)
}

/// Tells at once what otherwise the first upload would. Ends with the handle, and in any case after the time for it.
fn check_object_store(store: &AssetStore) -> Option<AbortOnDropHandle<()>> {
    if !store.is_remote() {
        return None;
    }
    let store = store.clone();
    let check = async move {
        if let Err(error) = store.check().await {
            tracing::error!(
                error = %error.for_log(),
                "assets can be neither stored nor read; all else works"
            );
        }
    };
    Some(AbortOnDropHandle::new(tokio::spawn(check)))
}

/// Publishes each new asset: `asset_added`. Its members would not fit beside those of an event, such as `type`.
fn tell_of_assets(store: &AssetStore, events: &EventHub, domain: &str) {
    #[derive(serde::Serialize)]
    struct Added<'a> {
        asset: Asset<'a>,
    }
    let (events, domain) = (events.clone(), domain.to_owned());
    store.on_added(move |entry| {
        let asset = entry.show(&domain, false);
        events.publish("asset_added", None, Added { asset });
    });
}

/// The tokens, those of servers good as long as these are registered.
fn tokens(master: Token, registered: &Registered) -> Tokens {
    let registered = Arc::clone(registered);
    Tokens::new(master).only_for(move |uid| {
        let supervisor = lock(&registered).clone();
        supervisor.is_some_and(|supervisor| supervisor.is_registered(uid))
    })
}

fn lock(registered: &Registered) -> std::sync::MutexGuard<'_, Option<Supervisor>> {
    registered.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where processes of this machine reach what listens on `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}
