//! `nodewire dev`: a Rust node server that follows its sources.

use std::path::{Path, PathBuf};

use nanocore::process::{
    self, Launch, LaunchOptions, ProcessError, ServerFolder, ServerProcess, Tools,
};
use nanograph::config::Language;
use tokio::sync::mpsc;

use crate::args::DevArgs;
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;
use crate::watching;

pub(crate) async fn dev(args: DevArgs) -> Result<(), Failure> {
    let server = server_folder(&args.folder)?;
    let signals = Signals::listen()?;
    let (changed, mut changes) = mpsc::channel(1);
    let root = server.folder.clone();
    let _watcher = watching::watch(
        std::slice::from_ref(&server.folder),
        server.config.watch_debounce,
        move |path| is_source(&root, path),
        changed,
    )
    .map_err(Failure::servers)?;
    let mut options = LaunchOptions::new(&args.asset_endpoint, &args.asset_token);
    options.tools = Tools {
        path: std::env::var_os("PATH"),
        ..Tools::default()
    };
    options.port = Some(args.port.unwrap_or(server.config.port));
    signals
        .unless_killed(follow(&server, &options, &mut changes, &signals))
        .await
}

fn server_folder(folder: &Path) -> Result<ServerFolder, Failure> {
    let mut found = process::scan(&[folder.to_owned()], 0);
    if let Some(error) = found.unusable.pop() {
        return Err(Failure::usage(error.to_string()));
    }
    let server = found
        .servers
        .pop()
        .ok_or_else(|| Failure::usage(format!("{} has no nanoserver.json", folder.display())))?;
    if server.config.language != Language::Rust {
        let language = server.config.language.as_str();
        return Err(Failure::usage(format!(
            "{} is a {language} server, which reloads its nodes itself; `dev` is for Rust",
            folder.display()
        )));
    }
    Ok(server)
}

/// Rust sources and the files that say how to build and run them; not what a build writes.
fn is_source(root: &Path, path: &Path) -> bool {
    let Ok(inner) = path.strip_prefix(root) else {
        return false;
    };
    let is_skipped = inner.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part == "target" || part.starts_with('.')
    });
    let extension = inner
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    !is_skipped && matches!(extension, "rs" | "toml" | "json")
}

/// Builds and runs, again and again; ends with the first signal.
async fn follow(
    server: &ServerFolder,
    options: &LaunchOptions,
    changes: &mut mpsc::Receiver<()>,
    signals: &Signals,
) -> Result<(), Failure> {
    let mut running: Option<ServerProcess> = None;
    loop {
        // The old one goes on serving meanwhile.
        let built = tokio::select! {
            built = build(&server.folder) => built,
            () = signals.stop.cancelled() => break,
        };
        match built {
            Err(failure) if running.is_none() => terminal::error(&failure),
            Err(failure) => terminal::error(&format!("{failure}\nthe old server goes on")),
            Ok((_, launch)) => {
                if let Some(old) = running.take() {
                    terminal::say("stopping the old server");
                    old.stop().await;
                }
                running = tokio::select! {
                    started = start(&launch, options) => started,
                    () = signals.stop.cancelled() => break,
                };
            }
        }
        if !wait(&mut running, changes, signals).await {
            break;
        }
        terminal::say("sources changed");
    }
    if let Some(server) = running {
        terminal::say("stopping");
        server.stop().await;
    }
    Ok(())
}

/// Reads the settings again and builds; both may have changed.
async fn build(folder: &Path) -> Result<(ServerFolder, Launch), String> {
    let mut found = process::scan(&[PathBuf::from(folder)], 0);
    if let Some(error) = found.unusable.pop() {
        return Err(error.to_string());
    }
    let server = found
        .servers
        .pop()
        .ok_or_else(|| format!("{} has no nanoserver.json any more", folder.display()))?;
    let tools = Tools {
        path: std::env::var_os("PATH"),
        ..Tools::default()
    };
    let launch = process::prepare(&server, &tools, &|line| terminal::say(line)).await;
    match launch {
        Ok(launch) => Ok((server, launch)),
        // Cargo has shown its errors already.
        Err(ProcessError::Tool { .. }) => Err("the build failed".to_owned()),
        Err(error) => Err(chain(&error)),
    }
}

async fn start(launch: &Launch, options: &LaunchOptions) -> Option<ServerProcess> {
    match ServerProcess::start(launch, options).await {
        Ok(server) => {
            terminal::result(format_args!(
                "serving {} at {}",
                server.server_uid(),
                server.url()
            ));
            Some(server)
        }
        Err(error) => {
            terminal::error(&format!("{}\nwaiting for changes", chain(&error)));
            None
        }
    }
}

/// Waits for changes; false for the end. A server that ends by itself is told about and stays away until a change.
async fn wait(
    running: &mut Option<ServerProcess>,
    changes: &mut mpsc::Receiver<()>,
    signals: &Signals,
) -> bool {
    loop {
        let ended = async {
            match &*running {
                Some(server) => server.exited().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = signals.stop.cancelled() => return false,
            change = changes.recv() => return change.is_some(),
            exit = ended => {
                let lines: String = exit.last_lines.iter().map(|line| format!("\n    {line}")).collect();
                terminal::error(&format!("the server ended ({}); waiting for changes; it said:{lines}", exit.status));
                *running = None;
            }
        }
    }
}
