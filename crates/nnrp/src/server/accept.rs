//! A server: connections come in, sessions come out.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::session::{MigrateOffer, OutputBudget, PathId, Report, ServerSession};
use nnrp_wire::{ErrorCode, LossTolerance};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::app::{FrameRules, HeldBytes, InboxLimits, ServerApp};
use super::counters::{Refused, ServerTotals};
use super::handshake::Handshake;
use super::options::ServerOptions;
use super::session::{Session, Shared};
use super::standing::Standing;
use super::table::Table;
use crate::driver::{Clock, Driver};
use crate::link::Link;
use crate::listener::Listener;
use crate::listener::handshakes::Handshakes;

/// Connections beyond those that may be there that are told that the server is busy, at the same time; further ones are
/// dropped without a word.
const BUSY_MAX: usize = 256;

/// A server. All clones are the same. When the last is dropped, no more sessions begin; those that were taken go on.
#[derive(Debug, Clone)]
pub struct Server {
    shared: Arc<ServerShared>,
}

#[derive(Debug)]
pub(super) struct ServerShared {
    pub(super) options: ServerOptions,
    pub(super) clock: Clock,
    pub(super) table: Table,
    pub(super) stopping: CancellationToken,
    paths: AtomicU32,
    handshakes: Handshakes,
    busy: Arc<Semaphore>,
    places: Arc<Semaphore>,
    held: HeldBytes,
    output: OutputBudget,
    totals: Mutex<ServerTotals>,
    tasks: TaskTracker,
}

/// What a stop came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stopped {
    /// Sessions that ended in time.
    pub ended: usize,
    /// Sessions that did not, and were cut.
    pub cut: usize,
}

impl Server {
    /// A server without connections.
    #[must_use]
    pub fn new(options: ServerOptions) -> Self {
        let permits = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        let shared = ServerShared {
            clock: Clock::start(),
            table: Table::default(),
            stopping: CancellationToken::new(),
            paths: AtomicU32::new(1),
            handshakes: Handshakes::new(options.handshakes_max),
            busy: permits(BUSY_MAX),
            places: permits(options.sessions_max),
            held: HeldBytes::default(),
            output: OutputBudget::new(options.total_output_bytes_max),
            totals: Mutex::default(),
            tasks: TaskTracker::new(),
            options,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Takes a connection over; its session comes out of [`Self::next_session`] if its client gets one. If there are as many
    /// without a session as may be, the oldest that has sent nothing gives way to it, or else the oldest without a hello. Says
    /// whether there was room for it: if not, the client is told so. It needs a Tokio runtime.
    pub fn adopt_link(&self, link: Link) -> bool {
        let shared = &self.shared;
        shared.count(|totals| totals.connections += 1);
        let is_stopping = shared.stopping.is_cancelled();
        let room = (!is_stopping).then(|| shared.handshakes.try_begin());
        if let Some(room) = room.flatten() {
            let span = tracing::debug_span!("nnrp_connection", remote = ?link.remote());
            let handshake = Handshake::new(Arc::clone(shared), link, Standing::Counted(room));
            shared.tasks.spawn(handshake.run().instrument(span));
            return true;
        }
        if let Some(permit) = shared.busy_permit() {
            let standing = Standing::Beyond(permit);
            let handshake = Handshake::new(Arc::clone(shared), link, standing);
            shared.tasks.spawn(handshake.run_busy());
        } else {
            shared.count(|totals| totals.refuse(Refused::Busy));
        }
        false
    }

    /// The next session, whose hello is behind it; `None` when the server has stopped. It can be called by several tasks at
    /// once. If it is dropped, nothing is lost.
    pub async fn next_session(&self) -> Option<Session> {
        loop {
            let arrivals = self.shared.table.arrivals().notified();
            tokio::pin!(arrivals);
            arrivals.as_mut().enable();
            if self.shared.stopping.is_cancelled() {
                return None;
            }
            if let Some(session) = self.shared.table.pop_ready() {
                return Some(session);
            }
            tokio::select! {
                () = arrivals => {}
                () = self.shared.stopping.cancelled() => return None,
            }
        }
    }

    /// Takes over all connections of a listener, until it is closed or the server has stopped. If it is dropped, no
    /// connection is lost that it has taken.
    pub async fn listen(&self, listener: &Listener) {
        loop {
            tokio::select! {
                link = listener.accept() => match link {
                    Ok(link) => self.adopt_link(link),
                    Err(_) => return,
                },
                () = self.shared.stopping.cancelled() => return,
            };
        }
    }

    /// The next session of a listener's connections, whose hello is behind it; `None` when the listener is closed or the
    /// server has stopped. Nothing is taken from the listener while nobody waits here. If it is dropped, nothing is lost.
    pub async fn accept(&self, listener: &Listener) -> Option<Session> {
        tokio::select! {
            session = self.next_session() => session,
            () = self.listen(listener) => None,
        }
    }

    /// How many sessions there are, with those that nobody has taken yet.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.shared.table.len()
    }

    /// What was counted until now.
    #[must_use]
    pub fn totals(&self) -> ServerTotals {
        self.shared.count(|totals| totals.clone())
    }

    /// Stops: no more connections are taken, all sessions are closed with this reason, and those that have not ended after
    /// `patience` are cut. How long a session has for its frames is [`ServerOptions::session`]'s drain time and close grace,
    /// so that patience should be longer than both together. If it is dropped, sessions go on closing, and none is cut.
    pub async fn stop(&self, reason: impl Into<Bytes>, patience: Duration) -> Stopped {
        let shared = &self.shared;
        shared.stopping.cancel();
        let reason = reason.into();
        let ended_before = shared.count(|totals| totals.ended);
        let sessions = shared.table.all();
        for session in &sessions {
            session.close(reason.clone());
        }
        shared.table.drop_ready();
        let _ = timeout(patience, all_ended(&sessions)).await;
        let cut = sessions.iter().filter(|session| cut(session)).count();
        all_ended(&sessions).await;
        // Connections whose hello had come when the stop began.
        shared.tasks.close();
        shared.tasks.wait().await;
        let late = shared.table.all();
        let cut = cut + late.iter().filter(|session| self::cut(session)).count();
        all_ended(&late).await;
        // Lists of sessions have some twice, or miss some: they leave the table whenever their own tasks come to it.
        let begun = shared.count(|totals| totals.sessions);
        let ended = usize::try_from(begun.saturating_sub(ended_before)).unwrap_or(usize::MAX);
        Stopped {
            ended: ended.saturating_sub(cut),
            cut,
        }
    }
}

async fn all_ended(sessions: &[Arc<Shared>]) {
    for session in sessions {
        session.driver.ended().await;
    }
}

/// Says whether there was something to cut.
fn cut(session: &Arc<Shared>) -> bool {
    session.fail(Report {
        code: ErrorCode::ServerBusy,
        retry_after_ms: 0,
        diagnostic: "the server stops",
    })
}

impl ServerShared {
    /// A number that no other connection has.
    pub(super) fn next_path(&self) -> PathId {
        PathId(self.paths.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn count<R>(&self, count: impl FnOnce(&mut ServerTotals) -> R) -> R {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut totals)
    }

    /// For a connection beyond those that may be there, which is told so.
    pub(super) fn busy_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.busy).try_acquire_owned().ok()
    }

