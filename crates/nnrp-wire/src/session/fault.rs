//! What ends a session, and what a session refuses. spec: nnrp-session 4.8

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use super::frame::FrameKey;
use super::hello::AckFault;
use crate::error::WireError;
use crate::message::{ErrorReport, Message};
use crate::metadata::ErrorMetadata;
use crate::numbers::{ErrorCode, ErrorScope, MessageType};

/// How a transport connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PathEnd {
    /// The other side ended it, between packets.
    #[error("the connection ended")]
    Finished,
    /// It broke.
    #[error("the connection broke")]
    Lost,
    /// What came is no packet; nothing behind it can be read.
    #[error("what came is no packet: {0}")]
    Framing(#[source] WireError),
}

/// Why a session failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Failure {
    /// There was no connection, or no answer to the hello, in time.
    #[error(
        "there was no session within {timeout:?}: check the address and whether the server runs"
    )]
    ConnectTimeout {
        /// How long there was.
        timeout: Duration,
    },
    /// The hello's answer does not say what it must.
    #[error("the server's answer to the hello cannot be used: {0}")]
    Ack(#[source] AckFault),
    /// Another message came than must.
    #[error("{} came instead of {}", found.name(), expected.name())]
    Unexpected {
        /// What came.
        found: MessageType,
        /// What had to.
        expected: MessageType,
    },
    /// The other side has said that it is over.
    #[error("the other side reports: {0}")]
    Peer(PeerError),
    /// A message cannot be read, and without it the session cannot be.
    #[error("a message cannot be read: {0}")]
    Malformed(#[source] WireError),
    /// Nothing came for too long.
    #[error("nothing came for {timeout:?}")]
    IdleTimeout {
        /// How long nothing came.
        timeout: Duration,
    },
    /// The other side does not answer any more.
    #[error("{count} pings were not answered")]
    MissedPongs {
        /// How many.
        count: u32,
    },
    /// The connection is gone, and there is no other.
    #[error("{0}")]
    Path(#[source] PathEnd),
    /// This side refused what the other side did.
    #[error("refused with {}: {reason}", code.name())]
    Refused {
        /// What the other side was told.
        code: ErrorCode,
        /// Why.
        reason: &'static str,
    },
}

/// An ERROR that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerError {
    /// What went wrong.
    pub metadata: ErrorMetadata,
    /// In words, at most [`PeerError::DIAGNOSTIC_BYTES_MAX`] bytes of them.
    pub diagnostic: Bytes,
}

impl std::fmt::Display for PeerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.metadata.known_code() {
            Some(code) => f.write_str(code.name())?,
            None => write!(f, "error {}", self.metadata.error_code)?,
        }
        if !self.diagnostic.is_empty() {
            write!(f, ": {}", String::from_utf8_lossy(&self.diagnostic))?;
        }
        Ok(())
    }
}

impl PeerError {
    /// Bytes of a diagnostic that are kept and sent.
    pub const DIAGNOSTIC_BYTES_MAX: usize = 1024;

    pub(super) fn from_report(report: &ErrorReport) -> Self {
        let bytes = report.diagnostic.len().min(Self::DIAGNOSTIC_BYTES_MAX);
        Self {
            metadata: report.metadata,
            diagnostic: report.diagnostic.slice(..bytes),
        }
    }
}

/// Why a session does not take what it was given. It stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandleError {
    /// Too much waits to be taken out. The packet was not taken.
    #[error("packets and events wait: take them, then try the same again")]
    Congested,
    /// The packet belongs to a session that is not on its connection yet; what puts it there was overtaken, as happens on
    /// QUIC. The packet was not taken. Nothing has to be taken out: hold it, and give it again behind the next one of the
    /// connection. If that ends first, or is over, drop it.
    #[error(
        "the packet has overtaken the one that begins the session here: give it again behind the next one"
    )]
    Early,
    /// What is to be sent breaks a rule between its fields.
    #[error("the message cannot be sent: {0}")]
    Invalid(#[source] WireError),
    /// It is closed or failed.
    #[error("the session is over")]
    Over,
    /// There is no such path, or it has ended.
    #[error("the path does not belong to the session")]
    UnknownPath,
}

/// What an ERROR is to say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) code: ErrorCode,
    pub(super) scope: ErrorScope,
    pub(super) is_fatal: bool,
    pub(super) session_id: u32,
    pub(super) key: Option<FrameKey>,
    pub(super) retry_after_ms: u32,
}

impl Fault {
    pub(super) fn frame(code: ErrorCode, session_id: u32, key: FrameKey) -> Self {
        Self {
            key: Some(key),
            ..Self::session(code, session_id)
        }
        .with_scope(ErrorScope::Frame)
    }

    pub(super) const fn session(code: ErrorCode, session_id: u32) -> Self {
        Self {
            code,
            scope: ErrorScope::Session,
            is_fatal: false,
            session_id,
            key: None,
            retry_after_ms: 0,
        }
    }

    pub(super) const fn connection(code: ErrorCode) -> Self {
        Self {
            is_fatal: true,
            ..Self::session(code, 0)
        }
        .with_scope(ErrorScope::Connection)
    }

    const fn with_scope(mut self, scope: ErrorScope) -> Self {
        self.scope = scope;
        self
    }

    pub(super) fn message(&self, diagnostic: &str) -> Message {
        let mut end = diagnostic.len().min(PeerError::DIAGNOSTIC_BYTES_MAX);
        while !diagnostic.is_char_boundary(end) {
            end -= 1;
        }
        let diagnostic = Bytes::copy_from_slice(&diagnostic.as_bytes()[..end]);
        Message::Error(ErrorReport {
            metadata: ErrorMetadata {
                error_code: self.code.number(),
                error_scope: self.scope,
                is_fatal: u32::from(self.is_fatal),
                retry_after_ms: self.retry_after_ms,
                related_session_id: self.session_id,
                related_frame_id: self.key.map_or(0, |key| key.frame_id),
                related_view_id: self.key.map_or(0, |key| u32::from(key.view_id)),
                diagnostic_bytes: u32::try_from(diagnostic.len()).unwrap_or(u32::MAX),
            },
            diagnostic,
        })
    }
}
