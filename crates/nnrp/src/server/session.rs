//! A session, as the application that serves it sees it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::TransportId;
use nnrp_wire::metadata::{CacheInvalidateMetadata, ServerHelloAckMetadata};
use nnrp_wire::session::{HandleError, Report, ServerState, SessionSettings};
use tokio::sync::Notify;

use super::app::{ServerApp, SessionEnd};
use super::counters::SessionCounters;
use super::credit::until_room;
use super::drops::DropReason;
use super::hello::Identity;
use super::submitted::Submitted;
use crate::driver::Driver;
use crate::proof::MigrationProof;

/// A client's session. All clones are the same; when the last of them is dropped, what nobody has taken is dropped, and
/// the session is closed. Frames that were taken can still be answered for the drain time.
#[derive(Debug, Clone)]
pub struct Session {
    closer: Arc<Closer>,
}

/// What is kept of a session until it has ended.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) driver: Driver<ServerApp>,
    pub(super) id: u32,
    pub(super) remote: Option<SocketAddr>,
    pub(super) identity: Option<Identity>,
    pub(super) model: String,
    /// The one that it began with, if its client has shown one.
    pub(super) certificate: Option<Bytes>,
    pub(super) proof: Option<MigrationProof>,
    pub(super) arrivals: Arc<Notify>,
}

impl Shared {
    /// Ends it at once: the client is told why.
    pub(super) fn fail(&self, report: Report<'_>) -> bool {
        self.driver.with(|machine, app, now| {
            app.drop_inbox(machine, DropReason::Closing, now);
            machine.fail_session(report, now).is_ok()
        })
    }

    pub(super) fn close(&self, reason: Bytes) -> bool {
        let close = |machine: &mut nnrp_wire::session::ServerSession, now| {
            machine.close(reason, now).is_ok()
        };
        self.driver.with(|machine, _, now| close(machine, now))
    }

    pub(super) fn counters(&self) -> SessionCounters {
        let traffic = self.driver.traffic();
        self.driver.with(|machine, app, _| SessionCounters {
            frames: machine.frames(),
            packets: machine.counters(),
            tallies: app.tallies,
            traffic,
        })
    }
}

/// Closes the session when nobody serves it any more.
#[derive(Debug)]
struct Closer(Arc<Shared>);

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.driver.with(|machine, app, now| {
            app.drop_inbox(machine, DropReason::Closing, now);
            // It may have ended.
            let _ = machine.close(Bytes::new(), now);
        });
    }
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            closer: Arc::new(Closer(shared)),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.closer.0
    }

    /// The next frame that is to be answered; `None` when the session has ended. It can be called by several tasks at
    /// once. If it is dropped, nothing is lost.
    ///
    /// Nothing more is read from the client while what waits here holds as many bytes as may be, or one of the limits of
    /// [`ServerOptions`](super::ServerOptions) is reached; its cancellations are not either, then.
    pub async fn next_submit(&self) -> Option<Submitted> {
        loop {
            let arrivals = self.shared().arrivals.notified();
            tokio::pin!(arrivals);
            arrivals.as_mut().enable();
            let taken = self.shared().driver.with(|machine, app, now| {
                let arrival = app.take(machine, now);
                (arrival, app.end.is_some(), now)
            });
            match taken {
                (Some(arrival), _, now) => {
                    return Some(Submitted::new(Arc::clone(self.shared()), arrival, now));
                }
                (None, true, _) => return None,
                (None, false, _) => arrivals.await,
            }
        }
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.shared().id
    }

    /// Who the client is, as the hello hook has found.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.shared().identity.as_ref()
    }

    /// The model that is active, as the hello hook has said; empty if it has not.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.shared().model
    }

    /// Where the client was when the session began.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        self.shared().remote
    }

    /// What was answered to the hello.
    #[must_use]
    pub fn ack(&self) -> ServerHelloAckMetadata {
        self.shared().driver.with(|machine, _, _| *machine.ack())
    }

    /// What holds now, as far as the client can change it.
    #[must_use]
    pub fn settings(&self) -> SessionSettings {
        let driver = &self.shared().driver;
        driver.with(|machine, _, _| *machine.settings())
    }

    /// The transport that it is on.
    #[must_use]
    pub fn transport(&self) -> TransportId {
        let driver = &self.shared().driver;
        driver.with(|machine, _, _| machine.transport())
    }

    /// Whether it has begun to end, or has ended.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        let driver = &self.shared().driver;
        driver.with(|machine, _, _| machine.state() != ServerState::Active)
    }

    /// How long it takes to the client and back, if that is known: keep-alives measure it if they are PINGs, and the
    /// application may say it. Frames of low latency are dropped early by it.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.shared().driver.with(|_, app, _| app.round_trip)
    }

    /// Says how long it takes to the client and back.
    pub fn set_round_trip(&self, time: Duration) {
        let driver = &self.shared().driver;
        driver.with(|_, app, _| app.round_trip = Some(time));
    }

    /// What was counted until now.
    #[must_use]
    pub fn counters(&self) -> SessionCounters {
        self.shared().counters()
    }

    /// Reports an error to the client that concerns the session and is not the end. It waits while too much waits to be
    /// sent. If it is dropped, either all of it has happened or nothing.
    ///
    /// # Errors
    /// [`HandleError::Over`] after the end.
    pub async fn report(&self, report: Report<'_>) -> Result<(), HandleError> {
        let driver = &self.shared().driver;
        driver
            .with_room(|machine, _, _| until_room(machine.report(report)))
            .await
    }

    /// Forgets cached objects, and tells the client. It waits while too much waits to be sent. If it is dropped, either all
    /// of it has happened or nothing.
    ///
    /// # Errors
    /// [`HandleError::Over`] after the end.
    pub async fn invalidate(&self, invalidate: CacheInvalidateMetadata) -> Result<(), HandleError> {
        let driver = &self.shared().driver;
        driver
            .with_room(|machine, _, _| until_room(machine.invalidate(invalidate)))
            .await
    }

    /// Begins to end the session: nothing new is taken, frames in flight have the drain time. Says whether it did not end
    /// already. See [`Self::ended`].
    pub fn close(&self, reason: impl Into<Bytes>) -> bool {
        self.shared().close(reason.into())
    }

    /// Ends the session at once, with an error. Says whether it had not ended.
    pub fn fail(&self, report: Report<'_>) -> bool {
        self.shared().fail(report)
    }

    /// Waits until the session has ended, and its connections are closed. It may be dropped.
    pub async fn ended(&self) -> SessionEnd {
        let driver = &self.shared().driver;
        driver.ended().await;
        driver
            .with(|_, app, _| app.end.clone())
            .unwrap_or(SessionEnd::Closed(Bytes::new()))
    }
}
