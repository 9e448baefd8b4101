//! What takes long about a server: installing, becoming ready, stopping.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nanograph::client::{Client, ClientConfig, ConnectError, KeepAlive};
use nanograph::config::{ConfigFile, ServerConfig};
use tokio::sync::broadcast::error::RecvError;

use super::Shared;
use super::env_file::read_env_file;
use super::files::{Code, Content};
use super::logs::{LogSource, ServerLog};
use super::orphans::MARK;
use super::ports::is_free;
use crate::process::{
    Exit, Launch, LaunchOptions, LineSink, Output, ProcessError, ServerProcess, Undeliverable,
    prepare,
};
use crate::register::{Finding, RegisterError, Sdk, check, installed_sdk};
use crate::registry::Entry;

/// Between attempts to connect to a server that has just become ready.
const CONNECT_PERIOD: Duration = Duration::from_millis(100);
/// Between looks at whether executions have ended.
const DRAIN_PERIOD: Duration = Duration::from_millis(50);

/// A server that can be started.
#[derive(Debug)]
pub(super) struct Prepared {
    /// `None` if somebody else starts it.
    pub(super) launch: Option<Box<Launch>>,
    pub(super) config: Option<ServerConfig>,
    pub(super) file_port: Option<u16>,
    pub(super) sdk: Option<Sdk>,
    pub(super) findings: Vec<Finding>,
    /// What the code's epoch is made of, and the epoch; `None` if somebody else has the code.
    pub(super) code: Option<Code>,
    pub(super) code_epoch: Option<String>,
}

/// Why a server cannot be started.
#[derive(Debug)]
pub(super) enum InstallFailure {
    /// What it says about itself has to be corrected first.
    Unusable(String, Vec<Finding>),
    /// It may work the next time.
    Failed(String),
}

impl InstallFailure {
    fn of(error: &dyn std::error::Error, may_work_later: bool) -> Self {
        let message = crate::supervisor::with_cause(error);
        if may_work_later {
            Self::Failed(message)
        } else {
            Self::Unusable(message, Vec::new())
        }
    }
}

/// Why a server that was started cannot be used.
#[derive(Debug)]
pub(super) enum StartFailure {
    /// Another program answers in its place.
    Foreign(String),
    Failed(String),
}

/// A process that was started.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) process: Arc<ServerProcess>,
    pub(super) mark: Arc<str>,
    /// The number of the last line of the log before it.
    pub(super) log_start: u64,
}

/// Runs what may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    // Only fails when the runtime ends, or the work panics.
    tokio::task::spawn_blocking(work).await.ok()
}

/// Checks the folder and installs what is missing; also what the files were when that began.
pub(super) async fn install(
    shared: Arc<Shared>,
    entry: Entry,
    log: ServerLog,
) -> (Content, Result<Prepared, InstallFailure>) {
    let Some(folder) = entry.path.clone() else {
        return (Content::default(), Ok(remote()));
    };
    let nodes = watched_nodes(&shared, &folder).await;
    let content = {
        let folder = folder.clone();
        blocking(move || Content::read(&folder, nodes.as_deref())).await
    };
    (
        content.unwrap_or_default(),
        install_local(shared, entry, folder, log).await,
    )
}

fn remote() -> Prepared {
    Prepared {
        launch: None,
        config: None,
        file_port: None,
        sdk: None,
        findings: Vec::new(),
        code: None,
        code_epoch: None,
    }
}

/// The folder whose changes restart the server; `None` if it reloads nodes itself, or nobody wants that.
pub(super) async fn watched_nodes(shared: &Shared, folder: &std::path::Path) -> Option<PathBuf> {
    if !shared.parts.options.watch {
        return None;
    }
    let folder = folder.to_owned();
    let file = blocking(move || ConfigFile::load(&folder)).await?.ok()?;
    let reloads_itself = file.auto_watch.unwrap_or(true);
    (!reloads_itself).then(|| file.nodes_path.unwrap_or_else(|| PathBuf::from("nodes")))
}

