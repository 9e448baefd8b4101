//! Following sources: the new instance is up before the old one drains.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nats_micro::client::Client;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::ignore::Ignored;
use super::instance::{Instance, Launch};
use super::run::WatchArgs;
use super::target::TargetArgs;
use crate::failure::Failure;
use crate::signals::Signals;
use crate::terminal;
use crate::watching;

/// Sources of languages that services are written in, and what they read.
const EXTENSIONS: [&str; 34] = [
    "rs", "toml", "json", "yaml", "yml", "py", "pyi", "js", "mjs", "cjs", "ts", "mts", "tsx",
    "jsx", "go", "rb", "php", "java", "kt", "scala", "cs", "fs", "c", "h", "cc", "cpp", "hpp",
    "zig", "lua", "pl", "sh", "sql", "proto", "env",
];

/// How long answers are collected to see who is there already.
const CENSUS: Duration = Duration::from_millis(500);
/// How often it is looked for a new instance.
const POLL: Duration = Duration::from_millis(100);
/// How long one look takes at most.
const LOOK: Duration = Duration::from_millis(300);

/// Tells about changes of sources.
pub(super) fn watch(args: &WatchArgs) -> Result<(impl Sized + use<>, mpsc::Receiver<()>), Failure> {
    let (changed, changes) = mpsc::channel(1);
    let ignored: Vec<_> = args
        .watch
        .iter()
        .map(|folder| (folder.clone(), Ignored::below(folder, &args.ignore)))
        .collect();
    let extensions: Vec<String> = match args.extension.as_slice() {
        [] => EXTENSIONS
            .iter()
            .map(|extension| (*extension).to_owned())
            .collect(),
        given => given
            .iter()
            .map(|given| given.trim_start_matches('.').to_owned())
            .collect(),
    };
    let is_source = move |path: &Path| is_source(path, &ignored, &extensions);
    let watcher = watching::watch(&args.watch, args.debounce, is_source, changed);
    Ok((watcher.map_err(Failure::failed)?, changes))
}

fn is_source(path: &Path, ignored: &[(PathBuf, Ignored)], extensions: &[String]) -> bool {
    let is_below = |(folder, ignored): &(PathBuf, Ignored)| {
        path.strip_prefix(folder)
            .is_ok_and(|inner| !ignored.contains(inner))
    };
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| extensions.iter().any(|other| other == extension))
        && ignored.iter().any(is_below)
}

/// The target, with the instance of it that runs.
pub(super) struct Reload {
    target: TargetArgs,
    args: WatchArgs,
    environment: Vec<(&'static str, Option<String>)>,
    client: Client,
    changes: mpsc::Receiver<()>,
    current: Option<Current>,
}

struct Current {
    instance: Instance,
    /// Whether a service of it was seen.
    serves: bool,
}

/// How a start ended.
enum Start {
    Up(Current),
    /// Sources changed before it was up.
    Outdated,
    Failed(Failure),
}

impl Reload {
    pub(super) fn new(
        target: TargetArgs,
        args: WatchArgs,
        environment: Vec<(&'static str, Option<String>)>,
        client: Client,
        changes: mpsc::Receiver<()>,
    ) -> Self {
        Self {
            target,
            args,
            environment,
            client,
            changes,
            current: None,
        }
    }

    /// Builds and starts, again and again; ends with the first signal.
    pub(super) async fn follow(&mut self, signals: &Signals) -> Result<(), Failure> {
        loop {
            let started = tokio::select! {
                started = self.build_and_start() => started,
                () = signals.stop.cancelled() => break,
            };
            match started {
                Start::Outdated => {
                    terminal::say("sources changed again");
                    continue;
                }
                Start::Failed(failure) => self.tell(&failure),
                Start::Up(new) => {
                    if let Some(old) = self.current.replace(new) {
                        terminal::say("stopping the old instance");
                        old.instance.stop(self.args.grace).await;
                    }
                    terminal::say("up; waiting for changes");
                }
            }
            if !self.wait(signals).await? {
                break;
            }
            terminal::say("sources changed");
        }
        if let Some(last) = self.current.take() {
            terminal::say("stopping");
            last.instance.stop(self.args.grace).await;
        }
        Ok(())
    }

    fn tell(&self, failure: &Failure) {
        let rest = match self.current {
            Some(_) => "the old instance goes on",
            None => "waiting for changes",
        };
        terminal::error(&terminal::plain(&format!("{failure}\n{rest}")));
    }

    async fn build_and_start(&mut self) -> Start {
        let launch = match self.target.build(&self.environment).await {
            Ok(launch) => launch,
            Err(failure) => return Start::Failed(failure),
        };
        self.start(&launch).await
    }

    /// Dropping the future kills what was started.
    async fn start(&mut self, launch: &Launch) -> Start {
        let before = self.instances(CENSUS).await;
        let mut instance = match Instance::spawn(launch) {
            Ok(instance) => instance,
            Err(failure) => return Start::Failed(failure),
        };
        let appeared = timeout(self.args.start_timeout, new_instance(&self.client, &before));
        let serves = tokio::select! {
            exited = instance.exited() => return Start::Failed(match exited {
                Ok(status) => Failure::failed(format!("the new instance ended with {status} before it was up")),
                Err(failure) => failure,
            }),
            changed = self.changes.recv() => match changed {
                Some(()) => {
                    instance.stop(self.args.grace).await;
                    return Start::Outdated;
                }
                None => return Start::Failed(Failure::failed("files are not watched any more")),
            },
            appeared = appeared => appeared.is_ok(),
        };
        if serves {
            return Start::Up(Current { instance, serves });
        }
        let time = self.args.start_timeout.as_secs_f64();
        if self.current.as_ref().is_some_and(|current| current.serves) {
            instance.stop(self.args.grace).await;
            return Start::Failed(Failure::failed(format!(
                "the new instance runs, but no service of it answered within {time} s"
            )));
        }
        terminal::say(format_args!(
            "no service answered within {time} s; the program runs, that is enough"
        ));
        Start::Up(Current { instance, serves })
    }

    /// The ids of all instances of services.
    async fn instances(&self, wait: Duration) -> HashSet<String> {
        ids(&self.client, wait).await
    }

    /// Waits for changes; false for the end. An instance that ends by itself is told about and stays away until a change.
    async fn wait(&mut self, signals: &Signals) -> Result<bool, Failure> {
        loop {
            let ended = async {
                match &mut self.current {
                    Some(current) => current.instance.exited().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = signals.stop.cancelled() => return Ok(false),
                change = self.changes.recv() => return Ok(change.is_some()),
                status = ended => {
                    terminal::error(&format!("the instance ended with {}; waiting for changes", status?));
                    self.current = None;
                }
            }
        }
    }
}

async fn ids(client: &Client, wait: Duration) -> HashSet<String> {
    match client.ping().max_wait(wait).await {
        Ok(found) => found.documents.into_iter().map(|ping| ping.id).collect(),
        Err(error) => {
            tracing::debug!(%error, "services cannot be asked");
            HashSet::new()
        }
    }
}

/// Completes when an instance answers that was not there before.
async fn new_instance(client: &Client, before: &HashSet<String>) {
    while ids(client, LOOK).await.is_subset(before) {
        sleep(POLL).await;
    }
}
