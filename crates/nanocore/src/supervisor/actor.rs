//! One task per server: hears what happens, asks the machine, does it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use nanograph::client::{Client, ConnectionState};
use nanograph::message::Handshake;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior};

use super::Shared;
use super::files::{Code, Content};
use super::job::{self, InstallFailure, Prepared, Running, StartFailure, blocking};
use super::listening::listens_beyond_loopback;
use super::logs::LogSource;
use super::machine::{Do, Event, Machine};
use super::slot::{Command, Slot};
use super::status::{LastError, ServerState};
use crate::process::Exit;
use crate::register::{Finding, check};
use crate::registry::{AssetRefs, Entry};
use crate::workflow::{AssetStyle, ServerSettings};

/// Lines of standard error kept with an error.
const STDERR_LINES: usize = 50;

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
    Connected(Result<Client, StartFailure>),
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
        let is_ours = entry.url.is_none();
        Self {
            machine: Machine::new(shared.parts.options.restart, is_ours),
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
            ending: false,
        }
    }

    /// Runs until the server was removed or everything ends, and it is stopped.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        if self.entry.enabled {
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
            if entry.url.is_some() {
                status.url.clone_from(&entry.url);
            }
        });
        match (was_enabled, self.entry.enabled) {
            _ if self.ending => {}
            (false, true) => self.event(Event::Start).await,
            (true, false) => self.event(Event::Stop).await,
            (true, true) | (false, false) if needs_restart => self.event(Event::Changed).await,
            (true, true) | (false, false) => {}
        }
    }

    async fn done(&mut self, done: Done) {
        match done {
            Done::Installed(content, result) => {
                self.seen.clone_from(&content);
                self.used = content;
                self.installed(*result).await;
            }
            Done::Connected(Ok(client)) => {
                self.connected(client);
                self.event(Event::Ready).await;
                if self.machine.failures_in_row() == 0 {
                    self.slot
                        .status
                        .send_modify(|status| status.last_error = None);
                }
                self.note_listening().await;
            }
            Done::Connected(Err(StartFailure::Foreign(message))) => {
                self.fail(message);
                self.event(Event::Unusable).await;
            }
            Done::Connected(Err(StartFailure::Failed(message))) => {
                self.fail(message);
                self.event(Event::StartFailed).await;
            }
            Done::Stopped => {
                self.forget_process();
                self.event(Event::Stopped).await;
            }
        }
    }

    async fn installed(&mut self, result: Result<Prepared, InstallFailure>) {
        match result {
            Ok(prepared) => {
                self.found(&prepared.findings);
                let sdk = prepared.sdk.as_ref();
                self.slot.status.send_modify(|status| {
                    if let Some(sdk) = sdk {
                        status.sdk_version = Some(sdk.version.clone());
                        status.asset_refs = Some(sdk.asset_refs.as_str());
                    }
                });
                self.sdk_refs = prepared.sdk.as_ref().map(|sdk| sdk.asset_refs);
                self.code_epoch.clone_from(&prepared.code_epoch);
                self.code.clone_from(&prepared.code);
                self.prepared = Some(prepared);
                self.event(Event::Installed).await;
            }
            Err(InstallFailure::Unusable(message, findings)) => {
                self.found(&findings);
                self.fail(message);
                self.event(Event::Unusable).await;
            }
            Err(InstallFailure::Failed(message)) => {
                self.fail(message);
                self.event(Event::InstallFailed).await;
            }
        }
    }

    /// Tells the machine, does what it says, and goes on until nothing more follows.
    async fn event(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let before = self.machine.state();
            let what = self.machine.handle(event, Instant::now(), fastrand::f64());
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
                let work = job::install(
                    Arc::clone(&self.shared),
                    self.entry.clone(),
                    self.slot.log.clone(),
                );
                self.job = Some(Box::pin(async {
                    let (content, result) = work.await;
                    Done::Installed(content, Box::new(result))
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

    async fn spawn(&mut self) -> Option<Event> {
        let prepared = self.prepared.take()?;
        let mut notes = Vec::new();
        let spawned = job::spawn(
            &self.shared,
            &self.entry,
            &prepared,
            &self.slot.log,
            &mut notes,
        );
        let spawned = spawned.await;
        for note in &notes {
            self.say(note);
        }
        self.slot.status.send_modify(|status| {
            status.starts += 1;
            status.notes = notes;
        });
        match spawned {
            Ok(running) => {
                self.started(running);
                let auto_watch = prepared.config.is_none_or(|config| config.auto_watch);
                let work = job::connect(
                    Arc::clone(&self.shared),
                    self.entry.clone(),
                    self.running.clone(),
                    auto_watch,
                );
                self.job = Some(Box::pin(async { Done::Connected(work.await) }));
                None
            }
            Err(message) => {
                self.fail(message);
                Some(Event::StartFailed)
            }
        }
    }

    fn started(&mut self, running: Option<Running>) {
        if let Some(Running { process, .. }) = &running {
            self.slot.status.send_modify(|status| {
                status.pid = process.pid();
                status.port = Some(process.port());
                status.url = Some(process.url());
            });
            self.entry.port = Some(process.port());
            let process = Arc::clone(process);
            self.exit = Some(Box::pin(async move { process.exited().await }));
        }
        self.running = running;
    }

    /// The process ended, and nobody asked for it.
    async fn exited(&mut self, exit: Exit) {
        self.exit = None;
        if self.machine.state() == ServerState::Stopping {
            return;
        }
        self.fail(ended_message(&exit));
        self.job = None;
        self.connection = None;
        self.shared.parts.pool.remove(&self.entry.server_uid);
        let client = self.slot.link().client.take();
        if let Some(client) = client {
            client.close().await;
        }
        if let Some(running) = self.running.take() {
            job::ended(&self.shared, &running.mark).await;
        }
        self.forget_process();
        self.event(Event::Exited).await;
    }

    fn forget_process(&mut self) {
        self.running = None;
        self.exit = None;
        self.slot.status.send_modify(|status| status.pid = None);
        let resources = self.shared.parts.assets.resources();
        resources.drop_server(&self.entry.server_uid);
    }

    fn connected(&mut self, client: Client) {
        let asset_refs = self.sdk_refs.or(self.entry.asset_refs);
        let settings = ServerSettings {
            input_style: self.entry.input_style,
            max_in_flight: self.entry.max_concurrency,
            code_epoch: self.code_epoch.clone(),
            asset_style: asset_refs.map(|refs| match refs {
                AssetRefs::Uuid => AssetStyle::Uuid,
                AssetRefs::Hash => AssetStyle::Hash,
            }),
        };
        self.connection = Some(Connection {
            state: client.watch_state(),
            handshake: client.watch_handshake(),
        });
        self.shared.parts.pool.add(client.clone(), settings);
        self.slot.link().client = Some(client);
        self.definitions_changed();
    }

    async fn connection_changed(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let state = connection.state.borrow_and_update().clone();
        match state {
            ConnectionState::Connected | ConnectionState::Unresponsive => {
                self.event(Event::Back).await;
                self.code_may_have_changed().await;
            }
            ConnectionState::Reconnecting { .. } => self.event(Event::Lost).await,
            ConnectionState::Closed { reason } => {
                self.connection = None;
                self.fail(format!("the connection is closed: {reason}"));
                self.event(Event::StartFailed).await;
            }
        }
    }

    /// Tells which nodes there are now, and what has come and gone. spec: nanograph N12
    fn definitions_changed(&mut self) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        let handshake = connection.handshake.borrow_and_update().clone();
        let uids = |handshake: &Handshake| -> BTreeSet<String> {
            let definitions = handshake.node_definitions.iter();
            definitions
                .map(|definition| definition.uid.clone())
                .collect()
        };
        let now = uids(&handshake);
        let before = self.slot.link().handshake.replace(Arc::clone(&handshake));
        let before = before.as_deref().map(uids).unwrap_or_default();
        self.slot
            .status
            .send_modify(|status| status.nodes = now.iter().cloned().collect());
        let fields = json!({
            "serverUid": self.entry.server_uid,
            "serverPackageId": self.entry.server_package_id,
            "domain": handshake.domain,
            "nodes": now,
            "added": now.difference(&before).collect::<Vec<_>>(),
            "removed": before.difference(&now).collect::<Vec<_>>(),
        });
        self.shared
            .parts
            .events
            .publish("definitions_update", None, fields);
    }

    /// Results of other code are not to be used again. spec: nanograph 18
    async fn code_may_have_changed(&mut self) {
        let Some(code) = self.code.clone() else {
            return;
        };
        if let Some(epoch) = blocking(move || code.epoch()).await {
            let pool = &self.shared.parts.pool;
            // False if it was removed just now.
            pool.set_code_epoch(&self.entry.server_uid, epoch.clone());
            self.code_epoch = Some(epoch);
        }
    }

    /// Whether files have changed. spec: nanograph 12.6
    async fn look(&mut self) {
        let Some(folder) = self.entry.path.clone() else {
            return;
        };
        // While it is installed, what it will be started from is not known yet.
        if self.machine.state() == ServerState::Installing {
            return;
        }
        let nodes = job::watched_nodes(&self.shared, &folder).await;
        let content = blocking(move || Content::read(&folder, nodes.as_deref())).await;
        let Some(content) = content.filter(|content| *content != self.seen) else {
            return;
        };
        self.seen = content;
        if self.seen == self.used {
            // Somebody took a change back.
            self.found(&[]);
            return;
        }
        if self.machine.state() == ServerState::Stopped {
            return;
        }
        let (path, registry) = (self.entry.path.clone(), self.shared.parts.registry.clone());
        let checked = blocking(move || check(&path.unwrap_or_default(), &registry)).await;
        match checked {
            Some(Ok(checked)) if checked.is_usable() => {
                self.found(&checked.findings);
                self.say("its files have changed; starting it anew");
                self.event(Event::Changed).await;
            }
            Some(Ok(checked)) => {
                self.say("its nanoserver.json has changed and cannot be used; what runs goes on as it was started");
                self.found(&checked.findings);
                self.publish(self.machine.state());
            }
            Some(Err(error)) => self.say(&format!("its files cannot be read: {error}")),
            None => {}
        }
    }

    /// Python servers listen on all interfaces, without asking who calls. spec: nanograph N23
    async fn note_listening(&mut self) {
        let Some(port) = self.running.as_ref().map(|running| running.process.port()) else {
            return;
        };
        if blocking(move || listens_beyond_loopback(port)).await == Some(true) {
            let note = format!(
                "it listens on all interfaces and lets everybody run its nodes; keep port {port} behind a firewall"
            );
            tracing::warn!(
                server_uid = self.entry.server_uid,
                port,
                "a node server {}",
                &note[3..]
            );
            self.slot
                .status
                .send_modify(|status| status.notes.push(note));
        }
    }

    fn found(&self, findings: &[Finding]) {
        self.slot
            .status
            .send_modify(|status| status.problems = findings.to_vec());
    }

    fn say(&self, text: &str) {
        self.slot.log.push(LogSource::Supervisor, text);
    }

    /// Notes why the server cannot be used.
    fn fail(&self, message: String) {
        self.say(&message);
        let log_start = self.running.as_ref().map(|running| running.log_start);
        let stderr = log_start
            .map(|start| self.slot.log.stderr_after(start, STDERR_LINES))
            .unwrap_or_default();
        let at = Timestamp::now();
        self.slot.status.send_modify(|status| {
            status.last_error = Some(LastError {
                message,
                at,
                stderr,
            });
        });
    }

    /// Tells what the server is up to now.
    fn publish(&self, before: ServerState) {
        let state = self.machine.state();
        let next_start = self.machine.next_start().map(|at| {
            let wait = at.saturating_duration_since(Instant::now());
            Timestamp::now() + wait
        });
        self.slot.status.send_modify(|status| {
            if status.state != state {
                status.since = Timestamp::now();
            }
            status.state = state;
            status.failed_starts = self.machine.failures_in_row();
            status.next_start = next_start;
        });
        let status = self.slot.status.borrow().clone();
        let fields = json!({
            "serverUid": status.server_uid,
            "serverPackageId": status.server_package_id,
            "serverDisplayName": status.server_display_name,
            "state": state,
            "previous": before,
            "port": status.port,
            "pid": status.pid,
            "failedStarts": status.failed_starts,
            "nextStart": status.next_start,
            "error": status.last_error.map(|error| error.message),
            "problems": status.problems,
        });
        self.shared
            .parts
            .events
            .publish("server_state", None, fields);
        tracing::info!(
            server_uid = status.server_uid,
            state = state.as_str(),
            "node server"
        );
    }
}

fn ended_message(exit: &Exit) -> String {
    if exit.success {
        // spec: nanograph N4
        return "it ended by itself, without an error; its entry point must wait after `start()` instead of returning".to_owned();
    }
    format!("it ended ({})", exit.status)
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

async fn changed(connection: &mut Option<Connection>) -> Input {
    let Some(Connection { state, handshake }) = connection else {
        return std::future::pending().await;
    };
    // An error means that the client's task is gone, which its last state has told.
    tokio::select! {
        Ok(()) = state.changed() => Input::Connection,
        Ok(()) = handshake.changed() => Input::Definitions,
        else => std::future::pending().await,
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
