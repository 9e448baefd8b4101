//! `nodewire device watch`: how a device is, redrawn in place.

mod state;
mod view;

use std::io::IsTerminal;
use std::time::Duration;

use autotrainer_api::{
    CallError, Channel, Command, CommandAnswer, Remote, RemoteChanges, SubscribeOptions,
    Subscription, Topic,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::flags::RemoteFlags;
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;
use state::State;
use view::View;

const HELP: &str = "\
Examples:
  nodewire device watch
  nodewire device watch --host box-7 --once || echo 'the device is not there'
  nodewire device watch --json | jq -c '.alarms[] | select(.isActive)'

What is known comes from GET_STATUS, asked at the start, after every reconnect and every --refresh seconds, and from events in \
between: system status, alarms, detectors, modes. On a terminal the view is redrawn in place; otherwise, and with --json, there is \
one JSON object per change, on a line.

Exit status: 0 the device is there, when it ends; 2 wrong usage; 3 it is not.";

/// How often the view is drawn at most, and how often JSON is printed.
const DRAW: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct WatchArgs {
    /// Ask once, print the state and end.
    #[arg(long)]
    once: bool,
    /// Print JSON objects, one per line. Errors are text on standard error all the same.
    #[arg(long)]
    json: bool,
    /// How often the status is asked for; 0 for never again.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = crate::micro::seconds)]
    refresh: Duration,
    /// End after this time.
    #[arg(long = "for", value_name = "SECONDS", value_parser = crate::micro::seconds)]
    for_seconds: Option<Duration>,
    #[command(flatten)]
    remote: RemoteFlags,
}

type Asked = Result<CommandAnswer, CallError>;

pub(super) async fn watch(args: WatchArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let remote = Remote::connect(args.remote.options()?).await;
    let remote = remote.map_err(|error| Failure::usage(chain(&error)))?;
    let is_there = if args.once {
        signals.unless_stopped(once(&args, &remote)).await
    } else {
        Ok(Box::pin(follow(&args, &remote, &signals)).await)
    };
    remote.close().await;
    let is_there = is_there?;
    terminal::results_written()?;
    if is_there {
        Ok(())
    } else {
        Err(Failure::servers("the device is not there"))
    }
}

/// Whether the device answers.
async fn once(args: &WatchArgs, remote: &Remote) -> Result<bool, Failure> {
    let mut state = State::default();
    let asked = ask(remote).await;
    let is_there = asked.is_ok();
    state.asked(asked);
    state.look(remote);
    if args.json {
        terminal::result(state.json());
    } else {
        for line in view::lines(&state) {
            terminal::result(line);
        }
    }
    Ok(is_there)
}

async fn follow(args: &WatchArgs, remote: &Remote, signals: &Signals) -> bool {
    let changes = remote.changes();
    let subscription = remote.subscribe(SubscribeOptions {
        merge_emergencies: true,
        ..SubscribeOptions::topics(&[Topic::ANY])
    });
    let subscription = subscription.await;
    let (answers, receiver) = mpsc::channel(1);
    let mut watching = Watching {
        args,
        state: State::default(),
        view: (!args.json && std::io::stdout().is_terminal()).then(View::new),
        printed: None,
    };
    let end = args.for_seconds.map(|time| Instant::now() + time);
    tokio::select! {
        biased;
        () = signals.stop.cancelled() => {}
        () = super::listen::until(end) => {}
        () = poll(remote, args.refresh, answers) => {}
        () = watching.run(remote, subscription, changes, receiver) => {}
    }
    watching.state.look(remote);
    watching.show();
    watching.state.is_there()
}

/// Asks for the status again and again; goes on for ever.
async fn poll(remote: &Remote, refresh: Duration, answers: mpsc::Sender<Asked>) {
    let mut changes = remote.changes();
    loop {
        if answers.send(ask(remote).await).await.is_err() {
            return;
        }
        tokio::select! {
            () = reconnected(&mut changes) => {}
            () = pause(refresh) => {}
        }
    }
}

async fn pause(time: Duration) {
    if time.is_zero() {
        std::future::pending().await
    } else {
        tokio::time::sleep(time).await;
    }
}

async fn reconnected(changes: &mut RemoteChanges) {
    use autotrainer_api::RemoteChange::Connected;
    while let Some(change) = changes.next().await {
        if matches!(
            change,
            Connected {
                channel: Channel::Commands,
                ..
            }
        ) {
            return;
        }
    }
    std::future::pending().await
}

async fn ask(remote: &Remote) -> Asked {
    let answered = remote.command(Command::GetStatus).send().await;
    answered.map(|answer| answer.answer)
}

#[derive(Debug)]
struct Watching<'a> {
    args: &'a WatchArgs,
    state: State,
    /// None if there is no terminal.
    view: Option<View>,
    /// What was printed last.
    printed: Option<String>,
}

impl Watching<'_> {
    async fn run(
        &mut self,
        remote: &Remote,
        mut subscription: Subscription,
        mut changes: RemoteChanges,
        mut answers: mpsc::Receiver<Asked>,
    ) {
        let mut draw = tokio::time::interval(DRAW);
        draw.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                delivery = subscription.next() => match delivery {
                    Some(delivery) => self.state.took(&self.args.remote.with_level(delivery)),
                    None => return,
                },
                // What changes is looked at when it is drawn.
                change = changes.next() => if change.is_none() { return },
                Some(asked) = answers.recv() => self.state.asked(asked),
                _ = draw.tick() => {
                    self.state.look(remote);
                    self.show();
                    if terminal::nobody_reads() {
                        return;
                    }
                }
            }
        }
    }

    fn show(&mut self) {
        if let Some(view) = &mut self.view {
            view.draw(&self.state);
            return;
        }
        if self.state.is_unknown() {
            return;
        }
        let text = self.state.json().as_str().to_owned();
        if self.printed.as_ref() != Some(&text) {
            terminal::result(&text);
            self.printed = Some(text);
        }
    }
}