async fn install_local(
    shared: Arc<Shared>,
    entry: Entry,
    folder: PathBuf,
    log: ServerLog,
) -> Result<Prepared, InstallFailure> {
    let lost = || InstallFailure::Failed("the work was given up".to_owned());
    let registry = shared.parts.registry.clone();
    let checked = {
        let folder = folder.clone();
        blocking(move || check(&folder, &registry))
            .await
            .ok_or_else(lost)?
    };
    let checked = checked.map_err(|error| {
        let may_work_later = matches!(error, RegisterError::Registry(_));
        InstallFailure::of(&error, may_work_later)
    })?;
    let server = match checked.server_folder() {
        Some(server) if checked.is_usable() => server,
        Some(_) | None => {
            let error = RegisterError::Refused {
                path: folder,
                findings: checked.findings.clone(),
            };
            return Err(InstallFailure::Unusable(
                error.to_string(),
                checked.findings,
            ));
        }
    };
    // The registry is what counts: graphs name servers as they were registered. spec: nanograph N2
    let mut server = server;
    server.config.server_uid.clone_from(&entry.server_uid);
    let say = |line: &str| log.push(LogSource::Supervisor, line);
    let launch = prepare(&server, &shared.parts.tools, &say)
        .await
        .map_err(|error| {
            let may_work_later = !matches!(error, ProcessError::Folder { .. });
            InstallFailure::of(&error, may_work_later)
        })?;
    let launch = match entry.command.as_deref() {
        Some([program, arguments @ ..]) => launch.with_command(program, arguments),
        Some([]) | None => launch,
    };
    let mut code = Code {
        nodes: folder.join(&server.config.nodes_path),
        others: vec![folder.join("main.py"), launch.program().to_owned()],
        sdk_version: None,
    };
    let (sdk, file_port, code, code_epoch) = blocking(move || {
        let sdk = installed_sdk(&folder, entry.language);
        code.sdk_version = sdk.as_ref().map(|sdk| sdk.version.clone());
        let epoch = code.epoch();
        let port = ConfigFile::load(&folder).ok().and_then(|file| file.port);
        (sdk, port, code, epoch)
    })
    .await
    .ok_or_else(lost)?;
    Ok(Prepared {
        launch: Some(Box::new(launch)),
        config: Some(server.config),
        file_port,
        sdk,
        findings: checked.findings,
        code: Some(code),
        code_epoch: Some(code_epoch),
    })
}

/// Chooses a port, records the process, and starts it. Short; what an operator should know goes to `notes`.
pub(super) async fn spawn(
    shared: &Arc<Shared>,
    entry: &Entry,
    prepared: &Prepared,
    log: &ServerLog,
    notes: &mut Vec<String>,
) -> Result<Option<Running>, String> {
    let (Some(launch), Some(folder)) = (prepared.launch.clone(), entry.path.clone()) else {
        return Ok(None);
    };
    let port = choose_port(shared, entry, prepared.file_port, notes).await?;
    let (records, server_uid) = (Arc::clone(shared), entry.server_uid.clone());
    let begun = blocking(move || {
        let mark = records.records.begin(&server_uid, port);
        (mark, read_env_file(&folder))
    });
    let (mark, env_file) = begun.await.ok_or("the work was given up")?;
    let mark = mark.unwrap_or_else(|error| {
        notes.push(format!("its process could not be recorded ({error}); if the daemon is killed, the process stays"));
        uuid::Uuid::new_v4().to_string()
    });
    let env_file = env_file.unwrap_or_else(|error| {
        notes.push(format!("its .env was not read: {error}"));
        Vec::new()
    });
    let mut options = launch_options(shared, entry, port, log);
    // Of two with the same name the later one counts: the operator's word is more than the project's.
    let own = entry
        .env
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    options.env.extend(env_file.into_iter().chain(own));
    options.env.push((MARK.to_owned(), mark.clone()));
    let log_start = log.seq();
    let process = match ServerProcess::spawn(&launch, &options) {
        Ok(process) => Arc::new(process),
        Err(error) => {
            ended(shared, &mark).await;
            return Err(crate::supervisor::with_cause(&error));
        }
    };
    if let Some(pid) = process.pid() {
        let (shared, mark) = (Arc::clone(shared), mark.clone());
        let recorded = blocking(move || shared.records.started(&mark, pid)).await;
        if let Some(Err(error)) = recorded {
            tracing::warn!(%error, pid, "a process could not be recorded");
        }
    }
    tokio::spawn(watch_undeliverable(Arc::clone(shared), &process));
    Ok(Some(Running {
        process,
        mark: mark.into(),
        log_start,
    }))
}

fn launch_options(shared: &Shared, entry: &Entry, port: u16, log: &ServerLog) -> LaunchOptions {
    let parts = &shared.parts;
    let token = parts.tokens.for_server(&entry.server_uid);
    let mut options = LaunchOptions::new(parts.endpoint.trim_end_matches('/'), token.reveal());
    options.tools = parts.tools.clone();
    options.log_level.clone_from(&parts.options.log_level);
    options.port = Some(port);
    options.stop = parts.options.stop;
    options.env.clone_from(&parts.options.env);
    let log = log.clone();
    options.lines = Some(LineSink::new(move |output, line| {
        let source = match output {
            Output::Stdout => LogSource::Stdout,
            Output::Stderr => LogSource::Stderr,
        };
        log.push(source, line);
    }));
    options
}

