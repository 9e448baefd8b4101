//! Python servers: a virtual environment in the folder `venv`, made on first use. spec: nanograph 12.3

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nanograph::config::Severity;

use super::error::ProcessError;
use super::launch::{Install, Launch, Tools};
use super::python_source::Source;
use super::scan::ServerFolder;
use super::tool::Tool;

/// Holds what was installed from; other requirements mean to install again.
const STAMP: &str = "nodewire-requirements.sha256";
/// How often to look whether another process has finished installing.
const LOCK_PERIOD: Duration = Duration::from_millis(200);

pub(super) type Say<'a> = &'a (dyn Fn(&str) + Sync);

pub(super) async fn prepare(
    server: &ServerFolder,
    tools: &Tools,
    wanted: Install,
    say: Say<'_>,
) -> Result<Launch, ProcessError> {
    if !server.folder.join("main.py").is_file() {
        return Err(server.problem("has no main.py, the entry point of a Python node server"));
    }
    // The SDK reads the file with a strict parser. spec: nanograph N1
    if let Some(problem) = server
        .config
        .problems
        .iter()
        .find(|problem| problem.severity == Severity::Warning && problem.key.is_none())
    {
        return Err(server.problem(format!(
            "nanoserver.json: {problem}; the Python SDK refuses such a file"
        )));
    }
    let venv = server.folder.join("venv");
    install(server, &venv, tools, wanted, say).await?;
    let mut launch = server.launch(venv.join("bin/python"), &["main.py"]);
    launch
        .environment
        .push(("VIRTUAL_ENV".into(), venv.clone().into()));
    if let Some(path) = &tools.path {
        let folders = std::iter::once(venv.join("bin")).chain(std::env::split_paths(path));
        launch.environment.extend(
            std::env::join_paths(folders)
                .ok()
                .map(|path| ("PATH".into(), path)),
        );
    }
    Ok(launch)
}

/// Makes the environment and installs what is wanted, unless exactly that was done before.
async fn install(
    server: &ServerFolder,
    venv: &Path,
    tools: &Tools,
    extra: Install,
    say: Say<'_>,
) -> Result<(), ProcessError> {
    let io_error = |action: &str| {
        let action = format!("{action} {}", venv.display());
        move |source: io::Error| ProcessError::Io { action, source }
    };
    fs::create_dir_all(venv).map_err(io_error("create"))?;
    let _lock = lock(venv, say).await.map_err(io_error("lock"))?;
    let source = Source::of(server, &venv.join(STAMP), extra)?;
    let (python, stamp) = (venv.join("bin/python"), venv.join(STAMP));
    let is_done = python.is_file() && source.is_installed(&stamp);
    if is_done && extra == Install::default() {
        return Ok(());
    }
    // From here on, what is installed is neither this nor what was before.
    match fs::remove_file(&stamp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("write to")(error));
        }
        Ok(()) | Err(_) => {}
    }
    if !python.is_file() {
        say("making a virtual environment");
        let arguments = [OsString::from("-m"), "venv".into(), venv.into()].to_vec();
        run(server, tools.python.as_os_str(), arguments, say).await?;
    }
    if extra.upgrade_pip {
        say("bringing pip up to date");
        pip(server, &python, &["--upgrade", "pip"], say).await?;
    }
    if !is_done || extra.project {
        source.install(server, &python, say).await?;
    }
    fs::write(&stamp, source.stamp()).map_err(io_error("write to"))
}

pub(super) async fn pip(
    server: &ServerFolder,
    python: &Path,
    what: &[&str],
    say: Say<'_>,
) -> Result<(), ProcessError> {
    let words = [
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
    ];
    let arguments = words.iter().chain(what).map(OsString::from).collect();
    run(server, python.as_os_str(), arguments, say).await
}

async fn run(
    server: &ServerFolder,
    program: &OsStr,
    arguments: Vec<OsString>,
    say: Say<'_>,
) -> Result<(), ProcessError> {
    let tool = Tool {
        program,
        arguments,
        folder: &server.folder,
    };
    tool.run(say).await
}

/// Only one process installs at a time. The lock ends with the file.
async fn lock(venv: &Path, say: Say<'_>) -> io::Result<File> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(venv.join("nodewire.lock"))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if told => {}
            Err(TryLockError::WouldBlock) => {
                say("waiting for another process that installs the same")
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        told = true;
        tokio::time::sleep(LOCK_PERIOD).await;
    }
}

/// The version of `nanograph-sdk` that a prepared folder has, from the distribution's metadata, since the package
/// itself is wrong about it. spec: nanograph 11
pub(crate) fn sdk_version(folder: &Path) -> Option<String> {
    let subfolders = |folder: PathBuf| {
        fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    let name = |path: PathBuf| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let packages = subfolders(folder.join("venv/lib"))
        .flat_map(|python| subfolders(python.join("site-packages")));
    let version = |name: String| {
        Some(
            name.strip_prefix("nanograph_sdk-")?
                .strip_suffix(".dist-info")?
                .to_owned(),
        )
    };
    packages.filter_map(name).find_map(version)
}
