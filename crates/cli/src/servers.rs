//! The node servers of a graph: those that run already, and those that have to be started.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use nanocore::process::{
    self, Found, LaunchOptions, ServerFolder, ServerProcess, Tools, Undeliverable, Wanted,
};
use nanocore::register::installed_sdk;
use nanocore::registry::AssetRefs;
use nanocore::workflow::{Builtin, Graph, ServerPool, ServerSettings};
use nanograph::client::{Client, ClientConfig, KeepAlive, probe};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::args::GraphArgs;
use crate::failure::{Failure, chain};
use crate::inputs::ReferenceStyle;
use crate::progress::Progress;
use crate::{core, terminal};

/// How deep below a folder node servers are looked for.
const DEPTH: usize = 3;
/// For a look at whether a server runs already.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// Lines of installing and building programs that wait to be shown.
const LINES_MAX: usize = 64;

/// The servers of one run. Dropping it kills those that were started.
#[derive(Debug)]
pub(crate) struct Servers {
    /// All of them, connected.
    pub(crate) pool: ServerPool,
    /// How assets have to be named for all of them.
    pub(crate) style: ReferenceStyle,
    /// Where servers were looked for, and which were not found.
    pub(crate) not_found: Vec<String>,
    started: Vec<Arc<ServerProcess>>,
}

/// What a server is up to.
#[derive(Debug)]
struct Step {
    server_uid: String,
    state: &'static str,
    message: String,
}

/// Who is asked for in a graph.
fn wanted(graph: &Graph) -> BTreeSet<Wanted> {
    let nodes = graph
        .nodes
        .iter()
        .filter(|node| node.active && !node.client && Builtin::of(node).is_none());
    nodes
        .map(|node| Wanted {
            server_uid: node.server_uid.clone(),
            package_id: node.server_package_id.clone(),
        })
        .collect()
}

impl Servers {
    /// Connects to the servers that run already, and starts the others that the graph names.
    pub(crate) async fn ready(
        args: &GraphArgs,
        graph: &Graph,
        assets: (&str, &str),
        progress: &mut Progress,
    ) -> Result<Self, Failure> {
        let mut servers = Self {
            pool: ServerPool::new(),
            style: ReferenceStyle::Hash,
            not_found: Vec::new(),
            started: Vec::new(),
        };
        for url in &args.server {
            servers.connect(url, None).await?;
        }
        let folders = servers.missing(args, graph, progress).await;
        let mut options = LaunchOptions::new(assets.0, assets.1);
        options.tools = Tools {
            python: args.python.clone(),
            path: std::env::var_os("PATH"),
            ..Tools::default()
        };
        options.log_level.clone_from(&args.server_log_level);
        let mut running = Vec::new();
        let mut to_start = Vec::new();
        for folder in folders {
            match running_already(&folder, &options).await {
                Some(url) => running.push((url, folder)),
                None => to_start.push(folder),
            }
        }
        for (url, folder) in running {
            servers.connect(&url, Some(&folder)).await?;
            progress.server(&folder.config.server_uid, "ready", "runs already");
        }
        servers.start_all(to_start, &options, progress).await?;
        Ok(servers)
    }

    /// The folders of servers that the graph names and nobody runs yet.
    async fn missing(
        &mut self,
        args: &GraphArgs,
        graph: &Graph,
        progress: &mut Progress,
    ) -> Vec<ServerFolder> {
        let connected: Vec<_> = self.pool.clients().iter().map(Client::handshake).collect();
        let is_connected = |wanted: &Wanted| {
            connected.iter().any(|server| {
                wanted.matches(&server.server_uid, server.server_package_id.as_deref())
            })
        };
        let missing: Vec<_> = wanted(graph)
            .into_iter()
            .filter(|wanted| !is_connected(wanted))
            .collect();
        if missing.is_empty() {
            return Vec::new();
        }
        let roots = roots(args);
        let found = tokio::task::spawn_blocking({
            let roots = roots.clone();
            move || process::scan(&roots, DEPTH)
        });
        let found = found.await.unwrap_or_default();
        for error in &found.unusable {
            progress.note(&format!("{} {error}", terminal::warning_word()));
        }
        self.choose(&missing, &found, &roots)
    }

    fn choose(
        &mut self,
        missing: &[Wanted],
        found: &Found,
        roots: &[PathBuf],
    ) -> Vec<ServerFolder> {
        let mut chosen: Vec<ServerFolder> = Vec::new();
        for wanted in missing {
            match found.find(wanted) {
                Some(folder) if chosen.iter().any(|known| known.folder == folder.folder) => {}
                Some(folder) => chosen.push(folder.clone()),
                None => {
                    let told = core::on_nats(wanted).unwrap_or_else(|| nowhere(wanted, roots));
                    self.not_found.push(told);
                }
            }
        }
        chosen
    }

    async fn connect(&mut self, url: &str, folder: Option<&ServerFolder>) -> Result<(), Failure> {
        let url = match url.strip_prefix("http") {
            Some(rest) => format!("ws{rest}"),
            None => url.to_owned(),
        };
        let mut config = ClientConfig::default();
        if let Some(folder) = folder {
            config.expected_server_uid = Some(folder.config.server_uid.clone());
            if folder.config.auto_watch {
                config.keep_alive = KeepAlive::watching();
            }
        }
        let client = Client::connect(&url, config)
            .await
            .map_err(|error| Failure::servers(chain(&error)))?;
        self.pool.add(client, ServerSettings::default());
        Ok(())
    }

