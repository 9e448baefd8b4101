//! Starting and stopping. spec: autotrainer 10

use std::net::SocketAddr;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::builder::ServiceBuilder;
use super::commands::CommandLoop;
use super::counters::{Counters, ServiceCounts};
use super::event_loop::EventLoop;
use super::handler::Handler;
use super::log::{Log, LogEnds, RunningLog};
use super::observed::Observed;
use super::publisher::EventPublisher;
use super::queue::Queue;
use super::source::Source;
use crate::event_log::{EventLogError, EventLogStatus};
use crate::zmq::{CommandSocket, Publisher, ZmqError};

/// A device service.
///
/// Dropping it ends it at once, without [`Self::stop`]'s flush.
#[derive(Debug)]
pub struct Service {
    description: ServiceBuilder,
    handler: Arc<super::handler::HandlerSlot>,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    state: Mutex<State>,
    /// Kept for their counts once they are closed.
    sockets: SharedSockets,
    /// Kept for its status.
    log: StdMutex<Option<RunningLog>>,
    observed: Observed,
}

pub(super) type SocketsSlot = StdMutex<Option<Sockets>>;
pub(super) type SharedSockets = Arc<SocketsSlot>;

#[derive(Debug)]
enum State {
    New,
    Running(Running),
    /// Cancelled once everything has ended.
    Stopped(CancellationToken),
}

#[derive(Debug)]
struct Running {
    sockets: Sockets,
    commands: AbortOnDropHandle<()>,
    events: AbortOnDropHandle<()>,
    log: Option<RunningLog>,
    stop: CancellationToken,
}

#[derive(Debug, Clone)]
pub(super) struct Sockets {
    publisher: Arc<Publisher>,
    commands: Arc<CommandSocket>,
    event_addresses: Vec<SocketAddr>,
    command_addresses: Vec<SocketAddr>,
}

impl Sockets {
    async fn close(&self, linger: Duration) {
        tokio::join!(self.publisher.close(linger), self.commands.close(linger));
    }
}

/// Why a service did not start. Both ports are free then, and it may be started again, but for
/// [`StartError::AlreadyStarted`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// It was started before, and perhaps stopped.
    #[error("the service has already been started; make a new one")]
    AlreadyStarted,
    /// There is no address to listen at.
    #[error("the service has no bind address; give it at least one")]
    NoAddress,
    /// The options of a socket are not valid.
    #[error("the service cannot have its sockets")]
    Socket(#[source] ZmqError),
    /// An address cannot be had.
    #[error("the service cannot listen at {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: ZmqError,
    },
    /// The event log cannot be had.
    #[error(transparent)]
    EventLog(#[from] EventLogError),
}

/// The service has stopped; make a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the service has stopped; make a new one")]
pub struct Stopped;

impl Service {
    /// Describes a service.
    #[must_use]
    pub fn builder() -> ServiceBuilder {
        ServiceBuilder::new()
    }

    pub(super) fn new(
        mut description: ServiceBuilder,
        queue: Arc<Queue>,
        counters: Arc<Counters>,
    ) -> Self {
        let handler = Arc::new(std::mem::take(&mut description.handler));
        let sockets = SharedSockets::default();
        Self {
            observed: Observed::of(&description, &counters, &sockets),
            description,
            handler,
            queue,
            counters,
            state: Mutex::new(State::New),
            sockets,
            log: StdMutex::new(None),
        }
    }

