//! Checking a server's folder, and installing what it needs.

use std::path::PathBuf;
use std::sync::Arc;

use nanograph::config::ConfigFile;

use super::super::Shared;
use super::super::files::{Code, Content};
use super::super::logs::{LogSource, ServerLog};
use super::{InstallFailure, Prepared, blocking};
use crate::process::{ProcessError, prepare};
use crate::register::{RegisterError, check, installed_sdk};
use crate::registry::Entry;

/// Checks the folder and installs what is missing; also what the files were when that began.
pub(in crate::supervisor) async fn install(
    shared: Arc<Shared>,
    entry: Entry,
    log: ServerLog,
) -> (Content, Result<Prepared, InstallFailure>) {
    if let Some(conflict) = entry.conflict() {
        let unusable = InstallFailure::Unusable(conflict.to_owned(), Vec::new());
        return (Content::default(), Err(unusable));
    }
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
pub(in crate::supervisor) async fn watched_nodes(
    shared: &Shared,
    folder: &std::path::Path,
) -> Option<PathBuf> {
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
