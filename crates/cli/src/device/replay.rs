//! `nodewire device replay`: what a device has kept.

use std::time::Duration;

use autotrainer_api::{
    Anomaly, CommandResult, Delivery, Event, Json, Message, ProtocolLevel, Remote, Replay,
    ReplayError, ReplayPage, ReplayRequest, ReplayedEvent, Topic,
};
use tokio::time::{Instant, sleep};

use super::asking::failed;
use super::event_kinds::{KindFilter, topic};
use super::flags::RemoteFlags;
use super::show::{self, object, value};
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;

const HELP: &str = "\
Examples:
  nodewire device app --events-db events.db
  nodewire device replay
  nodewire device replay --after 1200 --kind emergencyStop --json

A device that keeps its events (`device app --events-db`, or a service of this project with an event log) numbers them. They are \
printed in order, each with its number, as by `device listen`, which has --since to go on with what comes. With --json, the last \
object says which log it is, which numbers it has, and what to ask for next time (--after).

What a kind is called depends on the version that the device speaks: without --level a heartbeat is waited for, as long as \
--level-wait.

Exit status: 0 all of it was printed; 1 the device keeps no events; 2 wrong usage; 3 it cannot be reached, does not answer, or \
refuses for now (too many ask at once, or its log cannot be read), which is tried again until --timeout; 130 interrupted.";

/// A device that refuses for now is asked again after this time.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct ReplayArgs {
    /// Only what has a higher number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    /// The log that the number is of; if the device has another one by now, all of that is printed.
    #[arg(long, value_name = "ID")]
    log_id: Option<String>,
    /// Only this topic: EMERGENCY, EVENT, PROPERTY_CHANGE, COMMAND_RESULT or a number. May be repeated. An emergency is kept
    /// as EVENT.
    #[arg(long, value_name = "TOPIC", value_parser = topic)]
    topic: Vec<Topic>,
    /// Only events of this kind: a number, a name, or the start of names. May be repeated.
    #[arg(long, value_name = "KIND", allow_negative_numbers = true)]
    kind: Vec<String>,
    /// End after so many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print JSON objects, one per line. Errors are text on standard error all the same.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteFlags,
}

pub(super) async fn replay(args: ReplayArgs) -> Result<(), Failure> {
    let kinds = KindFilter::new(&args.kind)?;
    let signals = Signals::listen()?;
    let remote = Remote::connect(args.remote.options()?).await;
    let remote = remote.map_err(|error| Failure::usage(chain(&error)))?;
    let done = signals.unless_stopped(Box::pin(args.print_all(&remote, &kinds)));
    let done = done.await;
    remote.close().await;
    terminal::results_written().and(done)
}

impl ReplayArgs {
    async fn print_all(&self, remote: &Remote, kinds: &KindFilter) -> Result<(), Failure> {
        let mut pages = remote.replay(ReplayRequest {
            after: self.after,
            log_id: self.log_id.clone(),
            topics: (!self.topic.is_empty()).then(|| self.topic.clone()),
            ..ReplayRequest::default()
        });
        let mut level = None;
        let mut printed = 0;
        while let Some(page) = next_page(remote, &mut pages).await? {
            let level = match level {
                Some(level) => level,
                None => *level.insert(self.level(remote).await),
            };
            let mut next = page.next;
            for event in &page.events {
                if self.print(event, level, kinds) {
                    printed += 1;
                }
                if self.count == Some(printed) {
                    next = event.sequence;
                    break;
                }
            }
            let is_last = page.is_complete || self.count == Some(printed);
            if is_last {
                self.print_position(&page.log_id, (page.first, page.last), next);
                return Ok(());
            }
            if terminal::nobody_reads() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn level(&self, remote: &Remote) -> ProtocolLevel {
        if let Some(level) = self.remote.level {
            return level;
        }
        // Without one, it is the newest.
        let _ = remote.wait_for_heartbeat(self.remote.level_wait).await;
        remote.level()
    }

    /// Whether it was wanted.
    fn print(&self, event: &ReplayedEvent, level: ProtocolLevel, kinds: &KindFilter) -> bool {
        let message = match message(event, level) {
            Ok(message) => message,
            Err(problem) => {
                terminal::say(format_args!("number {}: {problem}", event.sequence));
                return false;
            }
        };
        let is_wanted = match &message {
            Message::Event { event, .. } => kinds.admits(event, level),
            Message::Heartbeat(_) | Message::Result(_) | Message::Other { .. } | _ => {
                kinds.is_empty()
            }
        };
        if !is_wanted {
            return false;
        }
        let delivery = Delivery::Message(message);
        if self.json {
            terminal::result(show::delivery_json(&delivery));
        } else {
            let line = show::delivery(&delivery);
            terminal::result(format_args!("{} {line}", event.sequence));
        }
        true
    }

    fn print_position(&self, log_id: &str, (first, last): (u64, u64), next: u64) {
        if self.json {
            terminal::result(position(log_id, first, last, next));
        }
    }
}

fn position(log_id: &str, first: u64, last: u64, next: u64) -> Json {
    object(
        "position",
        [
            ("logId", log_id.into()),
            ("first", value(first)),
            ("last", value(last)),
            ("after", value(next)),
        ],
    )
}

/// As it was when it was published.
fn message(replayed: &ReplayedEvent, level: ProtocolLevel) -> Result<Message, String> {
    let Some(payload) = &replayed.payload else {
        return Err("it is too long to be sent".to_owned());
    };
    let limits = autotrainer_api::Limits::default();
    let odd = |anomaly: Anomaly| anomaly.to_string();
    let topic = replayed.topic;
    Ok(match topic {
        Topic::COMMAND_RESULT => {
            Message::Result(CommandResult::parse(payload, &limits).map_err(odd)?)
        }
        Topic::EVENT | Topic::EMERGENCY | Topic::PROPERTY_CHANGE => Message::Event {
            topic,
            event: Event::parse(payload, &limits).map_err(odd)?,
            level,
        },
        topic => Message::Other {
            topic,
            payload: payload.clone(),
        },
    })
}

/// The next page, as long as `--timeout` if the device refuses.
async fn next_page(remote: &Remote, pages: &mut Replay<'_>) -> Result<Option<ReplayPage>, Failure> {
    let until = Instant::now() + remote.options().timeout;
    loop {
        match pages.next_page().await {
            Err(error) if is_for_now(&error) && Instant::now() < until => sleep(AGAIN).await,
            page => return page.map_err(|error| refused(&error)),
        }
    }
}

pub(super) fn refused(error: &ReplayError) -> Failure {
    if let ReplayError::Call(error) = error {
        return failed(error);
    }
    match is_for_now(error) {
        true => Failure::servers(chain(error)),
        false => Failure::failed(chain(error)),
    }
}

/// Whether a device that keeps events does not tell them now.
const fn is_for_now(error: &ReplayError) -> bool {
    !matches!(error, ReplayError::NotOffered | ReplayError::Call(_))
}
