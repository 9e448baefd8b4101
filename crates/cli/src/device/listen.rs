//! `nodewire device listen`: what a device publishes, as it comes.

use std::time::Duration;

use autotrainer_api::{
    Anomaly, Channel, Delivery, Message, Remote, RemoteChange, RemoteChanges, ReplayPosition,
    ReplayRequest, Resume, SubscribeOptions, Subscription, Topic,
};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::event_kinds::{KindFilter, topic};
use super::flags::RemoteFlags;
use super::replay::refused;
use super::show::{self, object, one_line, value};
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;

const HELP: &str = "\
Examples:
  nodewire device listen
  nodewire device listen --kind trial --kind emergencyStop --json | jq 'select(.type == \"event\").context'
  nodewire device listen --topic HEARTBEAT --count 1 --for 10

Each message is a line; with --json an object, whose type is event, heartbeat, result, message (on a topic of the application's \
own), gap (something was lost), anomaly (a message that was not as it should be), connected, disconnected, notConnected, presence \
or level; with --since, the last is the position to go on from. An emergency, which devices publish on two topics, is told once.

Exit status: 0 so many messages as --count says came, or without it the time was over or a signal ended it; 1 the time was over \
before, or the device keeps nothing to begin with (--since); 2 wrong usage; 3 there was no connection in all \
that time, or the device does not replay for now (--since); 130 interrupted before --count was reached.";

/// How often the counts of malformed messages are looked at.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct ListenArgs {
    /// Only this topic: HEARTBEAT, EMERGENCY, EVENT, PROPERTY_CHANGE, COMMAND_RESULT or a number. May be repeated.
    #[arg(long, value_name = "TOPIC", value_parser = topic)]
    topic: Vec<Topic>,
    /// Only events of this kind: a number, a name, or the start of names. May be repeated.
    #[arg(long, value_name = "KIND", allow_negative_numbers = true)]
    kind: Vec<String>,
    /// First what the device has kept (`device app --events-db`), from here on: a number, LOG:NUMBER as it was printed
    /// at the end of the last time, `oldest`, or `now`. What is missed on the way is fetched too, each message once.
    #[arg(long, value_name = "NUMBER", value_parser = since)]
    since: Option<Since>,
    /// End after so many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time.
    #[arg(long = "for", value_name = "SECONDS", value_parser = crate::micro::seconds)]
    for_seconds: Option<Duration>,
    /// Print JSON objects, one per line. Errors are text on standard error all the same.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteFlags,
}

pub(super) async fn listen(args: ListenArgs) -> Result<(), Failure> {
    let kinds = KindFilter::new(&args.kind)?;
    let signals = Signals::listen()?;
    let remote = Remote::connect(args.remote.options()?).await;
    let remote = remote.map_err(|error| Failure::usage(chain(&error)))?;
    let options = args.subscribe_options();
    let options = match &args.since {
        None => options,
        Some(since) => {
            let found = signals.unless_stopped(since.resume(&remote)).await;
            options.resuming(found?)
        }
    };
    let mut subscription = remote.subscribe(options).await;
    let changes = remote.changes();
    let mut listening = Listening {
        kinds,
        anomalies: Vec::new(),
        was_connected: remote.is_connected(Channel::Events),
        came: 0,
        args: &args,
    };
    if listening.was_connected {
        let channel = Channel::Events;
        listening.tell_change(&RemoteChange::Connected {
            channel,
            address: None,
        });
    }
    let ended = Box::pin(listening.run(&remote, &mut subscription, changes, &signals)).await;
    if let Some(position) = subscription.position() {
        listening.tell_position(&position);
    }
    remote.close().await;
    terminal::results_written().and(ended)
}

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Since {
    Now,
    Oldest,
    /// A number of whichever log the device has.
    Number(u64),
    Position(ReplayPosition),
}

fn since(text: &str) -> Result<Since, String> {
    match text {
        "now" => return Ok(Since::Now),
        "oldest" => return Ok(Since::Oldest),
        _ => {}
    }
    let wrong = || "it is a number, LOG:NUMBER, `oldest` or `now`".to_owned();
    let number = |text: &str| text.parse().map_err(|_| wrong());
    match text.rsplit_once(':') {
        None => number(text).map(Since::Number),
        Some((log_id, sequence)) => Ok(Since::Position(ReplayPosition {
            log_id: log_id.to_owned(),
            sequence: number(sequence)?,
        })),
    }
}

impl Since {
    async fn resume(&self, remote: &Remote) -> Result<Resume, Failure> {
        // Says no at once, where there is no log.
        let request = ReplayRequest {
            after: u64::MAX,
            limit: Some(1),
            ..ReplayRequest::default()
        };
        let page = remote.replay_page(&request).await;
        let page = page.map_err(|error| refused(&error))?;
        Ok(match self {
            Self::Now => Resume::Now,
            Self::Oldest => Resume::Oldest,
            Self::Number(sequence) => Resume::After(ReplayPosition {
                log_id: page.log_id,
                sequence: *sequence,
            }),
            Self::Position(position) => Resume::After(position.clone()),
        })
    }
}

