//! One task per server: hears what happens, asks the machine, does it.

mod connected;
mod ending;
mod starting;
mod telling;
mod watching;

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use nanograph::client::ConnectionState;
use nanograph::message::Handshake;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior};

use super::Shared;
use super::files::{Code, Content};
use super::job::{self, InstallFailure, Prepared, Running, StartFailure};
use super::machine::{Do, Event, Machine, RestartPolicy};
use super::remote::Remote;
use super::slot::{Command, Slot, nats_of, url_of};
use super::status::ServerState;
use crate::process::Exit;
use crate::registry::{AssetRefs, Entry};
use connected::changed;

/// Drives one server.
pub(super) struct Actor {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    entry: Entry,
    machine: Machine,
    job: Option<BoxFuture<'static, Done>>,
    prepared: Option<Prepared>,
    /// What is installed; the registry may say something else.
    sdk_refs: Option<AssetRefs>,
    /// What the code is hashed from; `None` if somebody else has it.
    code: Option<Code>,
    code_epoch: Option<String>,
    running: Option<Running>,
    exit: Option<BoxFuture<'static, Exit>>,
    connection: Option<Connection>,
    /// What the server was started from.
    used: Content,
    /// What was told about last.
    seen: Content,
    /// How often in a row another program took its port while it started.
    ports_lost: u8,
    /// Ends once the server is stopped.
    ending: bool,
}

struct Connection {
    state: watch::Receiver<ConnectionState>,
    handshake: watch::Receiver<Arc<Handshake>>,
}

/// What a job came to.
enum Done {
    Installed(Content, Box<Result<Prepared, InstallFailure>>),
    /// The same, beside a process that runs.
    Updated(Box<Result<Prepared, InstallFailure>>),
    Connected(Result<Remote, StartFailure>),
    Stopped,
}

enum Input {
    Command(Command),
    Done(Done),
    Exit(Exit),
    Connection,
    Definitions,
    Due,
    Look,
}

impl Actor {
    pub(super) fn new(shared: Arc<Shared>, slot: Arc<Slot>, entry: Entry) -> Self {
        let is_ours = entry.path.is_some();
        let restart = restart_policy(shared.parts.options.restart, &entry);
        Self {
            machine: Machine::new(restart, is_ours),
            shared,
            slot,
            entry,
            job: None,
            prepared: None,
            sdk_refs: None,
            code: None,
            code_epoch: None,
            running: None,
            exit: None,
            connection: None,
            used: Content::default(),
            seen: Content::default(),
            ports_lost: 0,
            ending: false,
        }
    }

