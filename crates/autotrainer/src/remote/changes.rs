//! What becomes of the service and of the connections to it, as it happens.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::presence::Presence;
use crate::level::ProtocolLevel;
use crate::zmq::{CloseReason, ConnectionEvent};

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteChange {
    /// A service came, is late, or is gone, as its heartbeats tell.
    Presence {
        /// Whose heartbeats.
        identifier: String,
        /// What it is now.
        presence: Presence,
    },
    /// Commands are written for this level from now on.
    Level(ProtocolLevel),
    /// A channel is connected.
    Connected {
        /// Which.
        channel: Channel,
        /// To whom.
        address: Option<SocketAddr>,
    },
    /// A channel has lost a connection; it is tried again.
    Disconnected {
        /// Which.
        channel: Channel,
        /// Why.
        reason: CloseReason,
    },
    /// A connection came to nothing, or cannot be had; it is tried again.
    NotConnected {
        /// Which.
        channel: Channel,
        /// For people; `None` if nobody listens there.
        reason: Option<String>,
        /// When it is tried again, if that is known.
        after: Option<Duration>,
    },
    /// So many changes were missed, since nobody received them in time.
    Missed(u64),
}

/// The two connections to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// What it publishes.
    Events,
    /// What it is asked.
    Commands,
}

impl RemoteChange {
    /// What such an event of a connection means here.
    pub(super) fn of_connection(channel: Channel, event: ConnectionEvent) -> Option<Self> {
        match event {
            ConnectionEvent::Opened { address, .. } => Some(Self::Connected { channel, address }),
            ConnectionEvent::Closed { reason, .. } => Some(Self::Disconnected { channel, reason }),
            ConnectionEvent::Retrying { after } => Some(Self::NotConnected {
                channel,
                reason: None,
                after: Some(after),
            }),
            ConnectionEvent::HandshakeFailed { reason } | ConnectionEvent::Refused { reason } => {
                Some(Self::NotConnected {
                    channel,
                    reason: Some(reason),
                    after: None,
                })
            }
            ConnectionEvent::Subscribed { .. }
            | ConnectionEvent::Unsubscribed { .. }
            | ConnectionEvent::SubscriptionRefused { .. }
            | ConnectionEvent::Missed(_) => None,
        }
    }
}

/// Changes that a reader may lag behind.
pub(super) const CHANGES_MAX: usize = 256;

/// The changes from a moment on.
#[derive(Debug)]
pub struct RemoteChanges {
    pub(super) receiver: broadcast::Receiver<RemoteChange>,
    pub(super) ended: CancellationToken,
}

impl RemoteChanges {
    /// The next one; `None` once the remote is closed. Nothing is lost when the future is dropped. A reader that lags
    /// behind by more than 256 misses the oldest, and is told.
    pub async fn next(&mut self) -> Option<RemoteChange> {
        let received = tokio::select! {
            biased;
            received = self.receiver.recv() => received,
            () = self.ended.cancelled() => return None,
        };
        match received {
            Ok(change) => Some(change),
            Err(RecvError::Lagged(missed)) => Some(RemoteChange::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}
