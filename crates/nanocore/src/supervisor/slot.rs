//! What a server's actor and the handles share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use nanograph::client::ConnectionState;
use nanograph::message::Handshake;
use tokio::sync::{mpsc, oneshot, watch};

use super::logs::ServerLog;
use super::remote::Remote;
use super::status::{NatsCounters, NatsStatus, ServerState, ServerStatus};
use crate::registry::Entry;

/// What an actor is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Start(Answer),
    Stop(Answer),
    Restart(Answer),
    /// The registry says something else now.
    Entry(Box<Entry>),
    /// The registry has it no more.
    Remove,
    /// Everything ends.
    Shutdown,
}

/// Told once the command has been taken.
pub(super) type Answer = oneshot::Sender<()>;

/// One server, as others see it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) status: watch::Sender<ServerStatus>,
    pub(super) log: ServerLog,
    pub(super) commands: mpsc::Sender<Command>,
    // A std mutex: it is held to copy handles, never over an await.
    pub(super) link: Mutex<Link>,
}

/// The connection, and what was announced on it last.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) client: Option<Remote>,
    pub(super) handshake: Option<Arc<Handshake>>,
}

impl Slot {
    pub(super) fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it says nothing although executions are outstanding. spec: nanograph 13.3
    pub(super) fn is_unresponsive(&self) -> bool {
        let link = self.link();
        let client = link.client.as_ref();
        client.is_some_and(|client| matches!(client.state(), ConnectionState::Unresponsive))
    }

    /// The status with what changes all the time.
    pub(super) fn status(&self) -> ServerStatus {
        let mut status = self.status.borrow().clone();
        status.log = self.log.counters();
        status.unresponsive = self.is_unresponsive();
        if let Some(client) = &self.link().client {
            status.running = client.outstanding();
            if let (Some(nats), Some(server)) = (&mut status.nats, client.nats()) {
                nats.instances = server.instances();
                nats.counts = server.counts().into();
                status.notes.extend(server.notes());
            }
        }
        status
    }
}

/// The status of a server that has not been started.
pub(super) fn first_status(entry: &Entry) -> ServerStatus {
    ServerStatus {
        server_uid: entry.server_uid.clone(),
        server_package_id: entry.server_package_id.clone(),
        server_display_name: entry.server_display_name.clone(),
        language: entry.language,
        path: entry.path.clone(),
        url: url_of(entry),
        nats: nats_of(entry),
        port: entry.port,
        pid: None,
        state: ServerState::Stopped,
        since: Timestamp::now(),
        enabled: entry.enabled,
        unresponsive: false,
        sdk_version: entry.sdk_version.clone(),
        asset_refs: entry.asset_refs.map(crate::registry::AssetRefs::as_str),
        running: 0,
        nodes: Vec::new(),
        starts: 0,
        failed_starts: 0,
        next_start: None,
        last_error: None,
        update_error: None,
        problems: Vec::new(),
        notes: Vec::new(),
        log: super::status::LogCounters::default(),
    }
}

/// Where a server is that somebody else starts, without credentials.
pub(super) fn url_of(entry: &Entry) -> Option<String> {
    let nats = entry.nats.as_ref();
    let address = nats.and_then(|nats| nats.address.as_ref());
    address
        .map(|address| address.shown())
        .or_else(|| entry.url.clone())
}

/// What is told of a service before it was found.
pub(super) fn nats_of(entry: &Entry) -> Option<NatsStatus> {
    let nats = entry.nats.as_ref()?;
    Some(NatsStatus {
        service: nats.service.clone(),
        instances: 0,
        counts: NatsCounters::default(),
    })
}
