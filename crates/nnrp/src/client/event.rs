//! What happens to a session beside its frames.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::metadata::{CacheInvalidateMetadata, FlowUpdateMetadata};
use nnrp_wire::session::{Degraded, Established, PeerError};
use nnrp_wire::{MessageType, TransportId, WireError};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::error::{MigrateError, SessionEnd};

/// What happens to a session beside its frames.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The server has said how much may be in flight.
    Flow(FlowUpdateMetadata),
    /// The server has forgotten objects.
    CacheInvalidated(CacheInvalidateMetadata),
    /// The server reports an error that is not the end.
    Reported(PeerError),
    /// A message could not be read, and nothing depends on it.
    Undecodable {
        /// What it was.
        message_type: MessageType,
        /// Why not.
        error: WireError,
    },
    /// The session has moved to another transport.
    Migrated(Migrated),
    /// The session has not moved, and goes on where it was.
    MigrationFailed(MigrateError),
    /// The session's connection is bad, in these ways; see [`WatchOptions`](super::WatchOptions).
    Degraded(Arc<[Degraded]>),
    /// The server ends the session; results that it has sent may still come.
    CloseReceived(Bytes),
    /// The session has ended, and another one is being begun. All frames that were in flight have ended.
    Lost(SessionEnd),
    /// There is a new session.
    Reconnected(Arc<Established>),
    /// The session has ended for good. Nothing comes behind this.
    Ended(SessionEnd),
}

/// How a session has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// Where it is.
    pub transport: TransportId,
    /// The first frame that the server expects there; 0 is any.
    pub resume_from_frame_id: u64,
    /// Frames that were submitted again.
    pub resubmitted: usize,
    /// From the question to the answer.
    pub took: Duration,
}

/// What happens to a session from now on; [`Session::events`](super::Session::events).
#[derive(Debug)]
pub struct SessionEvents {
    receiver: broadcast::Receiver<SessionEvent>,
    missed: u64,
    is_over: bool,
}

impl SessionEvents {
    pub(super) const fn new(receiver: broadcast::Receiver<SessionEvent>, is_over: bool) -> Self {
        Self {
            receiver,
            missed: 0,
            is_over,
        }
    }

    /// What happens next; `None` after the end. Nothing is lost if it is dropped. Who waits too long misses the oldest.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        loop {
            if self.is_over {
                return None;
            }
            match self.receiver.recv().await {
                Ok(event) => {
                    self.is_over = matches!(event, SessionEvent::Ended(_));
                    return Some(event);
                }
                Err(RecvError::Lagged(count)) => self.missed += count,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many were missed.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}
