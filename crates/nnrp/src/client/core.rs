//! What the handles of a session share with what drives it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nnrp_wire::session::{Established, FrameKey, SessionSettings};
use tokio::sync::{broadcast, watch};

use super::connect::Connector;
use super::counters::Stats;
use super::error::{SessionEnd, SubmitError};
use super::event::SessionEvent;
use super::feed::Feed;
use super::inbox::{Inbox, Taken};
use super::options::ConnectOptions;
use crate::driver::{Driver, Traffic};
use crate::proof::{MigrationProof, PROOF_EXTENSION_TYPE};

pub(super) type ClientDriver = Driver<Feed>;

#[derive(Debug)]
pub(super) struct Core {
    pub(super) options: ConnectOptions,
    pub(super) connector: Option<Connector>,
    pub(super) inbox: Inbox,
    phase: watch::Sender<Phase>,
    pub(super) events: broadcast::Sender<SessionEvent>,
    /// Whose turn it is to submit; its queue is fair.
    pub(super) turn: tokio::sync::Mutex<()>,
    pub(super) stats: Stats,
    agreed: Mutex<Agreed>,
    session_id: AtomicU32,
    frame_ids: AtomicU32,
    /// This side wants it to end.
    is_closing: AtomicBool,
}

/// What holds for the session, since its hello was answered.
#[derive(Debug, Default)]
pub(super) struct Agreed {
    pub(super) established: Option<Arc<Established>>,
    pub(super) proof: Option<MigrationProof>,
    pub(super) settings: Option<SessionSettings>,
}

/// How a session stands.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// There is none yet; or none again, after this one.
    Connecting(Option<ClientDriver>),
    Active(ClientDriver),
    Ended(Option<ClientDriver>, SessionEnd),
}

impl Core {
    pub(super) fn new(options: ConnectOptions, connector: Option<Connector>) -> Self {
        Self {
            connector,
            inbox: Inbox::new(options.inbox),
            phase: watch::Sender::new(Phase::Connecting(None)),
            events: broadcast::Sender::new(options.events_max.max(1)),
            turn: tokio::sync::Mutex::new(()),
            stats: Stats::default(),
            agreed: Mutex::default(),
            session_id: AtomicU32::new(0),
            frame_ids: AtomicU32::new(0),
            is_closing: AtomicBool::new(false),
            options,
        }
    }

    /// A session has begun. With its driver locked. Says whether it is wanted.
    pub(super) fn began(&self, driver: ClientDriver, established: Established) -> bool {
        let session_id = established.session_id;
        let agreed = Agreed {
            proof: MigrationProof::from_extensions(&established.extensions),
            settings: Some(SessionSettings::from_ack(&established.ack)),
            established: Some(Arc::new(without_proof(established))),
        };
        if let Some(lost) = self.lost_driver() {
            self.stats.add_traffic(lost.traffic());
        }
        self.phase.send_if_modified(|phase| {
            let is_wanted = matches!(phase, Phase::Connecting(_));
            if is_wanted {
                self.session_id.store(session_id, Ordering::Relaxed);
                *self.agreed() = agreed;
                *phase = Phase::Active(driver);
            }
            is_wanted
        })
    }

    /// The session has ended, and another one is to follow. With its driver locked.
    pub(super) fn lost(&self, cause: SessionEnd) {
        let driver = self.current_driver();
        self.phase.send_replace(Phase::Connecting(driver));
        self.tell(SessionEvent::Lost(cause));
    }

    /// Waits until another session is to be begun. Says whether; the session may have ended for good.
    pub(super) async fn wait_lost(&self) -> bool {
        let mut phases = self.phase.subscribe();
        let phase = phases.wait_for(|phase| !matches!(phase, Phase::Active(_)));
        matches!(phase.await.as_deref(), Ok(Phase::Connecting(_)))
    }

    /// It has ended for good.
    pub(super) fn ended(&self, end: SessionEnd) {
        // What has come can be received before anybody hears of the end.
        self.inbox.end(end.clone());
        let is_new = self.phase.send_if_modified(|phase| {
            let driver = match phase {
                Phase::Active(driver) => Some(driver.clone()),
                Phase::Connecting(lost) => lost.take(),
                Phase::Ended(..) => return false,
            };
            *phase = Phase::Ended(driver, end.clone());
            true
        });
        if is_new {
            self.tell(SessionEvent::Ended(end));
        }
    }

    /// Where to submit, once there is a session.
    pub(super) async fn active(&self) -> Result<ClientDriver, SessionEnd> {
        if let Some(driver) = self.current_driver() {
            return Ok(driver);
        }
        let mut phases = self.phase.subscribe();
        let phase = phases.wait_for(|phase| !matches!(phase, Phase::Connecting(_)));
        match phase.await.map(|phase| phase.clone()) {
            Ok(Phase::Active(driver)) => Ok(driver),
            Ok(Phase::Ended(_, end)) => Err(end),
            Ok(Phase::Connecting(_)) | Err(_) => Err(SessionEnd::Closed),
        }
    }

