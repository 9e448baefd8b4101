//! Supervised node servers: all that the registry names are installed, started, connected, watched, restarted, stopped.
//! spec: nanograph 12.4 to 12.6
//!
//! Each server has a task of its own that asks a machine without side effects (`machine.rs`) what to do. The registry
//! and the servers' files are looked at every second, so that hand edits are taken. Times come from
//! [`SupervisorOptions`].
//!
//! Invariants: a server has one process at most, and that one is stopped or gone before another is started; each process
//! is recorded on disk before it is started; a server whose configuration became unusable runs on; all waits, queues,
//! logs and repetitions are bounded.

mod absent;
mod actor;
mod env_file;
mod files;
mod job;
mod listening;
mod logs;
mod machine;
mod manager;
mod options;
mod orphans;
mod ports;
mod remote;
mod slot;
mod status;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nanograph::message::Handshake;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use logs::{Followed, LogFollower, LogLevel, LogLine, LogOptions, LogSource};
pub use machine::RestartPolicy;
pub use options::{SupervisorOptions, SupervisorParts};
pub use status::{LastError, LogCounters, NatsCounters, NatsStatus, ServerState, ServerStatus};

use crate::registry::{Entries, NameError, RegistryError};
use crate::workflow::GraphNode;
use orphans::Records;
use ports::Ports;
use slot::{Answer, Command, Slot};

/// Why the supervisor cannot do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// No server is called so, or several are.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The registry cannot be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The record of processes cannot be used.
    #[error("cannot use {}: {source}", path.display())]
    Records {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Everything is being stopped.
    #[error("the daemon is stopping")]
    Stopping,
}

/// The servers that are supervised. Cloning shares it.
///
/// When the last clone is gone without [`Self::shutdown`], servers go on until the runtime ends, which kills them.
#[derive(Debug, Clone)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    parts: SupervisorParts,
    records: Records,
    ports: Ports,
    // Std mutexes: they are held for look-ups, never over an await.
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    entries: Mutex<Entries>,
    registry_problem: Mutex<Option<String>>,
    reload: Notify,
    /// Counts how often the registry was looked at.
    looked: watch::Sender<u64>,
    /// What an earlier supervisor left behind has ended; before that, no server is started.
    orphans_gone: CancellationToken,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// A server's nodes, for clients.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The server.
    pub server: ServerStatus,
    /// What it announced last; `None` if it has not been connected yet.
    pub handshake: Option<Arc<Handshake>>,
    /// Whether its nodes can be run now.
    pub available: bool,
}

impl Supervisor {
    /// Begins to end what an earlier supervisor left behind, which may take some seconds; once that has ended, all enabled
    /// servers of the registry are started. Waits for neither.
    ///
    /// Cancel safety: if dropped, nothing was started or ended.
    ///
    /// # Errors
    /// The registry or the record of processes cannot be read.
    pub async fn start(parts: SupervisorParts) -> Result<Self, SupervisorError> {
        let path = parts.processes.clone();
        let error = |source| SupervisorError::Records {
            path: path.clone(),
            source,
        };
        let registry = parts.registry.clone();
        let entries = job::blocking(move || registry.load())
            .await
            .ok_or(SupervisorError::Stopping)??;
        let records = Records::open(path.clone()).map_err(error)?;
        let shared = Arc::new(Shared {
            parts,
            records,
            ports: Ports::default(),
            slots: Mutex::default(),
            entries: Mutex::default(),
            registry_problem: Mutex::default(),
            reload: Notify::new(),
            looked: watch::Sender::new(0),
            orphans_gone: CancellationToken::new(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let weak = Arc::downgrade(&shared);
        let absence = move |node: &GraphNode| {
            let shared = weak.upgrade()?;
            Some(absent::absence(&shared, node))
        };
        shared.parts.pool.set_absence(absence);
        if shared.records.is_empty() {
            shared.orphans_gone.cancel();
        } else {
            shared
                .tasks
                .spawn(manager::end_orphans(Arc::clone(&shared)));
        }
        manager::apply(&shared, entries);
        shared.tasks.spawn(manager::watch(Arc::clone(&shared)));
        Ok(Self { shared })
    }

    /// All servers, by uid.
    #[must_use]
    pub fn list(&self) -> Vec<ServerStatus> {
        self.slots().iter().map(|slot| slot.status()).collect()
    }

    /// The server that is called so: a uid, package id, display name or path.
    ///
    /// # Errors
    /// None is, or several are.
    pub fn get(&self, name: &str) -> Result<ServerStatus, SupervisorError> {
        Ok(self.slot(name)?.status())
    }

    /// The server's status, followed. What changes all the time (log counters, executions) is not in it.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn watch(&self, name: &str) -> Result<watch::Receiver<ServerStatus>, SupervisorError> {
        Ok(self.slot(name)?.status.subscribe())
    }

    /// The nodes of all servers, also of those that are away.
    #[must_use]
    pub fn offers(&self) -> Vec<Offer> {
        let offer = |slot: &Arc<Slot>| {
            let server = slot.status();
            Offer {
                available: server.state == ServerState::Ready,
                handshake: slot.link().handshake.clone(),
                server,
            }
        };
        self.slots().iter().map(offer).collect()
    }

    /// Why nobody offers this node, for people: the servers that have it or could, what each is up to, and what to do.
    #[must_use]
    pub fn absence(&self, node: &GraphNode) -> String {
        absent::absence(&self.shared, node)
    }

    /// Has the server run, also one that was given up; its status once that was taken.
    ///
    /// Cancel safety: once polled, the server may be started, whether this is waited for or not.
    ///
    /// # Errors
    /// As [`Self::get`]; or everything is being stopped.
    pub async fn start_server(&self, name: &str) -> Result<ServerStatus, SupervisorError> {
        self.command(name, Command::Start).await
    }

    /// Has the server stop, and stay stopped until it is started or the registry is changed. Executions may end first.
    /// Its status once that was taken.
    ///
    /// Cancel safety: as [`Self::start_server`].
    ///
    /// # Errors
    /// As [`Self::start_server`].
    pub async fn stop_server(&self, name: &str) -> Result<ServerStatus, SupervisorError> {
        self.command(name, Command::Stop).await
    }

    /// Has the server start anew. Executions may end first. Its status once that was taken.
    ///
    /// Cancel safety: as [`Self::start_server`].
    ///
    /// # Errors
    /// As [`Self::start_server`].
    pub async fn restart_server(&self, name: &str) -> Result<ServerStatus, SupervisorError> {
        self.command(name, Command::Restart).await
    }

    /// The last lines of the server's log, the latest last.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn logs(&self, name: &str, tail: usize) -> Result<Vec<Arc<LogLine>>, SupervisorError> {
        Ok(self.slot(name)?.log.tail(tail))
    }

    /// The last lines of the server's log, and all that come after them.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn follow(
        &self,
        name: &str,
        tail: usize,
    ) -> Result<(Vec<Arc<LogLine>>, LogFollower), SupervisorError> {
        Ok(self.slot(name)?.log.tail_and_follow(tail))
    }

