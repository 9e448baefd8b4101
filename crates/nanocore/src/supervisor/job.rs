//! What takes long about a server: installing, becoming ready, stopping.

mod connect;
mod find;
mod install;
mod spawn;

use std::sync::Arc;
use std::time::Duration;

use nanograph::config::ServerConfig;

use super::Shared;
use super::files::Code;
use super::remote::Remote;
use crate::process::{Exit, Launch, ServerProcess};
use crate::register::{Finding, Sdk};
pub(super) use connect::connect;
pub(super) use find::find;
pub(super) use install::{install, watched_nodes};
pub(super) use spawn::spawn;

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

/// Lets executions end, closes the connection, and stops the process; how that ended.
pub(super) async fn stop(
    shared: Arc<Shared>,
    server_uid: String,
    client: Option<Remote>,
    running: Option<Running>,
    drain: bool,
) -> Option<Exit> {
    shared.parts.pool.remove(&server_uid);
    if let Some(client) = client {
        if drain {
            let drained = async {
                while client.outstanding() > 0 {
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