    /// Where to submit, if there is a session now.
    pub(super) fn driver(&self) -> Result<ClientDriver, SubmitError> {
        match &*self.phase.borrow() {
            Phase::Active(driver) => Ok(driver.clone()),
            Phase::Connecting(_) => Err(SubmitError::Connecting),
            Phase::Ended(_, end) => Err(SubmitError::Over(end.clone())),
        }
    }

    pub(super) fn current_driver(&self) -> Option<ClientDriver> {
        match &*self.phase.borrow() {
            Phase::Active(driver) => Some(driver.clone()),
            Phase::Connecting(_) | Phase::Ended(..) => None,
        }
    }

    /// What was driven last, if nothing is now.
    pub(super) fn lost_driver(&self) -> Option<ClientDriver> {
        match &*self.phase.borrow() {
            Phase::Connecting(driver) | Phase::Ended(driver, _) => driver.clone(),
            Phase::Active(_) => None,
        }
    }

    /// What has gone over the connections of the session, or of the last one if there is none.
    pub(super) fn traffic(&self) -> Traffic {
        let driver = self.current_driver().or_else(|| self.lost_driver());
        driver.map_or_else(Traffic::default, |driver| driver.traffic())
    }

    /// How it has ended, if it has.
    pub(super) fn end(&self) -> Option<SessionEnd> {
        match &*self.phase.borrow() {
            Phase::Ended(_, end) => Some(end.clone()),
            Phase::Active(_) | Phase::Connecting(_) => None,
        }
    }

    /// Waits until the session has ended for good, and its last connection is closed.
    pub(super) async fn wait_ended(&self) -> SessionEnd {
        let mut phases = self.phase.subscribe();
        let phase = phases.wait_for(|phase| matches!(phase, Phase::Ended(..)));
        let Ok(Phase::Ended(driver, end)) = phase.await.map(|phase| phase.clone()) else {
            return SessionEnd::Closed;
        };
        if let Some(driver) = driver {
            driver.ended().await;
        }
        end
    }

    /// Waits until what is driven by this is not the session any more.
    pub(super) async fn left(&self, driver: &ClientDriver) {
        let mut phases = self.phase.subscribe();
        let is_left = |phase: &Phase| match phase {
            Phase::Active(current) => !current.is_same(driver),
            Phase::Connecting(_) | Phase::Ended(..) => true,
        };
        // The sender is here, so that there is always an answer.
        let _ = phases.wait_for(is_left).await;
    }

    /// Whether another session follows when this one has ended.
    pub(super) fn may_reconnect(&self) -> bool {
        self.options.reconnect.is_some() && !self.is_closing()
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Begins to end. Says whether there is a session that has to be told.
    pub(super) fn begin_closing(&self) -> Option<ClientDriver> {
        self.is_closing.store(true, Ordering::Release);
        let driver = self.current_driver();
        if driver.is_none() {
            self.ended(SessionEnd::Closed);
        }
        driver
    }

    /// The last handle is gone: nobody wants results any more.
    pub(super) fn abandon(&self) {
        self.inbox.abandon();
        let Some(driver) = self.begin_closing() else {
            return;
        };
        let reason = self.options.session.close_reason.clone();
        driver.with_moved(|machine, _, now| {
            let open: Vec<_> = machine.open_frames().map(|(key, _)| key).collect();
            for key in open {
                machine.cancel(key, now);
            }
            // It may have ended by itself.
            let _ = machine.close(reason, now);
        });
    }

    pub(super) fn cancel(&self, key: FrameKey) -> bool {
        let driver = self.current_driver();
        driver.is_some_and(|driver| driver.with(|machine, _, now| machine.cancel(key, now)))
    }

    pub(super) fn forget(&self, key: FrameKey) {
        self.cancel(key);
        let taken = self.inbox.forget(key);
        self.received(taken);
    }

    /// A reader that waited for this goes on.
    pub(super) fn received<T>(&self, taken: Taken<T>) -> T {
        if taken.has_made_room
            && let Some(driver) = self.current_driver()
        {
            driver.with(|_, _, _| ());
        }
        taken.content
    }

    pub(super) fn tell(&self, event: SessionEvent) {
        // Nobody may be watching.
        let _ = self.events.send(event);
    }

    pub(super) fn agreed(&self) -> MutexGuard<'_, Agreed> {
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn session_id(&self) -> u32 {
        self.session_id.load(Ordering::Relaxed)
    }

    pub(super) fn next_frame_id(&self) -> u32 {
        self.frame_ids
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1)
    }
}

/// The token is nobody's business, and must not be printed.
fn without_proof(mut established: Established) -> Established {
    let extensions = &mut established.extensions;
    extensions.retain(|extension| extension.ext_type != PROOF_EXTENSION_TYPE);
    established
}
