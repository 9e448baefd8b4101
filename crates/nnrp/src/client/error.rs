//! What can go wrong for a client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::WireError;
use nnrp_wire::session::{Failure, FrameError, FrameKey, MigrateMisuse, PutRefusal, SubmitRefusal};
use thiserror::Error;

use super::submit::Submit;

/// Why there is no session.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// There is no connection.
    #[error("no connection could be made: {0}")]
    Dial(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// It took too long, all in all.
    #[error(
        "there was no session within {timeout:?}: check the address and whether the server runs"
    )]
    Timeout {
        /// How long there was.
        timeout: Duration,
    },
    /// The hello of the options cannot be sent.
    #[error("the hello cannot be sent, correct ConnectOptions::session: {0}")]
    Hello(#[source] WireError),
    /// The server refused, or the connection ended first.
    #[error("{0}")]
    Failed(#[source] Arc<Failure>),
    /// The server ended it before there was a session.
    #[error("the server ended the session as soon as it was there: look for the reason there")]
    Closed,
}

/// How a session ended.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum SessionEnd {
    /// This side has closed it.
    #[error("the session was closed")]
    Closed,
    /// The server has closed it.
    #[error("the server closed the session{}", spoken(.reason))]
    ClosedByServer {
        /// What it said; `None` if it has just ended the connection.
        reason: Option<Bytes>,
    },
    /// It broke.
    #[error("the session failed: {0}")]
    Failed(#[source] Arc<Failure>),
    /// It broke, and there was no new one.
    #[error(
        "the session was lost, and {attempts} attempts at a new one failed, the last one as: {last}"
    )]
    NotReconnected {
        /// How often it was tried.
        attempts: u32,
        /// What was in the way at last.
        #[source]
        last: Box<ConnectError>,
    },
}

fn spoken(reason: &Option<Bytes>) -> String {
    let said = reason.as_ref().filter(|reason| !reason.is_empty());
    said.map_or_else(String::new, |reason| {
        format!(": {}", String::from_utf8_lossy(reason))
    })
}

/// Why a frame was not submitted. Nothing of it was sent.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// It cannot be submitted as it is; or, of [`try_submit`](super::Session::try_submit), not now.
    #[error("{0}")]
    Refused(#[source] SubmitRefusal),
    /// A frame of this key was submitted before, and its end was not received.
    #[error(
        "the end of the last frame of this key was not received: receive it, or take another id"
    )]
    NotReceived {
        /// Which.
        key: FrameKey,
    },
    /// Of [`try_submit`](super::Session::try_submit): it would overtake others.
    #[error("others wait to be submitted, and come first: use submit to wait behind them")]
    OthersWait,
    /// Of [`try_submit`](super::Session::try_submit): the session was lost, and the next one is being begun.
    #[error("there is no session now: use submit to wait for the next one")]
    Connecting,
    /// Its time was over before it could be sent.
    #[error("the frame waited to be sent for all of its {timeout:?}")]
    Expired {
        /// How long it had.
        timeout: Duration,
    },
    /// The session ends.
    #[error("the session ends: begin another one")]
    Ending,
    /// The session is over.
    #[error("{0}")]
    Over(#[source] SessionEnd),
}

/// A frame that was not submitted, and why.
#[derive(Debug, Error)]
#[error("{why}")]
pub struct NotSubmitted {
    /// Why.
    #[source]
    pub why: SubmitError,
    /// As it was given.
    pub submit: Box<Submit>,
}

/// Why there is nothing to receive.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The frame was not submitted, or its end was received, or a call waits for it.
    #[error("frame {} was not submitted, or its end was received, or a call waits for it", key.frame_id)]
    UnknownFrame {
        /// Which.
        key: FrameKey,
    },
    /// The session is over, and all that came of it was received.
    #[error("{0}")]
    Over(#[source] SessionEnd),
}

impl ReceiveError {
    pub(super) fn into_session_end(self) -> Option<SessionEnd> {
        match self {
            Self::Over(end) => Some(end),
            Self::UnknownFrame { .. } => None,
        }
    }
}

/// Why a call has no result.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum CallError {
    /// It was not submitted.
    #[error("{0}")]
    Submit(#[source] SubmitError),
    /// The server dropped the frame.
    #[error("the server dropped the frame")]
    Dropped,
    /// The frame was cancelled, by another handle of the session or with its end.
    #[error("the frame was cancelled")]
    Cancelled,
    /// There was no result in time.
    #[error("there was no result in time")]
    Expired,
    /// The frame failed.
    #[error("{0}")]
    Failed(#[source] FrameError),
    /// The session ended first, or the connection that the result would have come by.
    #[error("the connection was lost before the result came")]
    ConnectionLost(#[source] Option<SessionEnd>),
    /// The server said that the frame has ended, and sent no result.
    #[error("the frame ended without a result")]
    NoResult,
}

/// Why something that was asked of the server has no answer.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There was none in time. The reference answers few of them.
    #[error("the server did not answer within {timeout:?}")]
    Unanswered {
        /// How long there was.
        timeout: Duration,
    },
    /// It must not be put.
    #[error("{0}")]
    Put(#[source] PutRefusal),
    /// It breaks a rule between its fields.
    #[error("the message cannot be sent: {0}")]
    Invalid(#[source] WireError),
    /// The session ended first.
    #[error("{0}")]
    Over(#[source] SessionEnd),
    /// The session ends.
    #[error("the session ends: begin another one")]
    Ending,
}

/// Why a session is not on another transport now. It goes on where it was, unless that broke.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// There is no connection to move to.
    #[error("no connection could be made: {0}")]
    Dial(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// There was none in time.
    #[error("no connection could be made within {timeout:?}")]
    Timeout {
        /// How long there was.
        timeout: Duration,
    },
    /// The session was begun over a connection of the caller's.
    #[error("the session does not know how to dial: make the connection, and use migrate")]
    CannotDial,
    /// It could not begin.
    #[error("{0}")]
    Misuse(#[source] MigrateMisuse),
    /// It has failed.
    #[error("{0}")]
    Failed(#[source] nnrp_wire::session::MigrationFailure),
    /// The session is over.
    #[error("{0}")]
    Over(#[source] SessionEnd),
}