    async fn start_all(
        &mut self,
        folders: Vec<ServerFolder>,
        options: &LaunchOptions,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let (steps, mut received) = mpsc::channel(LINES_MAX);
        let starting = try_join_all(
            folders
                .iter()
                .map(|folder| start(folder, options, steps.clone())),
        );
        let mut starting = std::pin::pin!(starting);
        drop(steps);
        let started = loop {
            tokio::select! {
                biased;
                Some(Step { server_uid, state, message }) = received.recv() => progress.server(&server_uid, state, &message),
                started = &mut starting => break started.map_err(|error| Failure::servers(chain(&error)))?,
            }
        };
        while let Ok(Step {
            server_uid,
            state,
            message,
        }) = received.try_recv()
        {
            progress.server(&server_uid, state, &message);
        }
        for (server, folder) in started.into_iter().zip(&folders) {
            let sdk = installed_sdk(&folder.folder, folder.config.language);
            if sdk.is_some_and(|sdk| sdk.asset_refs == AssetRefs::Uuid) {
                self.style = ReferenceStyle::Uri;
            }
            let url = server.url();
            tokio::spawn(watch_log(self.pool.clone(), &server));
            self.started.push(Arc::new(server));
            self.connect(&url, Some(folder)).await?;
        }
        Ok(())
    }

    /// Waits until a server that was started ends by itself, gives it up, and tells about it; never ends if none does.
    pub(crate) async fn lost(&mut self) -> String {
        let waiting: Vec<_> = self
            .started
            .iter()
            .map(|server| {
                let server = Arc::clone(server);
                Box::pin(async move { (server.exited().await, server.server_uid().to_owned()) })
            })
            .collect();
        if waiting.is_empty() {
            std::future::pending::<()>().await;
        }
        let ((exit, server_uid), index, _) = futures_util::future::select_all(waiting).await;
        self.started.remove(index);
        if let Some(client) = self.pool.remove(&server_uid) {
            // Not waited for here, as this future may be dropped any time.
            tokio::spawn(async move { client.close().await });
        }
        let lines: String = exit
            .last_lines
            .iter()
            .map(|line| format!("\n    {line}"))
            .collect();
        format!(
            "server {server_uid} ended ({}); it said:{lines}",
            exit.status
        )
    }

    /// Closes all connections and stops what was started, all at the same time.
    pub(crate) async fn stop(self) {
        for client in self.pool.clients() {
            client.close().await;
        }
        let servers = self.started.into_iter().filter_map(Arc::into_inner);
        futures_util::future::join_all(servers.map(ServerProcess::stop)).await;
    }
}

/// Ends executions whose status a server says it cannot send: they would be waited for without end.
/// spec: nanograph 15.3
fn watch_log(pool: ServerPool, server: &ServerProcess) -> impl Future<Output = ()> + use<> {
    let mut undeliverable = server.undeliverable();
    let server_uid = server.server_uid().to_owned();
    async move {
        loop {
            match undeliverable.recv().await {
                Ok(status) => {
                    let Undeliverable {
                        instance_id,
                        node_id,
                        reason,
                    } = status;
                    pool.status_undeliverable(&server_uid, &instance_id, &node_id, &reason);
                }
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(server_uid, missed, "the log was read too slowly")
                }
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// What to do about a server that is in no folder.
fn nowhere(wanted: &Wanted, roots: &[PathBuf]) -> String {
    let name = wanted
        .server_uid
        .as_deref()
        .or(wanted.package_id.as_deref())
        .unwrap_or("(no server named)");
    let roots: Vec<_> = roots
        .iter()
        .map(|root| root.display().to_string())
        .collect();
    format!(
        "no nanoserver.json of the server {name} was found below {}; name its folder with --servers, or its address with --server",
        roots.join(", ")
    )
}

/// The folder of the graph, and those named.
fn roots(args: &GraphArgs) -> Vec<PathBuf> {
    let own = args
        .file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    args.servers
        .iter()
        .cloned()
        .chain([own.to_owned()])
        .collect()
}

/// A server of this folder on its own port, if it uses the run's assets; others would not find them.
async fn running_already(folder: &ServerFolder, options: &LaunchOptions) -> Option<String> {
    let url = format!("ws://127.0.0.1:{}/", folder.config.port);
    let page = probe(&url, PROBE_TIMEOUT)
        .await
        .ok()
        .filter(|page| page.server_uid == folder.config.server_uid)?;
    if page.nanocore_http_endpoint.as_deref() == Some(options.asset_endpoint.as_str()) {
        return Some(url);
    }
    tracing::info!(
        server_uid = page.server_uid,
        url,
        "runs already, but with other assets; starting another one (--server uses it nevertheless)"
    );
    None
}

async fn start(
    folder: &ServerFolder,
    options: &LaunchOptions,
    steps: mpsc::Sender<Step>,
) -> Result<ServerProcess, process::ProcessError> {
    let step = |state: &'static str, message: &str| Step {
        server_uid: folder.config.server_uid.clone(),
        state,
        message: message.to_owned(),
    };
    // A line that finds no room is not shown.
    let say = |line: &str| drop(steps.try_send(step("installing", line.trim())));
    let launch = process::prepare(folder, &options.tools, &say).await?;
    let _ = steps.send(step("starting", "")).await;
    let server = ServerProcess::start(&launch, options).await?;
    let _ = steps.send(step("ready", "")).await;
    Ok(server)
}
