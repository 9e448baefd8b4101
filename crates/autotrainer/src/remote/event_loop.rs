//! The task that owns the event socket.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::changes::{Channel, RemoteChange};
use super::shared::Shared;
use super::subscription::Message;
use crate::command::CommandResult;
use crate::event::Event;
use crate::heartbeat::Heartbeat;
use crate::incoming::{Anomaly, Received};
use crate::sequence;
use crate::topic::Topic;
use crate::zmq::{ConnectionEvent, ConnectionEvents, EventSocket};

/// Received at a time, before timers and connections have their turn.
const BATCH_MAX: usize = 256;

pub(super) struct EventLoop {
    shared: Arc<Shared>,
    socket: EventSocket,
    connections: ConnectionEvents,
    /// What the socket has subscribed to.
    subscribed: HashSet<Vec<u8>>,
    open: HashSet<u64>,
    /// Whether there never was a connection.
    is_new: bool,
}

/// A published message that concerns subscriptions.
struct Understood {
    message: Message,
    /// The number that the service gave it.
    sequence: Option<u64>,
}

/// Subscribed to before the first request is sent, and always. spec: autotrainer 8.5
const ALWAYS: [Topic; 2] = [Topic::COMMAND_RESULT, Topic::HEARTBEAT];

impl EventLoop {
    pub(super) fn new(shared: Arc<Shared>, socket: EventSocket) -> Self {
        Self {
            connections: socket.events(),
            shared,
            socket,
            subscribed: HashSet::new(),
            open: HashSet::new(),
            is_new: true,
        }
    }

    /// Subscribes to what is always needed, then connects.
    pub(super) async fn connect(&mut self) -> Result<(), (String, crate::zmq::ZmqError)> {
        self.apply_subscriptions().await;
        for endpoint in &self.shared.options.event_endpoints {
            let connected = self.socket.connect(endpoint).await;
            connected.map_err(|error| (endpoint.clone(), error))?;
        }
        Ok(())
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let shared = Arc::clone(&self.shared);
        loop {
            let next_check = shared.next_presence_check();
            let check_at = next_check.unwrap_or_else(Instant::now);
            tokio::select! {
                () = stop.cancelled() => break,
                Some(event) = self.connections.next() => self.connection(event),
                () = shared.hub.changed.notified() => self.apply_subscriptions().await,
                () = sleep_until(check_at), if next_check.is_some() => shared.check_presence(),
                frames = self.socket.receive() => match frames {
                    Ok(frames) => {
                        if self.take_with_more(&frames) {
                            tokio::task::yield_now().await;
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "the event socket was closed under the remote");
                        break;
                    }
                },
            }
        }
        shared.hub.end();
        shared.results.close();
    }

    /// Whether there may be more.
    fn take_with_more(&self, first: &[Bytes]) -> bool {
        self.take(first);
        for _ in 1..BATCH_MAX {
            match self.socket.try_receive() {
                Ok(Some(frames)) => self.take(&frames),
                // An error is met again at the next turn.
                Ok(None) | Err(_) => return false,
            }
        }
        true
    }

    fn take(&self, frames: &[Bytes]) {
        self.shared.counters.messages.count();
        let received = match Received::from_frames(frames, &self.shared.options.limits) {
            Ok(received) => received,
            Err(anomaly) => return self.count(anomaly),
        };
        if let Some(anomaly) = received.anomaly {
            self.count(anomaly);
        }
        match self.understand(&received) {
            Ok(None) => {}
            Ok(Some(Understood { message, sequence })) => {
                self.shared.hub.deliver(&received, &message, sequence);
            }
            Err(anomaly) => {
                self.count(anomaly);
                self.shared.hub.deliver_unread(&received);
            }
        }
    }

    fn count(&self, anomaly: Anomaly) {
        self.shared.anomalies.count(anomaly);
        tracing::debug!(%anomaly, "a published message is not as it should be");
    }

    /// `None` if nobody wants it.
    fn understand(&self, received: &Received) -> Result<Option<Understood>, Anomaly> {
        let limits = &self.shared.options.limits;
        let (topic, payload) = (received.topic, &received.payload);
        let is_wanted = self.shared.hub.wants(topic);
        let message = match topic {
            Topic::HEARTBEAT => {
                let heartbeat = Heartbeat::parse(payload, limits)?;
                self.shared.heartbeat(heartbeat.clone());
                return Ok(Some(Understood {
                    message: Message::Heartbeat(heartbeat),
                    sequence: sequence::of_payload(payload, limits),
                }));
            }
            Topic::COMMAND_RESULT => {
                let result = CommandResult::parse(payload, limits)?;
                self.shared.results.resolve(&result, &self.shared.counters);
                return Ok(Some(Understood {
                    message: Message::Result(result),
                    sequence: sequence::of_payload(payload, limits),
                }));
            }
            _ if !is_wanted => return Ok(None),
            Topic::EVENT | Topic::EMERGENCY | Topic::PROPERTY_CHANGE => Message::Event {
                topic,
                event: Event::parse(payload, limits)?,
                level: self.shared.level(),
            },
            topic => Message::Other {
                topic,
                payload: payload.clone(),
            },
        };
        let sequence = match &message {
            Message::Event { event, .. } => event.sequence(),
            Message::Heartbeat(_) | Message::Result(_) | Message::Other { .. } => None,
        };
        Ok(is_wanted.then_some(Understood { message, sequence }))
    }

    fn connection(&mut self, event: ConnectionEvent) {
        match &event {
            ConnectionEvent::Opened { connection, .. } => {
                self.open.insert(*connection);
                self.shared.hub.opened(self.is_new);
                self.is_new = false;
            }
            ConnectionEvent::Closed { connection, .. } => {
                self.open.remove(connection);
                self.shared.counters.interruptions.count();
                self.shared.hub.interrupt();
            }
            ConnectionEvent::HandshakeFailed { .. }
            | ConnectionEvent::Retrying { .. }
            | ConnectionEvent::Refused { .. }
            | ConnectionEvent::Subscribed { .. }
            | ConnectionEvent::Unsubscribed { .. }
            | ConnectionEvent::SubscriptionRefused { .. }
            | ConnectionEvent::Missed(_) => {}
        }
        let is_open = !self.open.is_empty();
        self.shared.set_connected(Channel::Events, is_open);
        if is_open {
            self.shared.events_opened.notify_one();
        }
        if let Some(change) = RemoteChange::of_connection(Channel::Events, event) {
            self.shared.tell(change);
        }
    }

    async fn apply_subscriptions(&mut self) {
        // In this order, so that whoever hears a heartbeat will hear results, too.
        let mut wanted: Vec<_> = ALWAYS.map(Topic::subscription_prefix).into();
        wanted.extend(self.shared.hub.prefixes());
        let new: HashSet<Vec<u8>> = wanted.iter().cloned().collect();
        let mut told = self.subscribed.clone();
        // An error says that the socket is closed, which the loop meets too.
        for prefix in &wanted {
            if told.insert(prefix.clone()) {
                let _ = self.socket.subscribe_to(prefix).await;
            }
        }
        for prefix in self.subscribed.difference(&new) {
            let _ = self.socket.unsubscribe_from(prefix).await;
        }
        self.subscribed = new;
        self.shared.hub.applied(&wanted);
    }
}