    /// A place for a session, if there is one.
    pub(super) fn session_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// How large bodies are that are read, if only to be refused.
    pub(super) fn read_body_bytes(&self, session_bytes_max: u32) -> u32 {
        self.options.read_body_bytes_max.max(session_bytes_max)
    }

    /// Begins to drive a session, which has no link yet.
    pub(super) fn start(
        &self,
        mut machine: ServerSession,
        tolerance: LossTolerance,
        shared: impl FnOnce(Driver<ServerApp>, Arc<Notify>) -> Shared,
    ) -> Arc<Shared> {
        machine.share_output(&self.output);
        let options = &self.options;
        let limits = InboxLimits {
            session_bytes_max: options.input_bytes_max,
            server_bytes_max: options.total_input_bytes_max,
        };
        let rules = FrameRules {
            tolerance,
            drops_early: options.drops_early,
            explains_drops: options.explains_drops,
            enforces_budget: options.session.enforces_budget,
        };
        let arrivals = Arc::new(Notify::new());
        let app = ServerApp::new(limits, self.held.clone(), rules, Arc::clone(&arrivals));
        Arc::new(shared(Driver::start(machine, app, self.clock), arrivals))
    }

    /// There is a session: it is there to be taken, and has its place until it has ended.
    pub(super) fn began(self: &Arc<Self>, session: Arc<Shared>, place: OwnedSemaphorePermit) {
        self.count(|totals| totals.sessions += 1);
        tokio::spawn(watch(Arc::downgrade(self), Arc::clone(&session), place));
        self.table.push_ready(Session::new(session));
        if self.stopping.is_cancelled() {
            // The stop may have come in between, and not know of it.
            self.table.drop_ready();
        }
    }

    /// Whether a migration comes from the session's client. spec: nnrp-session A-6
    pub(super) fn is_owner(&self, session: &Shared, link: &Link, offer: &MigrateOffer) -> bool {
        let body = &offer.migrate.body;
        let is_proven = session.proof.is_some_and(|proof| proof.is_proven_by(body));
        let certificate = link.peer_certificates().first();
        let is_known = self.options.moves_by_certificate
            && certificate.is_some()
            && certificate == session.certificate.as_ref();
        let is_trusted = self.options.allows_unproven_migration && body.is_empty();
        is_proven || is_known || is_trusted
    }
}

/// Until a session has ended, and its connections are closed.
async fn watch(
    server: std::sync::Weak<ServerShared>,
    session: Arc<Shared>,
    place: OwnedSemaphorePermit,
) {
    session.driver.ended().await;
    if let Some(server) = server.upgrade() {
        server.table.remove(session.id);
        server.count(|totals| totals.add(&session.counters()));
    }
    drop(place);
}