async fn choose_port(
    shared: &Arc<Shared>,
    entry: &Entry,
    file_port: Option<u16>,
    notes: &mut Vec<String>,
) -> Result<u16, String> {
    let shared = Arc::clone(shared);
    let (server_uid, wanted) = (entry.server_uid.clone(), entry.port);
    let given = blocking(move || {
        let others: Vec<_> = shared
            .entries()
            .iter()
            .filter(|other| other.server_uid != server_uid)
            .filter_map(|other| other.port)
            .collect();
        let given = shared
            .ports
            .give(&server_uid, wanted, file_port, &others, is_free)?;
        let stored = if wanted == Some(given.port) {
            Ok(())
        } else {
            shared.parts.registry.change(|entries| {
                if let Some(entry) = entries.get_mut(&server_uid) {
                    entry.port = Some(given.port);
                }
            })
        };
        Some((given, stored))
    });
    let Some((given, stored)) = given.await.flatten() else {
        return Err(
            "no port is free; end other programs, or name a port in the registry".to_owned(),
        );
    };
    if let Some(taken) = given.instead_of {
        notes.push(format!(
            "port {taken} is taken by another program; it got port {}",
            given.port
        ));
    }
    if let Err(error) = stored {
        notes.push(format!("its port {} was not stored: {error}", given.port));
    }
    Ok(given.port)
}

/// Waits until the server can be used, and connects.
pub(super) async fn connect(
    shared: Arc<Shared>,
    entry: Entry,
    running: Option<Running>,
    auto_watch: bool,
) -> Result<Client, StartFailure> {
    let options = &shared.parts.options;
    let mut url = entry.url.clone().unwrap_or_default();
    if let Some(Running { process, .. }) = &running {
        let timeout = entry.start_timeout.unwrap_or(options.start_timeout);
        process.wait_until_ready(timeout).await.map_err(|error| {
            let message = crate::supervisor::with_cause(&error);
            if matches!(error, ProcessError::Foreign { .. }) {
                StartFailure::Foreign(message)
            } else {
                StartFailure::Failed(message)
            }
        })?;
        url = process.url();
    }
    let mut config = ClientConfig {
        expected_server_uid: Some(entry.server_uid.clone()),
        handshake_timeout: options.handshake_timeout,
        ..ClientConfig::default()
    };
    if auto_watch {
        // An idle Python server notices changes of its files only when something arrives. spec: nanograph N13
        config.keep_alive = KeepAlive::watching();
    }
    let end = tokio::time::Instant::now() + options.handshake_timeout;
    loop {
        let error = match Client::connect(&url, config.clone()).await {
            Ok(client) => return Ok(client),
            Err(error @ ConnectError::WrongServer { .. }) => {
                return Err(StartFailure::Foreign(error.to_string()));
            }
            Err(error) => error,
        };
        // Somebody else's server is tried again after a while, as is one that does not come to listen.
        if running.is_none() || tokio::time::Instant::now() >= end {
            return Err(StartFailure::Failed(error.to_string()));
        }
        tokio::time::sleep(CONNECT_PERIOD).await;
    }
}

/// Lets executions end, closes the connection, and stops the process; how that ended.
pub(super) async fn stop(
    shared: Arc<Shared>,
    server_uid: String,
    client: Option<Client>,
    running: Option<Running>,
    drain: bool,
) -> Option<Exit> {
    shared.parts.pool.remove(&server_uid);
    if let Some(client) = client {
        if drain {
            let drained = async {
                while client.counters().outstanding > 0 {
                    tokio::time::sleep(DRAIN_PERIOD).await;
                }
            };
            // What has not ended by then is lost with the connection.
            let _ = tokio::time::timeout(shared.parts.options.drain_timeout, drained).await;
        }
        client.close().await;
    }
    let Running { process, mark, .. } = running?;
    process.begin_stop();
    let exit = process.exited().await;
    ended(&shared, &mark).await;
    Some(exit)
}

/// Records that a process is no more.
pub(super) async fn ended(shared: &Arc<Shared>, mark: &str) {
    let (shared, mark) = (Arc::clone(shared), mark.to_owned());
    if let Some(Err(error)) = blocking(move || shared.records.ended(&mark)).await {
        tracing::warn!(%error, "the end of a process could not be recorded");
    }
}

/// Ends executions whose status the server says it cannot send: nothing more will come. spec: nanograph 15.3
fn watch_undeliverable(
    shared: Arc<Shared>,
    process: &ServerProcess,
) -> impl Future<Output = ()> + use<> {
    let mut undeliverable = process.undeliverable();
    let server_uid = process.server_uid().to_owned();
    async move {
        loop {
            match undeliverable.recv().await {
                Ok(Undeliverable {
                    instance_id,
                    node_id,
                    reason,
                }) => {
                    let pool = &shared.parts.pool;
                    pool.status_undeliverable(&server_uid, &instance_id, &node_id, &reason);
                }
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(server_uid, missed, "the log was read too slowly");
                }
                Err(RecvError::Closed) => return,
            }
        }
    }
}