impl ListenArgs {
    fn subscribe_options(&self) -> SubscribeOptions {
        let topics: &[Topic] = match self.topic.as_slice() {
            [] if self.kind.is_empty() => &[Topic::ANY],
            [] => &[Topic::EVENT, Topic::EMERGENCY, Topic::PROPERTY_CHANGE],
            topics => topics,
        };
        SubscribeOptions {
            merge_emergencies: true,
            ..SubscribeOptions::topics(topics)
        }
    }
}

#[derive(Debug)]
struct Listening<'a> {
    args: &'a ListenArgs,
    kinds: KindFilter,
    anomalies: Vec<(Anomaly, u64)>,
    was_connected: bool,
    came: u64,
}

impl Listening<'_> {
    async fn run(
        &mut self,
        remote: &Remote,
        subscription: &mut Subscription,
        mut changes: RemoteChanges,
        signals: &Signals,
    ) -> Result<(), Failure> {
        let mut look = interval();
        let end = self.args.for_seconds.map(|time| Instant::now() + time);
        loop {
            tokio::select! {
                biased;
                () = signals.stop.cancelled() => return self.stopped(),
                () = until(end) => return self.is_over(),
                delivery = subscription.next() => {
                    let Some(delivery) = delivery else { return self.is_over() };
                    let delivery = self.args.remote.with_level(delivery);
                    if self.took(&delivery) {
                        self.tell_anomalies(remote);
                        return Ok(());
                    }
                }
                Some(change) = changes.next() => self.tell_change(&change),
                _ = look.tick() => self.tell_anomalies(remote),
            }
            if terminal::nobody_reads() {
                return Ok(());
            }
        }
    }

    /// Whether that was the last that was asked for.
    fn took(&mut self, delivery: &Delivery) -> bool {
        if let Delivery::Message(message) = delivery {
            if !self.is_wanted(message) {
                return false;
            }
            self.came += 1;
        }
        if self.args.json {
            terminal::result(show::delivery_json(delivery));
        } else if matches!(delivery, Delivery::Message(_)) {
            terminal::result(show::delivery(delivery));
        } else {
            terminal::say(show::delivery(delivery));
        }
        self.args.count.is_some_and(|count| self.came >= count)
    }

    fn is_wanted(&self, message: &Message) -> bool {
        match message {
            Message::Event { event, level, .. } => self.kinds.admits(event, *level),
            Message::Heartbeat(_) | Message::Result(_) | Message::Other { .. } | _ => {
                self.kinds.is_empty()
            }
        }
    }

    fn tell_change(&mut self, change: &RemoteChange) {
        self.was_connected |= matches!(
            change,
            RemoteChange::Connected {
                channel: Channel::Events,
                ..
            }
        );
        // Commands are not used here.
        let is_of_commands = matches!(
            change,
            RemoteChange::Connected {
                channel: Channel::Commands,
                ..
            } | RemoteChange::Disconnected {
                channel: Channel::Commands,
                ..
            } | RemoteChange::NotConnected {
                channel: Channel::Commands,
                ..
            }
        );
        let Some((line, json)) = show::change(change).filter(|_| !is_of_commands) else {
            return;
        };
        if self.args.json {
            terminal::result(json);
        } else {
            terminal::say(line);
        }
    }

    fn tell_anomalies(&mut self, remote: &Remote) {
        for &anomaly in Anomaly::ALL {
            let total = remote.anomalies().of(anomaly);
            let before = self.anomalies.iter().find(|(known, _)| *known == anomaly);
            let before = before.map_or(0, |(_, total)| *total);
            if total == before {
                continue;
            }
            self.anomalies.retain(|(known, _)| *known != anomaly);
            self.anomalies.push((anomaly, total));
            let more = total - before;
            if self.args.json {
                let members = [("reason", anomaly.name().into()), ("count", value(more))];
                terminal::result(object("anomaly", members));
            } else {
                terminal::say(format_args!("{}: {anomaly}", show::counted(more, "time")));
            }
        }
    }

    /// From where to go on next time.
    fn tell_position(&self, position: &ReplayPosition) {
        let ReplayPosition { log_id, sequence } = position;
        if self.args.json {
            let members = [
                ("logId", log_id.as_str().into()),
                ("sequence", value(sequence)),
            ];
            terminal::result(object("position", members));
        } else {
            terminal::say(format_args!(
                "to go on from here: --since {}:{sequence}",
                one_line(log_id)
            ));
        }
    }

    fn stopped(&self) -> Result<(), Failure> {
        match self.args.count {
            Some(_) => Err(Failure::interrupted()),
            None => Ok(()),
        }
    }

    fn is_over(&self) -> Result<(), Failure> {
        if !self.was_connected {
            return Err(Failure::servers(
                "the device was not reached; is it there, and its event port right?",
            ));
        }
        match self.args.count {
            Some(count) => Err(Failure::failed(format!(
                "{} of {count} messages came in time",
                self.came
            ))),
            None => Ok(()),
        }
    }
}

fn interval() -> Interval {
    let mut interval = tokio::time::interval(LOOK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

/// Ends then; never, if no time is set.
pub(super) async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}
