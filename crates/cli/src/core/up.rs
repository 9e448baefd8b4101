//! `up`: the daemon.

mod embedded;
mod limits;
mod nats;
mod settings;

use std::collections::HashSet;

use nanocore::daemon::{Daemon, DaemonError};
use nanocore::events::{Item, Runs, Subscribe, Subscription};
use nanocore::home::HomeError;
use nanocore::supervisor::SupervisorError;
use serde_json::Value;

use super::args::UpArgs;
use super::place::Place;
use super::registering::registry_failed;
use super::show::{cell, state};
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;
use crate::traces::Traces;

pub(super) use embedded::kept_url as embedded_url;

/// Runs the daemon until a signal or a client ends it.
pub(crate) async fn up(args: UpArgs) -> Result<(), Failure> {
    let place = Place::find(&args.place)?;
    let mut options = settings::options(&args, &place)?;
    let nats = nats::wanted(&args, &place)?;
    let signals = Signals::listen()?;
    let traces = Traces::start("nodewire-orchestrator");
    options.tracer = traces.tracer();
    let data = place.data.clone();
    let starting = async {
        let mut embedded = nats.apply(&mut options, &data).await?;
        let started = Daemon::start(options).await;
        let daemon = started.map_err(|error| refused(&error))?;
        if let Some(embedded) = &mut embedded {
            embedded.keep();
        }
        Ok((daemon, embedded))
    };
    let (daemon, embedded) = signals.unless_stopped(Box::pin(starting)).await?;
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
        if let Some(embedded) = embedded {
            embedded.end().await;
        }
        traces.stop().await;
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
        DaemonError::Supervisor(SupervisorError::Registry(error)) => registry_failed(error),
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
    if let Some(error) = event["updateError"].as_str() {
        terminal::say(format_args!(
            "{name}: {}: {}",
            state(&word),
            terminal::plain(error)
        ));
        return;
    }
    match error {
        Some(error) => terminal::say(format_args!(
            "{name}: {}: {}",
            state(&word),
            terminal::plain(error)
        )),
        None => terminal::say(format_args!("{name}: {}", state(&word))),
    }
}
