//! The remote side: commands with their answers and late results, and what is published. spec: autotrainer 2.3, 7, 8
//!
//! Two tasks run for a [`Remote`]. One owns the command socket, the other the event socket; both live until it is closed,
//! or its last clone is dropped, and survive restarts of the service.
//!
//! ```
//! use autotrainer_api::{Command, CommandRequest, CommandResponse, Remote, RemoteOptions, Service};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = Service::builder()
//!     .subscriber_port(0)
//!     .command_port(0)
//!     .handler(async |_: CommandRequest| CommandResponse::success())
//!     .build();
//! service.start().await?;
//! let (events, commands) = (service.event_addresses()[0], service.command_addresses()[0]);
//!
//! let remote = Remote::connect(RemoteOptions::ports("127.0.0.1", events.port(), commands.port())).await?;
//! let answer = remote.command(Command::EmergencyStop).send().await?;
//! assert!(answer.answer.result.is_positive());
//! # Ok(())
//! # }
//! ```
//!
//! A call ends with an answer, or with an error that says whether the command can have been carried out
//! ([`CallError::is_unsent`]). Nothing is sent twice unless the caller says that it may be
//! ([`Call::retry_idempotent`]), and nothing is sent after its time.

mod call;
mod changes;
mod command_loop;
mod counters;
mod error;
mod event_loop;
mod hub;
mod observed;
mod options;
mod presence;
mod replay;
mod results;
mod resume;
mod sequence;
mod shared;
mod single;
mod subscription;

pub use call::{Answer, Call};
pub use changes::{Channel, RemoteChange, RemoteChanges};
pub use counters::RemoteCounts;
pub use error::{CallError, ConnectError, NoHeartbeat};
pub use options::RemoteOptions;
pub use presence::{Presence, ServiceSeen};
pub use replay::{Replay, ReplayError};
pub use results::{PendingResult, ResultError};
pub use resume::{ReplayPosition, Resume};
pub use subscription::{Delivery, Gap, Message, SubscribeOptions, Subscription};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use command_loop::{CommandLoop, Link, Submission};
use event_loop::EventLoop;
use resume::Resumer;
use shared::Shared;

use crate::command::{Command, CommandAnswer, OutgoingRequest};
use crate::heartbeat::Heartbeat;
use crate::incoming::AnomalyCounters;
use crate::level::ProtocolLevel;
use crate::zmq::EventSocket;

/// A service, seen from afar. Clones are handles to the same connections.
#[derive(Debug, Clone)]
pub struct Remote {
    shared: Arc<Shared>,
    submissions: mpsc::Sender<Submission>,
    permits: Arc<Semaphore>,
    tasks: Arc<Tasks>,
}

#[derive(Debug)]
struct Tasks {
    stop: CancellationToken,
    /// Cancelled once both tasks have ended.
    ended: CancellationToken,
    _stop_when_dropped: DropGuard,
}

impl Remote {
    /// Starts to connect; that nobody listens there is no error, since services come and go. If the future is dropped,
    /// there is no remote.
    ///
    /// # Errors
    /// If an endpoint or an option is not valid.
    pub async fn connect(options: RemoteOptions) -> Result<Self, ConnectError> {
        let shared = Arc::new(Shared::new(options));
        let socket = EventSocket::new(&shared.options.for_sockets());
        let socket = socket.map_err(ConnectError::Socket)?;
        let mut events = EventLoop::new(Arc::clone(&shared), socket);
        let connected = events.connect().await;
        connected.map_err(|(endpoint, source)| ConnectError::Endpoint { endpoint, source })?;
        let link = Link::open(&shared).await;
        let link = link.map_err(|source| ConnectError::Endpoint {
            endpoint: shared.options.command_endpoint.clone(),
            source,
        })?;

        let in_flight_max = shared.options.in_flight_max.max(1);
        let (submissions, receiver) = mpsc::channel(in_flight_max);
        let stop = CancellationToken::new();
        let commands = CommandLoop::new(Arc::clone(&shared), link, receiver, stop.clone());
        let events = tokio::spawn(events.run(stop.clone()));
        let tasks = Tasks {
            ended: end_of(events, tokio::spawn(commands.run())),
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
        };
        Ok(Self {
            shared,
            submissions,
            permits: Arc::new(Semaphore::new(in_flight_max)),
            tasks: Arc::new(tasks),
        })
    }

