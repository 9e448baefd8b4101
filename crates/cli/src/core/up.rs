//! `up` and `down`: the daemon.

mod settings;

use std::collections::HashSet;
use std::time::Duration;

use nanocore::daemon::{Daemon, DaemonError};
use nanocore::events::{Item, Runs, Subscribe, Subscription};
use nanocore::home::HomeError;
use serde_json::Value;

use super::args::{DownArgs, UpArgs};
use super::client;
use super::place::Place;
use super::show::{cell, state};
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;

/// Between two looks at a daemon that is ending.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

/// Runs the daemon until a signal or a client ends it.
pub(crate) async fn up(args: UpArgs) -> Result<(), Failure> {
    let place = Place::find(&args.place)?;
    let options = settings::options(&args, &place)?;
    let signals = Signals::listen()?;
    let starting = async {
        Daemon::start(options)
            .await
            .map_err(|error| refused(&error))
    };
    let daemon = signals.unless_stopped(Box::pin(starting)).await?;
    if !args.json {
        terminal::say(format_args!(
            "the daemon listens on {}, its data is in {}; Ctrl-C ends it",
            daemon.endpoint(),
            place.data.display()
        ));
    }
    let events = daemon.events().subscribe(Subscribe {
        since: None,
        runs: if args.json {
            Runs::All
        } else {
            Runs::Only(HashSet::new())
        },
        servers: true,
    });
    tokio::select! {
        () = show(events, args.json) => {}
        () = daemon.asked_to_end() => {}
        () = signals.stop.cancelled() => {}
    }
    if !args.json {
        terminal::say("ending runs and node servers; Ctrl-C again ends everything at once");
    }
    let ending = async {
        daemon.shutdown().await;
        Ok(())
    };
    signals.unless_killed(Box::pin(ending)).await
}

fn refused(error: &DaemonError) -> Failure {
    let text = chain(error);
    match error {
        DaemonError::Home(HomeError::InUse { .. }) => {
            Failure::failed(format!("{text} (--data, or `nodewire down`)"))
        }
        DaemonError::WeakToken { .. } => Failure::usage(text),
        DaemonError::Listen { .. } => Failure::failed(format!("{text} (--bind)")),
        DaemonError::Home(_)
        | DaemonError::Database(_)
        | DaemonError::Assets(_)
        | DaemonError::Supervisor(_)
        | DaemonError::Runs(_)
        | DaemonError::Runtime
        | _ => Failure::failed(text),
    }
}

/// Prints what happens, without end.
async fn show(mut events: Subscription, json: bool) {
    loop {
        match events.next().await {
            Item::Event(event) if json => terminal::json(event.text()),
            Item::Event(event) => {
                if let Ok(event) = serde_json::from_str(event.text()) {
                    tell(&event);
                }
            }
            Item::Reset => {}
            Item::TooSlow { missed } => {
                terminal::say(format_args!(
                    "{} {missed} events were not shown",
                    terminal::warning_word()
                ));
            }
        }
    }
}

/// A line about a server, in the words of `status`.
fn tell(event: &Value) {
    if event["type"] != "server_state" {
        return;
    }
    let name = cell(event, "serverDisplayName");
    let (name, word) = (terminal::plain(&name), cell(event, "state"));
    // A server that is back may still have the error of before.
    let error = event["error"]
        .as_str()
        .filter(|_| matches!(&*word, "failed" | "backoff"));
    match error {
        Some(error) => terminal::say(format_args!(
            "{name}: {}: {}",
            state(&word),
            terminal::plain(error)
        )),
        None => terminal::say(format_args!("{name}: {}", state(&word))),
    }
}

/// Asks the daemon to end, and waits for it.
pub(super) async fn down(args: DownArgs) -> Result<(), Failure> {
    let place = Place::find(&args.daemon.place)?;
    let daemon = client::Daemon::at(&place, &args.daemon)?;
    daemon.post("/shutdown", None).await?;
    let is_own = place.holder()?.is_some_and(|holder| {
        holder
            .address
            .is_some_and(|address| daemon.url() == format!("http://{address}"))
    });
    if args.no_wait || !is_own {
        terminal::result("the daemon is ending");
        return Ok(());
    }
    while place.holder()?.is_some() {
        tokio::time::sleep(LOOK_PERIOD).await;
    }
    terminal::result("the daemon has ended");
    Ok(())
}
