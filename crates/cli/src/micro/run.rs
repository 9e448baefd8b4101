//! `nodewire micro run` and `dev`.

use std::path::PathBuf;
use std::time::Duration;

use super::connect::{Place, Purpose};
use super::connection_flags::ConnectionFlags;
use super::ignore::Pattern;
use super::instance::Instance;
use super::reload::{self, Reload};
use super::settings::Settings;
use super::target::TargetArgs;
use super::units::seconds;
use crate::failure::Failure;
use crate::signals::Signals;
use crate::terminal;

const RUN_HELP: &str = "\
Examples:
  # The program of a package of this workspace; an example of it, with arguments
  nodewire micro run orders
  nodewire micro run orders --example replay -- --fast

  # Any command
  nodewire micro run -- python service.py

The connection is handed on in the environment: NATS_URL and NATS_SERVER without credentials, NATS_USERNAME, NATS_USER,
NATS_PASSWORD, NATS_TOKEN, NATS_CREDS, NATS_NKEY, NATS_JWT, NATS_SEED, NATS_CERT, NATS_KEY, NATS_CA as far as they are
needed; others of these are taken away. The first SIGINT or SIGTERM asks the program to end (SIGTERM; then what
it leaves running), so that it can answer what it has taken; a second kills it. In shell scripts start the service with
`exec`, so that it is what is asked.";

const DEV_HELP: &str = "\
Examples:
  # An example of this package, rebuilt when sources change; with a broker of its own if there is none
  nodewire micro dev --example calculator

  # A command; only changes below src count, also of templates
  nodewire micro dev --watch src --extension py --extension html -- python service.py

When a source changes the target is built again while the instance that runs goes on serving. The new instance is started
beside it. Once a new instance of any service answers $SRV.PING (for commands that serve nothing: once it has run for the
start time), the old one is asked to end (SIGTERM) and answers what it has taken, so no request is lost. If the build or
the start fails, its errors are shown and the old instance stays. Changes in the meantime are not missed.

Folders named target, node_modules, __pycache__ and venv, what begins with a dot, and what the watched folder's .gitignore
names (names and paths with *, without ** and !) do not count. As for the connection, see `nodewire micro run --help`.";

/// How long a program may take to answer what it has taken: the 30 s of services, and some more.
const DEFAULT_GRACE: &str = "35";

#[derive(Debug, clap::Args)]
#[command(after_help = RUN_HELP)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionFlags,
    #[command(flatten)]
    pub(super) target: TargetArgs,
    #[command(flatten)]
    pub(super) watch: WatchArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = DEV_HELP)]
pub(super) struct DevArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionFlags,
    #[command(flatten)]
    pub(super) target: TargetArgs,
    #[command(flatten)]
    pub(super) watch: WatchArgs,
}

/// How sources are followed.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Following sources")]
pub(super) struct WatchArgs {
    /// Follow the sources in this folder. May be repeated; `dev` takes the current folder without it, `run` does not
    /// follow any.
    #[arg(long, value_name = "DIR")]
    pub(super) watch: Vec<PathBuf>,
    /// Only files with this extension count, instead of those of the usual languages. May be repeated.
    #[arg(long, value_name = "EXT")]
    pub(super) extension: Vec<String>,
    /// Leave out files and folders with this name, or path below the watched folder. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(super) ignore: Vec<Pattern>,
    /// How long to wait for more changes.
    #[arg(long, value_name = "SECONDS", default_value = "0.2", value_parser = seconds)]
    pub(super) debounce: Duration,
    /// How long a new instance may take until it is up.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(super) start_timeout: Duration,
    /// How long an instance may take to end.
    #[arg(long, value_name = "SECONDS", default_value = DEFAULT_GRACE, value_parser = seconds)]
    pub(super) grace: Duration,
}

pub(super) async fn run(
    settings: Settings,
    target: TargetArgs,
    watch: WatchArgs,
) -> Result<(), Failure> {
    if !watch.watch.is_empty() {
        return dev(settings, target, watch).await;
    }
    target.check()?;
    let signals = Signals::listen()?;
    let place = Place::find(settings, Purpose::Serve).await?;
    signals
        .unless_killed(once(&place, &target, &watch, &signals))
        .await
}

/// Runs it until it ends or is asked to.
async fn once(
    place: &Place,
    target: &TargetArgs,
    watch: &WatchArgs,
    signals: &Signals,
) -> Result<(), Failure> {
    let started = async {
        // The program connects itself; this tells early, and once, if that would be in vain.
        place.connect_patiently().await?.close().await;
        let launch = target.build(&place.settings.variables()).await?;
        Instance::spawn(&launch)
    };
    let mut instance = tokio::select! {
        started = started => started?,
        () = signals.stop.cancelled() => return Ok(()),
    };
    let exited = tokio::select! {
        exited = instance.exited() => Some(exited?),
        () = signals.stop.cancelled() => None,
    };
    match exited {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Failure::failed(format!("the program ended with {status}"))),
        None => {
            instance.stop(watch.grace).await;
            Ok(())
        }
    }
}

pub(super) async fn dev(
    settings: Settings,
    target: TargetArgs,
    mut watch: WatchArgs,
) -> Result<(), Failure> {
    target.check()?;
    if watch.watch.is_empty() {
        watch.watch.push(PathBuf::from("."));
    }
    for folder in &mut watch.watch {
        *folder = folder.canonicalize().map_err(|error| {
            Failure::usage(format!("cannot watch {}: {error}", folder.display()))
        })?;
    }
    let signals = Signals::listen()?;
    // Before the first build: no change is missed.
    let (_watcher, changes) = reload::watch(&watch)?;
    let place = Place::find(settings, Purpose::Serve).await?;
    let context = signals.unless_stopped(place.connect_patiently()).await;
    let context = match context {
        Err(_) if signals.stop.is_cancelled() => return Ok(()),
        connected => connected?,
    };
    let client = place.client(&context)?;
    let environment = place.settings.variables();
    let mut reload = Reload::new(target, watch, environment, client, changes);
    let followed = signals.unless_killed(reload.follow(&signals)).await;
    if context.is_cancelled() {
        terminal::say("the connection to the broker was lost");
    }
    context.close().await;
    followed
}
