//! What happens to a connection. spec: nats-micro 9

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use async_nats::Event;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// How many events wait for one slow reader.
const EVENTS_MAX: usize = 256;

/// Called at every event.
pub(super) type Listener = Arc<dyn Fn(&ConnectionEvent) + Send + Sync>;

/// Something that happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// Connected for the first time.
    Connected,
    /// The connection is gone; the client tries to get it back.
    Disconnected,
    /// It is back, with all subscriptions.
    Reconnected,
    /// The server is about to shut down.
    LameDuck,
    /// A subscription's queue was full, so that a message was dropped.
    SlowConsumer,
    /// The server reported an error.
    ServerError(String),
    /// The connection has ended for good: it was drained, or all attempts to get it back were used up. The last event.
    Closed,
    /// This reader was too slow for so many events.
    Missed {
        /// How many.
        events: u64,
    },
}

impl fmt::Display for ConnectionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Disconnected => f.write_str("disconnected"),
            Self::Reconnected => f.write_str("reconnected"),
            Self::LameDuck => f.write_str("the server is about to shut down"),
            Self::SlowConsumer => {
                f.write_str("a message was dropped: a subscription's queue is full")
            }
            Self::ServerError(error) => write!(f, "the server reports: {error}"),
            Self::Closed => f.write_str("closed"),
            Self::Missed { events } => write!(f, "{events} events were missed"),
        }
    }
}

/// How often things happened to a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionCounts {
    /// Disconnects.
    pub disconnects: u64,
    /// Reconnects.
    pub reconnects: u64,
    /// Messages that were dropped because a subscription's queue was full.
    pub slow_consumers: u64,
    /// Errors that the server reported.
    pub server_errors: u64,
    /// Panics of what listens.
    pub listener_panics: u64,
}

/// A connection's events; from [`Context::events`](super::Context::events). At most 256 wait; older ones give way to
/// [`ConnectionEvent::Missed`].
pub struct ConnectionEvents(BoxStream<'static, ConnectionEvent>);

impl fmt::Debug for ConnectionEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionEvents").finish_non_exhaustive()
    }
}

impl Stream for ConnectionEvents {
    type Item = ConnectionEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ConnectionEvent>> {
        self.0.poll_next_unpin(cx)
    }
}

/// Hands events to everybody who wants them.
pub(super) struct Hub {
    listeners: Vec<Listener>,
    /// What the context itself does; events from before it was there concern it not.
    reaction: OnceLock<Listener>,
    state: Mutex<HubState>,
    closed: CancellationToken,
}

struct HubState {
    /// `None` once the connection has ended.
    sender: Option<broadcast::Sender<ConnectionEvent>>,
    counts: ConnectionCounts,
    was_connected: bool,
}

impl Hub {
    pub(super) fn new() -> Arc<Self> {
        Self::with_listeners(Vec::new())
    }

    pub(super) fn with_listeners(listeners: Vec<Listener>) -> Arc<Self> {
        Arc::new(Self {
            listeners,
            reaction: OnceLock::new(),
            state: Mutex::new(HubState {
                sender: Some(broadcast::Sender::new(EVENTS_MAX)),
                counts: ConnectionCounts::default(),
                was_connected: false,
            }),
            closed: CancellationToken::new(),
        })
    }

    pub(super) fn react(&self, reaction: Listener) {
        let _ = self.reaction.set(reaction);
    }

    pub(super) fn counts(&self) -> ConnectionCounts {
        self.state().counts
    }

    pub(super) fn subscribe(&self) -> ConnectionEvents {
        let receiver = self
            .state()
            .sender
            .as_ref()
            .map(broadcast::Sender::subscribe);
        ConnectionEvents(match receiver {
            Some(receiver) => stream::unfold(receiver, next).boxed(),
            None => stream::iter([ConnectionEvent::Closed]).boxed(),
        })
    }

    /// Takes an event of the client.
    pub(super) fn take(&self, event: &Event) {
        let told = self.state().translate(event);
        if let Some(event) = told {
            self.tell(&event);
        }
    }

    /// The connection has ended for good.
    pub(super) fn close(&self) {
        self.tell(&ConnectionEvent::Closed);
        self.state().sender = None;
        self.closed.cancel();
    }

    /// Completes when the connection has ended for good.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Reactions come first, so that whoever sees the event sees what it has done.
    fn tell(&self, event: &ConnectionEvent) {
        tracing::debug!(%event, "connection");
        for listener in self.reaction.get().into_iter().chain(&self.listeners) {
            // Called by the client's own task, which has to go on whatever users do.
            if catch_unwind(AssertUnwindSafe(|| listener(event))).is_err() {
                self.state().counts.listener_panics += 1;
                tracing::error!(%event, "what listens to the connection panicked");
            }
        }
        if let Some(sender) = &self.state().sender {
            // Nobody may listen.
            let _ = sender.send(event.clone());
        }
    }

    fn state(&self) -> MutexGuard<'_, HubState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HubState {
    fn translate(&mut self, event: &Event) -> Option<ConnectionEvent> {
        Some(match event {
            Event::Connected if std::mem::replace(&mut self.was_connected, true) => {
                self.counts.reconnects += 1;
                ConnectionEvent::Reconnected
            }
            Event::Connected => ConnectionEvent::Connected,
            Event::Disconnected => {
                self.counts.disconnects += 1;
                ConnectionEvent::Disconnected
            }
            Event::LameDuckMode => ConnectionEvent::LameDuck,
            Event::SlowConsumer(_) => {
                self.counts.slow_consumers += 1;
                ConnectionEvent::SlowConsumer
            }
            Event::ServerError(error) => {
                self.counts.server_errors += 1;
                ConnectionEvent::ServerError(error.to_string())
            }
            Event::ClientError(error) => {
                tracing::debug!(%error, "the client reports");
                return None;
            }
            // The end is told when it has come; see `connect::listening`.
            Event::Draining | Event::Closed => return None,
        })
    }
}

type Receiver = broadcast::Receiver<ConnectionEvent>;

async fn next(mut receiver: Receiver) -> Option<(ConnectionEvent, Receiver)> {
    let event = match receiver.recv().await {
        Ok(event) => event,
        Err(RecvError::Lagged(events)) => ConnectionEvent::Missed { events },
        Err(RecvError::Closed) => return None,
    };
    Some((event, receiver))
}
