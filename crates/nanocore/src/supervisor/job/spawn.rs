//! Starting a server's process.

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;

use super::super::Shared;
use super::super::env_file::read_env_file;
use super::super::logs::{LogSource, ServerLog};
use super::super::orphans::MARK;
use super::super::ports::is_free;
use super::{Prepared, Running, blocking, ended};
use crate::process::{LaunchOptions, LineSink, Output, ServerProcess, Undeliverable};
use crate::registry::Entry;

/// Chooses a port, records the process, and starts it. Short; what an operator should know goes to `notes`.
pub(in crate::supervisor) async fn spawn(
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