    /// A command by its name; its number is the one of the service's level. [`Command::None`] is better asked with
    /// [`Self::probe`], since some services answer it without its nonce (Q15).
    pub fn command(&self, command: Command) -> Call<'_> {
        Call::command(self, command)
    }

    /// A command by its number, whatever the level.
    pub fn command_number(&self, number: i64) -> Call<'_> {
        Call::number(self, number)
    }

    /// A command of the application's own.
    pub fn custom_command(&self, custom_command: i64) -> Call<'_> {
        Call::custom(self, custom_command)
    }

    /// Sends a command with data and waits for the answer: short for [`Self::command`].
    ///
    /// When the future is dropped, a command that was not sent yet is not sent; one that was is carried out all the
    /// same, and its answer is dropped.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(&self, command: Command, data: &impl Serialize) -> Result<Answer, CallError> {
        self.command(command).data(data).send().await
    }

    /// Sends these frames as they are, on a connection of their own, and returns the frames of the reply.
    ///
    /// A Python service dies of more than one frame, and one of 0.9.11 of everything it cannot read (Q14, Q16). When
    /// the future is dropped, they may be sent or not.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_raw(
        &self,
        frames: &[Bytes],
        timeout: Duration,
    ) -> Result<Vec<Bytes>, CallError> {
        let exchange = single::exchange(&self.shared, &self.permits, frames, timeout);
        tokio::select! {
            biased;
            () = self.tasks.stop.cancelled() => Err(CallError::Closed),
            replied = exchange => replied,
        }
    }

    /// Asks for a sign of life of the command channel, on a connection of its own: whatever is answered to `NONE` is
    /// one. spec: autotrainer 7.4. When the future is dropped, it may have been asked or not; that does no harm.
    ///
    /// # Errors
    /// See [`CallError`]; a reply that cannot be read is none.
    pub async fn probe(&self, timeout: Duration) -> Result<Option<CommandAnswer>, CallError> {
        let none = Command::None.number(self.level()).unwrap_or(0);
        let request = OutgoingRequest::numbered(none, call::random_nonce());
        let reply = self.call_raw(&[request.to_frame()], timeout).await?;
        let limits = &self.shared.options.limits;
        Ok(CommandAnswer::from_frames(&reply, self.level(), limits).ok())
    }

    /// All events, each emergency once. Returns as [`Self::subscribe`] does.
    pub async fn events(&self) -> Subscription {
        self.subscribe(SubscribeOptions::events()).await
    }

    /// Subscribes. When this returns, the socket has subscribed; the service gets to know a moment later, or once it is
    /// connected, and sends nothing of what it published before. If the future is dropped, there is no subscription.
    pub async fn subscribe(&self, options: SubscribeOptions) -> Subscription {
        let counters = Arc::clone(&self.shared.counters);
        let resumes = options.resume.is_some();
        let resumer = resumes.then(|| Resumer::new(self.clone(), options.clone()));
        let subscription = self.shared.hub.subscribe(options, counters).await;
        match resumer {
            Some(resumer) => subscription.resumed_by(resumer),
            None => subscription,
        }
    }

    /// The level that commands are written for: the one of the last heartbeat, the newest before the first.
    #[must_use]
    pub fn level(&self) -> ProtocolLevel {
        self.shared.level()
    }

    /// The last heartbeat that told the level.
    #[must_use]
    pub fn last_heartbeat(&self) -> Option<Heartbeat> {
        self.shared.heartbeat.borrow().clone()
    }

    /// The last heartbeat that told the level, or the first once it comes. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// If none comes in time.
    pub async fn wait_for_heartbeat(&self, timeout: Duration) -> Result<Heartbeat, NoHeartbeat> {
        let mut heartbeat = self.shared.heartbeat.subscribe();
        let came = heartbeat.wait_for(Option::is_some);
        let came = tokio::time::timeout(timeout, came).await;
        let came = came.ok().and_then(Result::ok);
        came.and_then(|heartbeat| heartbeat.clone())
            .ok_or(NoHeartbeat(timeout))
    }

    /// The services whose heartbeats were seen, by identifier.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceSeen> {
        self.shared.seen()
    }

    /// What becomes of services and connections from now on.
    #[must_use]
    pub fn changes(&self) -> RemoteChanges {
        RemoteChanges {
            receiver: self.shared.changes.subscribe(),
            ended: self.tasks.ended.clone(),
        }
    }

    /// Whether a channel is connected right now.
    #[must_use]
    pub fn is_connected(&self, channel: Channel) -> bool {
        self.shared.is_connected(channel)
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> &RemoteOptions {
        &self.shared.options
    }

    /// What it has counted so far.
    #[must_use]
    pub fn counts(&self) -> RemoteCounts {
        self.shared.counters.snapshot()
    }

    /// How many published messages were not as they should be.
    #[must_use]
    pub fn anomalies(&self) -> &AnomalyCounters {
        &self.shared.anomalies
    }

    /// Closes both connections, of all clones. Calls that wait end with [`CallError::Closed`], and subscriptions once
    /// they are read. If the future is dropped, it closes all the same.
    pub async fn close(&self) {
        self.tasks.stop.cancel();
        self.tasks.ended.cancelled().await;
    }
}

fn end_of(events: JoinHandle<()>, commands: JoinHandle<()>) -> CancellationToken {
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    tokio::spawn(async move {
        // Told even if the runtime goes down under it. An error is a panic, which is logged where it occurs.
        let _told = guard;
        let _ = tokio::join!(events, commands);
    });
    ended
}
