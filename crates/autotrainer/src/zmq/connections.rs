//! What becomes of the connections of a socket.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use omq_tokio::{DisconnectReason, MonitorEvent, MonitorRecvError, MonitorStream};

/// One thing that happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// A peer can be talked to.
    Opened {
        /// Tells the socket's connections apart.
        connection: u64,
        /// The peer's address.
        address: Option<SocketAddr>,
    },
    /// A peer that could be talked to is gone.
    Closed {
        /// As it was opened.
        connection: u64,
        /// Why.
        reason: CloseReason,
    },
    /// A connection came to nothing: no ZeroMQ, another kind of socket, a key that is not allowed, or too slow.
    HandshakeFailed {
        /// For people.
        reason: String,
    },
    /// The peer could not be reached; it is tried again.
    Retrying {
        /// After this time.
        after: Duration,
    },
    /// The peer refused for good, a wrong key for instance; it is not tried again.
    Refused {
        /// For people.
        reason: String,
    },
    /// A peer subscribed.
    Subscribed {
        /// Who.
        connection: u64,
        /// To what.
        prefix: Bytes,
    },
    /// A peer cancelled a subscription.
    Unsubscribed {
        /// Who.
        connection: u64,
        /// Of what.
        prefix: Bytes,
    },
    /// A subscription was not admitted; the peer is not told.
    SubscriptionRefused {
        /// Who.
        connection: u64,
    },
    /// So many events were missed, since nobody received them in time.
    Missed(u64),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed it.
    Peer,
    /// This side closed it.
    Local,
    /// Another connection has the same identity.
    Replaced,
    /// It broke, or the peer broke the protocol or a limit. For people.
    Broken(String),
}

/// The events of one socket, from now on.
#[derive(Debug)]
pub struct ConnectionEvents(MonitorStream);

impl ConnectionEvents {
    pub(super) fn of(socket: &omq_tokio::Socket) -> Self {
        Self(socket.monitor())
    }

    /// The next one; `None` once the socket is closed. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<ConnectionEvent> {
        loop {
            let event = match self.0.recv().await {
                Ok(MonitorEvent::Closed) | Err(MonitorRecvError::Closed) => return None,
                Ok(event) => event,
                Err(MonitorRecvError::Lagged(missed)) => {
                    return Some(ConnectionEvent::Missed(missed));
                }
                Err(_) => return None,
            };
            if let Some(event) = convert(event) {
                return Some(event);
            }
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library tells more than is needed here, and may tell yet more"
)]
fn convert(event: MonitorEvent) -> Option<ConnectionEvent> {
    Some(match event {
        MonitorEvent::HandshakeSucceeded { peer, .. } => ConnectionEvent::Opened {
            connection: peer.connection_id,
            address: peer.peer_address,
        },
        MonitorEvent::Disconnected { peer, reason, .. } => ConnectionEvent::Closed {
            connection: peer.connection_id,
            reason: close_reason(reason),
        },
        MonitorEvent::HandshakeFailed { reason, .. } => ConnectionEvent::HandshakeFailed { reason },
        MonitorEvent::ConnectDelayed { retry_in, .. } => {
            ConnectionEvent::Retrying { after: retry_in }
        }
        MonitorEvent::ConnectStopped { reason, .. } => ConnectionEvent::Refused {
            reason: match reason {
                DisconnectReason::HandshakeRefused(refusal) => refusal.to_string(),
                other => format!("{other:?}"),
            },
        },
        MonitorEvent::SubscribeReceived {
            connection_id: connection,
            prefix,
        } => ConnectionEvent::Subscribed { connection, prefix },
        MonitorEvent::UnsubscribeReceived {
            connection_id: connection,
            prefix,
        } => ConnectionEvent::Unsubscribed { connection, prefix },
        MonitorEvent::SubscribeRejected { connection_id, .. } => {
            ConnectionEvent::SubscriptionRefused {
                connection: connection_id,
            }
        }
        _ => return None,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library may learn further reasons"
)]
fn close_reason(reason: DisconnectReason) -> CloseReason {
    match reason {
        DisconnectReason::PeerClosed => CloseReason::Peer,
        DisconnectReason::LocalClose => CloseReason::Local,
        DisconnectReason::Handover => CloseReason::Replaced,
        DisconnectReason::Error(error) => CloseReason::Broken(error),
        other => CloseReason::Broken(format!("{other:?}")),
    }
}

/// What has become of a bound socket's connections so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionCounts {
    /// Peers that could be talked to.
    pub opened: u64,
    /// Those of them that are gone, for whatever reason.
    pub closed: u64,
    /// Those of them that broke the protocol or a limit, or whose connection broke.
    pub broken: u64,
    /// Those of them that were closed at once, because there were too many.
    pub refused: u64,
    /// Connections that came to nothing.
    pub handshakes_failed: u64,
    /// Subscriptions that were not admitted.
    pub subscriptions_refused: u64,
    /// Events of connections that were missed; the other counts are too low by at most as much.
    pub missed: u64,
}

#[derive(Debug, Default)]
pub(super) struct ConnectionCounters {
    opened: AtomicU64,
    closed: AtomicU64,
    broken: AtomicU64,
    pub(super) refused: AtomicU64,
    handshakes_failed: AtomicU64,
    subscriptions_refused: AtomicU64,
    missed: AtomicU64,
}

impl ConnectionCounters {
    pub(super) fn count(&self, event: &ConnectionEvent) {
        let add = |counter: &AtomicU64, events| {
            counter.fetch_add(events, Ordering::Relaxed);
        };
        match event {
            ConnectionEvent::Opened { .. } => add(&self.opened, 1),
            ConnectionEvent::Closed { reason, .. } => {
                add(&self.closed, 1);
                if matches!(reason, CloseReason::Broken(_)) {
                    add(&self.broken, 1);
                }
            }
            ConnectionEvent::HandshakeFailed { .. } => add(&self.handshakes_failed, 1),
            ConnectionEvent::SubscriptionRefused { .. } => add(&self.subscriptions_refused, 1),
            ConnectionEvent::Missed(missed) => add(&self.missed, *missed),
            ConnectionEvent::Retrying { .. }
            | ConnectionEvent::Refused { .. }
            | ConnectionEvent::Subscribed { .. }
            | ConnectionEvent::Unsubscribed { .. } => {}
        }
    }

    pub(super) fn snapshot(&self) -> ConnectionCounts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConnectionCounts {
            opened: of(&self.opened),
            closed: of(&self.closed),
            broken: of(&self.broken),
            refused: of(&self.refused),
            handshakes_failed: of(&self.handshakes_failed),
            subscriptions_refused: of(&self.subscriptions_refused),
            missed: of(&self.missed),
        }
    }
}