    /// The NATS on which servers are looked for that name no address, without credentials, and whether it is embedded.
    #[must_use]
    pub fn nats(&self) -> Option<(String, bool)> {
        let options = &self.shared.parts.options.nats;
        let broker = options.broker.as_ref()?;
        Some((broker.shown(), options.is_embedded))
    }

    /// Whether the registry has a server with this uid.
    #[must_use]
    pub fn is_registered(&self, server_uid: &str) -> bool {
        lock(&self.shared.slots).contains_key(server_uid)
    }

    /// Why the registry could not be read the last time; what was read before still holds.
    #[must_use]
    pub fn registry_problem(&self) -> Option<String> {
        lock(&self.shared.registry_problem).clone()
    }

    /// Has the registry read at once, and waits for it; otherwise, changes are noticed within a second. Cancel safe.
    pub async fn reload(&self) {
        let mut looked = self.shared.looked.subscribe();
        // One may be under way, with what the file said before.
        let wanted = *looked.borrow() + 2;
        while *looked.borrow_and_update() < wanted && !self.shared.stopping.is_cancelled() {
            self.shared.reload.notify_one();
            tokio::select! {
                _ = looked.changed() => {}
                () = self.shared.stopping.cancelled() => {}
            }
        }
    }

    /// Stops all servers at the same time, without waiting for executions, and waits until they are gone. From then on
    /// nothing can be started.
    ///
    /// Cancel safety: once polled, servers are stopped, whether this is waited for or not.
    pub async fn shutdown(&self) {
        self.shared.stopping.cancel();
        for slot in self.slots() {
            // An error means that it has ended already. One that is busy takes it up later.
            let _ = slot.commands.send(Command::Shutdown).await;
        }
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        let slots = self.slots();
        job::blocking(move || slots.iter().for_each(|slot| slot.log.flush())).await;
    }

    async fn command(
        &self,
        name: &str,
        command: impl FnOnce(Answer) -> Command,
    ) -> Result<ServerStatus, SupervisorError> {
        let slot = self.slot(name)?;
        if self.shared.stopping.is_cancelled() {
            return Err(SupervisorError::Stopping);
        }
        let (answer, taken) = oneshot::channel();
        let sent = slot.commands.send(command(answer)).await;
        if sent.is_err() || taken.await.is_err() {
            return Err(SupervisorError::Stopping);
        }
        Ok(slot.status())
    }

    fn slot(&self, name: &str) -> Result<Arc<Slot>, SupervisorError> {
        let (server_uid, unknown) = match lock(&self.shared.entries).find(name) {
            Ok(entry) => (entry.server_uid.clone(), None),
            Err(error) => (String::new(), Some(error)),
        };
        if let Some(error) = unknown {
            return Err(error.into());
        }
        let slot = lock(&self.shared.slots).get(&server_uid).cloned();
        slot.ok_or(SupervisorError::Stopping)
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        lock(&self.shared.slots).values().cloned().collect()
    }
}

impl Shared {
    fn entries(&self) -> Entries {
        lock(&self.entries).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The message with that of its cause, for people.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