    /// Runs until the server was removed or everything ends, and it is stopped.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        if self.entry.enabled && !self.shared.stopping.is_cancelled() {
            self.event(Event::Start).await;
        }
        let mut looks = tokio::time::interval(self.shared.parts.options.watch_period);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !(self.ending && self.machine.state() == ServerState::Stopped) {
            let input = self.next(&mut commands, &mut looks).await;
            self.take(input).await;
        }
        self.shared.ports.give_back(&self.entry.server_uid);
    }

    async fn next(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        looks: &mut Interval,
    ) -> Input {
        let deadline = self.machine.deadline();
        tokio::select! {
            biased;
            command = commands.recv() => Input::Command(command.unwrap_or(Command::Shutdown)),
            done = finished(&mut self.job) => Input::Done(done),
            exit = finished(&mut self.exit) => Input::Exit(exit),
            input = changed(&mut self.connection) => input,
            () = reached(deadline) => Input::Due,
            _ = looks.tick() => Input::Look,
        }
    }

    async fn take(&mut self, input: Input) {
        match input {
            Input::Command(command) => self.command(command).await,
            Input::Done(done) => self.done(done).await,
            Input::Exit(exit) => self.exited(exit).await,
            Input::Connection => self.connection_changed().await,
            Input::Definitions => {
                self.definitions_changed();
                self.code_may_have_changed().await;
            }
            Input::Due => {
                self.event(Event::Due).await;
                if self.machine.failures_in_row() == 0 {
                    self.slot
                        .status
                        .send_if_modified(|status| status.last_error.take().is_some());
                }
            }
            Input::Look => self.look().await,
        }
    }

    async fn command(&mut self, command: Command) {
        let (event, answer) = match command {
            Command::Start(answer) => (Event::Start, Some(answer)),
            Command::Stop(answer) => (Event::Stop, Some(answer)),
            Command::Restart(answer) => (Event::Restart, Some(answer)),
            Command::Entry(entry) => return self.entry_changed(*entry).await,
            Command::Remove => {
                self.ending = true;
                (Event::Stop, None)
            }
            Command::Shutdown => {
                self.ending = true;
                (Event::Shutdown, None)
            }
        };
        if !self.ending || answer.is_none() {
            self.event(event).await;
        }
        if let Some(answer) = answer {
            // Nobody need wait any more.
            let _ = answer.send(());
        }
    }

    /// The registry says something else. Its port is what we wrote there ourselves, unless somebody changed it.
    async fn entry_changed(&mut self, entry: Entry) {
        let port = self.slot.status.borrow().port;
        let is_port_same = entry.port == port || entry.port == self.entry.port;
        let needs_restart = !(is_port_same && self.entry.starts_like(&entry));
        let was_enabled = std::mem::replace(&mut self.entry, entry).enabled;
        let entry = &self.entry;
        self.slot.status.send_modify(|status| {
            status.enabled = entry.enabled;
            status
                .server_package_id
                .clone_from(&entry.server_package_id);
            status
                .server_display_name
                .clone_from(&entry.server_display_name);
            status.language = entry.language;
            status.path.clone_from(&entry.path);
            // The address of one that we start is that of its process.
            if entry.path.is_none() {
                status.url = url_of(entry);
            }
            status.nats = nats_of(entry);
        });
        match (was_enabled, self.entry.enabled) {
            _ if self.ending => {}
            (false, true) => self.event(Event::Start).await,
            (true, false) => self.event(Event::Stop).await,
            (true, true) | (false, false) if needs_restart => self.event(Event::Changed).await,
            (true, true) | (false, false) => {}
        }
    }

    /// Tells the machine, does what it says, and goes on until nothing more follows.
    async fn event(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let before = self.machine.state();
            let what = self.machine.handle(event, Instant::now(), fastrand::f64());
            let pool = &self.shared.parts.pool;
            pool.set_kept_up(&self.entry.server_uid, self.machine.is_kept_up());
            if before != self.machine.state() || what != Do::Nothing {
                self.publish(before);
            }
            next = self.perform(what).await;
        }
    }

    async fn perform(&mut self, what: Do) -> Option<Event> {
        match what {
            Do::Nothing => {}
            Do::Abandon => self.job = None,
            Do::Install => {
                let work = self.install();
                self.job = Some(Box::pin(async {
                    let (content, result) = work.await;
                    Done::Installed(content, Box::new(result))
                }));
            }
            Do::InstallBeside => {
                let work = self.install();
                self.job = Some(Box::pin(async {
                    let (_, result) = work.await;
                    Done::Updated(Box::new(result))
                }));
            }
            Do::Spawn => return self.spawn().await,
            Do::Stop { drain } => {
                self.connection = None;
                let client = self.slot.link().client.take();
                let work = job::stop(
                    Arc::clone(&self.shared),
                    self.entry.server_uid.clone(),
                    client,
                    self.running.clone(),
                    drain,
                );
                self.job = Some(Box::pin(async {
                    work.await;
                    Done::Stopped
                }));
            }
        }
        None
    }
}

/// A service is waited for while it is being started, not between starts.
fn restart_policy(usual: RestartPolicy, entry: &Entry) -> RestartPolicy {
    if entry.nats.is_none() {
        return usual;
    }
    RestartPolicy {
        backoff_max: usual.backoff_min,
        ..usual
    }
}

/// What the future comes to, once; never without one.
async fn finished<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(running) => {
            let done = running.await;
            *future = None;
            done
        }
        None => std::future::pending().await,
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
