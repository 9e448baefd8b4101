//! A session's handle. spec: nnrp-session 2, 4.7

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::TransportId;
use nnrp_wire::session::{ClientSession, Established, HandleError};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::core::{ClientDriver, Core};
use super::counters::SessionCounters;
use super::error::{ConnectError, SessionEnd};
use super::event::SessionEvents;
use super::feed::Feed;
use super::options::ConnectOptions;
use super::watch;
use crate::driver::{Clock, Driver, PathTasks, later};
use crate::link::Link;

/// A client's session: frames go out, results come in, independently of each other and in any order.
///
/// All clones are the same session. When the last of them is dropped, [`FrameStream`](super::FrameStream)s included, what
/// is in flight is cancelled and the session is closed in the background, which takes no longer than
/// [`ClientOptions::close_grace`](nnrp_wire::session::ClientOptions::close_grace) and a second.
#[derive(Debug, Clone)]
pub struct Session {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    core: Arc<Core>,
}

/// A session that may be closed by its last handle's end.
#[derive(Debug)]
pub(super) struct WeakSession(Weak<Handle>);

impl WeakSession {
    pub(super) fn upgrade(&self) -> Option<Session> {
        self.0.upgrade().map(|handle| Session { handle })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.abandon();
    }
}

impl Session {
    /// Begins a session over a connection that was made: sends the hello and waits for its answer.
    ///
    /// There is no other connection, so that [`ConnectOptions::reconnect`] does not matter.
    ///
    /// If this is dropped before it is ready, the connection is closed.
    ///
    /// # Errors
    /// If there is no session within [`ClientOptions::connect_timeout`](nnrp_wire::session::ClientOptions::connect_timeout).
    pub async fn over(link: Link, options: ConnectOptions) -> Result<Self, ConnectError> {
        let options = ConnectOptions {
            reconnect: None,
            ..options
        };
        let deadline = later(Instant::now(), options.session.connect_timeout);
        let core = Arc::new(Core::new(options, None));
        begin(&core, link, deadline).await?;
        Ok(Self::new(core))
    }

    pub(super) fn new(core: Arc<Core>) -> Self {
        let watch = core.options.watch;
        let session = Self {
            handle: Arc::new(Handle { core }),
        };
        if let Some(options) = watch {
            tokio::spawn(watch::run(session.downgrade(), options));
        }
        session
    }

    fn downgrade(&self) -> WeakSession {
        WeakSession(Arc::downgrade(&self.handle))
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.core().session_id()
    }

    /// What client and server have agreed on.
    #[must_use]
    pub fn established(&self) -> Option<Arc<Established>> {
        self.core().agreed().established.clone()
    }

    /// Which transport submits go by; the last one, if there is none now.
    #[must_use]
    pub fn transport(&self) -> TransportId {
        let core = self.core();
        let driver = core.current_driver().or_else(|| core.lost_driver());
        driver.map_or(TransportId::Unspecified, |driver| {
            driver.with(|_, feed, _| feed.transport())
        })
    }

    /// An id that no frame has had that got its id here; the first is 1. They grow, as is needed after a migration, and
    /// last for 4,294,967,295 frames.
    #[must_use]
    pub fn next_frame_id(&self) -> u32 {
        self.core().next_frame_id()
    }

    /// What was counted, at one moment.
    #[must_use]
    pub fn counters(&self) -> SessionCounters {
        let core = self.core();
        let snapshot = |machine: Option<&ClientSession>| {
            let current = machine.map(|machine| (machine.frames(), machine.counters()));
            core.stats.snapshot(current)
        };
        let mut counters = match core.current_driver() {
            // Once it is over, it is among what was.
            Some(driver) => {
                driver.with(|machine, feed, _| snapshot((!feed.is_over()).then_some(machine)))
            }
            None => snapshot(None),
        };
        counters.traffic += core.traffic();
        let (waiting_items, waiting_bytes, discarded) = core.inbox.counts();
        SessionCounters {
            waiting_items,
            waiting_bytes,
            discarded,
            ..counters
        }
    }

    /// What happens to the session beside its frames, from now on. There is nothing once it has ended.
    #[must_use]
    pub fn events(&self) -> SessionEvents {
        let core = self.core();
        let receiver = core.events.subscribe();
        SessionEvents::new(receiver, core.end().is_some())
    }

    /// Ends the session in good order: nothing new is submitted, frames in flight have
    /// [`ClientOptions::drain_timeout`](nnrp_wire::session::ClientOptions::drain_timeout) to end, then the server is told.
    /// What has come can still be received.
    ///
    /// If this is dropped, the session ends nevertheless.
    pub async fn close(&self, reason: impl Into<Bytes>) -> SessionEnd {
        let reason = reason.into();
        if let Some(driver) = self.core().begin_closing() {
            driver.with_moved(|machine, _, now| {
                // It may have ended by itself, or be about to.
                let _ = machine.close(reason, now);
            });
        }
        self.closed().await
    }

    /// Waits until the session has ended and its connections are closed, and says how it ended.
    ///
    /// Dropping this does nothing.
    pub async fn closed(&self) -> SessionEnd {
        self.core().wait_ended().await
    }

    /// How the session has ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<SessionEnd> {
        self.core().end()
    }
}

/// Begins a session over a connection; the first, or one in place of a lost one.
pub(super) async fn begin(
    core: &Arc<Core>,
    mut link: Link,
    deadline: Instant,
) -> Result<(), ConnectError> {
    let (sender, began) = oneshot::channel();
    let left = deadline.saturating_duration_since(Instant::now());
    let machine = ClientSession::new(core.options.machine_options(left));
    let feed = Feed::new(Arc::clone(core), sender);
    let driver = Driver::start(machine, feed, Clock::start());
    let mut closing = CloseUnlessBegun(Some(driver.clone()));
    link.reader.set_limits(core.options.split_limits());
    let transport = link.transport();
    let path = driver.with(|_, feed, _| feed.next_path_id());
    let connected = driver.add_link_with(path, link, PathTasks::default(), |machine, feed, now| {
        feed.add_path(path, transport);
        machine.connected(path, transport, now)
    });
    connected.map_err(|(error, _)| hello_error(error, left))?;
    let established = began.await.map_err(|_| ConnectError::Closed)??;
    // It may have ended since.
    let has_begun =
        driver.with(|_, feed, _| !feed.is_over() && core.began(driver.clone(), *established));
    if !has_begun {
        return Err(ConnectError::Closed);
    }
    closing.0 = None;
    Ok(())
}

fn hello_error(error: HandleError, timeout: Duration) -> ConnectError {
    if let HandleError::Invalid(error) = error {
        ConnectError::Hello(error)
    } else {
        ConnectError::Timeout { timeout }
    }
}

/// Nobody wants the session any more that is being begun.
struct CloseUnlessBegun(Option<ClientDriver>);

impl Drop for CloseUnlessBegun {
    fn drop(&mut self) {
        if let Some(driver) = self.0.take() {
            driver.with(|machine, _, now| {
                // It may have ended by itself.
                let _ = machine.close(Bytes::new(), now);
            });
        }
    }
}