    /// Binds both sockets and starts to serve; when this returns, clients can connect. If the future is dropped, it has
    /// not started.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(&self) -> Result<(), StartError> {
        let mut state = self.state.lock().await;
        if !matches!(*state, State::New) {
            return Err(StartError::AlreadyStarted);
        }
        let log = match self.description.event_log.clone() {
            Some(options) => Some(Log::open(options).await?),
            None => None,
        };
        let sockets = self.open_sockets().await?;
        let first = log.as_ref().map_or(1, Log::next_sequence);
        let log = match log.map(|log| self.start_log(log)).transpose() {
            Ok(log) => log,
            Err(error) => {
                sockets.close(Duration::ZERO).await;
                return Err(error.into());
            }
        };
        *self.sockets.lock().unwrap_or_else(PoisonError::into_inner) = Some(sockets.clone());
        self.queue.open(first);
        *state = State::Running(self.spawn(sockets, log, first - 1));
        Ok(())
    }

    /// Lets running handlers finish and sends what is queued, for at most the linger; refuses what else is waiting;
    /// then closes, and both ports are free. Without a start before it, or a second time, it has no effect.
    ///
    /// If the future is dropped, it stops all the same. Called in a handler, it waits for that handler too, for at most
    /// the linger.
    pub async fn stop(&self) {
        let stopped = {
            let mut state = self.state.lock().await;
            match &*state {
                State::New => return,
                State::Stopped(stopped) => stopped.clone(),
                State::Running(_) => {
                    let stopped = CancellationToken::new();
                    let before = std::mem::replace(&mut *state, State::Stopped(stopped.clone()));
                    if let State::Running(running) = before {
                        self.wind_down(running, stopped.clone());
                    }
                    stopped
                }
            }
        };
        stopped.cancelled().await;
    }

    fn start_log(&self, log: Log) -> Result<LogEnds, EventLogError> {
        let (queue, counters) = (Arc::clone(&self.queue), Arc::clone(&self.counters));
        let ends = log.start(queue, counters, self.description.replay_bytes_max())?;
        let running = Some(ends.running.clone());
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = running;
        Ok(ends)
    }

    /// How its event log is; `None` before the start, and without one.
    #[must_use]
    pub fn event_log_status(&self) -> Option<EventLogStatus> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.as_ref().map(RunningLog::status)
    }

    /// A handle that publishes.
    #[must_use]
    pub fn publisher(&self) -> EventPublisher {
        EventPublisher::new(Arc::clone(&self.queue), self.description.level)
    }

    /// Replaces the handler, now or before the start; each request meets the old one or the new one.
    ///
    /// # Errors
    /// After the stop.
    pub fn set_handler(&self, handler: impl Handler) -> Result<(), Stopped> {
        self.check_not_stopped()?;
        self.handler.set(handler);
        Ok(())
    }

    /// Takes the handler away; requests are answered `UNAVAILABLE` from now on.
    ///
    /// # Errors
    /// After the stop.
    pub fn clear_handler(&self) -> Result<(), Stopped> {
        self.check_not_stopped()?;
        self.handler.clear();
        Ok(())
    }

    /// Where it publishes; empty before the start.
    #[must_use]
    pub fn event_addresses(&self) -> Vec<SocketAddr> {
        self.sockets(|sockets| sockets.event_addresses.clone())
            .unwrap_or_default()
    }

    /// Where it takes commands; empty before the start.
    #[must_use]
    pub fn command_addresses(&self) -> Vec<SocketAddr> {
        self.sockets(|sockets| sockets.command_addresses.clone())
            .unwrap_or_default()
    }

    /// What it has counted so far.
    #[must_use]
    pub fn counts(&self) -> ServiceCounts {
        counts(&self.counters, Some(&self.sockets))
    }

    fn sockets<T>(&self, read: impl FnOnce(&Sockets) -> T) -> Option<T> {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.as_ref().map(read)
    }

    /// A stop that is under way holds the lock only for a moment; a start does while it binds, and is no stop.
    fn check_not_stopped(&self) -> Result<(), Stopped> {
        match self.state.try_lock().as_deref() {
            Ok(State::Stopped(_)) => Err(Stopped),
            _ => Ok(()),
        }
    }

    async fn open_sockets(&self) -> Result<Sockets, StartError> {
        let description = &self.description;
        let publisher = Publisher::new(&description.event_socket_options());
        let publisher = Arc::new(publisher.map_err(StartError::Socket)?);
        let commands = CommandSocket::new(&description.command_socket_options());
        let commands = Arc::new(commands.map_err(StartError::Socket)?);
        match self.bind(&publisher, &commands).await {
            Ok((event_addresses, command_addresses)) => Ok(Sockets {
                publisher,
                commands,
                event_addresses,
                command_addresses,
            }),
            Err(error) => {
                publisher.close(Duration::ZERO).await;
                commands.close(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    async fn bind(
        &self,
        publisher: &Publisher,
        commands: &CommandSocket,
    ) -> Result<(Vec<SocketAddr>, Vec<SocketAddr>), StartError> {
        let ServiceBuilder {
            subscriber_port,
            command_port,
            bind_addresses,
            ..
        } = &self.description;
        if bind_addresses.is_empty() {
            return Err(StartError::NoAddress);
        }
        let (mut subscriber_port, mut command_port) = (*subscriber_port, *command_port);
        let (mut event_addresses, mut command_addresses) = (Vec::new(), Vec::new());
        for ip in bind_addresses {
            let address = SocketAddr::new(*ip, subscriber_port);
            let bound = publisher.bind(address).await;
            let bound = bound.map_err(|source| StartError::Bind { address, source })?;
            // Any port becomes the same port at all addresses.
            subscriber_port = bound.port();
            event_addresses.push(bound);

            let address = SocketAddr::new(*ip, command_port);
            let bound = commands.bind(address).await;
            let bound = bound.map_err(|source| StartError::Bind { address, source })?;
            command_port = bound.port();
            command_addresses.push(bound);
        }
        Ok((event_addresses, command_addresses))
    }

    fn spawn(&self, sockets: Sockets, log: Option<LogEnds>, last: u64) -> Running {
        let description = &self.description;
        let (source, replays, log) = match log {
            Some(ends) => (
                Source::Kept(ends.kept),
                Some(ends.replays),
                Some(ends.running),
            ),
            None => (Source::Queue(Arc::clone(&self.queue)), None, None),
        };
        let stop = CancellationToken::new();
        let events = EventLoop {
            outlet: Arc::clone(&sockets.publisher),
            source,
            counters: Arc::clone(&self.counters),
            observed: self.observed.clone(),
            identifier: description.identifier.clone(),
            version: description.level.heartbeat_version(&description.software),
            heartbeat_interval: description.heartbeat_interval,
            sequence: self.queue.numbers_anything().then_some(last),
        };
        let commands = CommandLoop::new(
            Arc::clone(&sockets.commands),
            Arc::clone(&self.handler),
            self.publisher(),
            Arc::clone(&self.counters),
            self.observed.clone(),
            description.command_settings(),
            replays,
        );
        let commands = commands.run(stop.clone(), description.linger);
        Running {
            sockets,
            commands: AbortOnDropHandle::new(tokio::spawn(commands)),
            events: AbortOnDropHandle::new(tokio::spawn(events.run())),
            log,
            stop,
        }
    }

    fn wind_down(&self, running: Running, stopped: CancellationToken) {
        let (queue, handler) = (Arc::clone(&self.queue), Arc::clone(&self.handler));
        let deadline = Instant::now() + self.description.linger;
        tokio::spawn(async move {
            // Told even if the runtime goes down under it.
            let _told = stopped.drop_guard();
            running.stop.cancel();
            // Its jobs end by the deadline. An error is a panic, which is logged where it occurs.
            let _ = running.commands.await;
            handler.clear();
            queue.close();
            let left = || {
                deadline
                    .saturating_duration_since(Instant::now())
                    .max(FLUSH_MIN)
            };
            let _ = tokio::time::timeout(left(), running.events).await;
            running.sockets.close(left()).await;
            if let Some(log) = &running.log {
                // Whoever opens it next waits for it too.
                let _ = tokio::time::timeout(left(), log.closed()).await;
            }
        });
    }
}

/// What handlers that use up the linger leave for sending what is queued.
const FLUSH_MIN: Duration = Duration::from_millis(100);

/// What a service has counted; without its sockets, nothing of connections.
pub(super) fn counts(counters: &Counters, sockets: Option<&SocketsSlot>) -> ServiceCounts {
    let mut counts = counters.snapshot();
    let sockets = sockets.map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(sockets) = sockets.as_deref().and_then(Option::as_ref) {
        counts.undelimited = sockets.commands.undelimited();
        counts.event_connections = sockets.publisher.counts();
        counts.command_connections = sockets.commands.counts();
    }
    counts
}

impl Drop for Service {
    fn drop(&mut self) {
        // Publishers outlive it.
        if matches!(*self.state.get_mut(), State::Running(_)) {
            self.queue.close();
        }
    }
}
