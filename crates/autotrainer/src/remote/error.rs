//! What can go wrong with a call.

use std::time::Duration;

use thiserror::Error;

use crate::command::{Command, CommandResult, ResponseError};
use crate::json::EncodeError;
use crate::level::ProtocolLevel;
use crate::zmq::ZmqError;

/// A remote cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The options of a socket are not valid.
    #[error("the remote cannot have its sockets")]
    Socket(#[source] ZmqError),
    /// An endpoint is not valid.
    #[error("{endpoint} cannot be connected to: {source}")]
    Endpoint {
        /// Which.
        endpoint: String,
        /// Why.
        source: ZmqError,
    },
}

/// A call has no answer. An answer that says no is none of these: see
/// [`CommandAnswer::result`](crate::CommandAnswer::result).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// There was no connection in time. The command was not sent, and never will be.
    #[error("the service cannot be reached{}; the command was not sent", because(reason.as_deref()))]
    Unreachable {
        /// What the last attempt to connect said; `None` if nobody listens there.
        reason: Option<String>,
    },
    /// Too many commands of this remote were in flight for all of the time. The command was not sent.
    #[error("too many commands wait for their answers; the command was not sent")]
    Busy,
    /// Too many late results are waited for. The command was not sent.
    #[error("too many late results are waited for; drop some, or allow more")]
    TooManyResults,
    /// It was sent, and no answer came in time: it may have been carried out, or may still be.
    #[error("no answer in time; the command may have been carried out")]
    TimedOut,
    /// It was sent, and the connection was lost before the answer came: it may have been carried out.
    #[error("the connection was lost before the answer; the command may have been carried out")]
    ConnectionLost,
    /// The answer did not come, but the result of the command did.
    #[error("the answer was lost, but the command ended with {}", .0.result)]
    ResultOnly(Box<CommandResult>),
    /// The service says that it cannot read the request.
    #[error("the service cannot read the request; its data may be too long or nest too deep")]
    NotUnderstood,
    /// The answer cannot be read.
    #[error("the answer cannot be read: {0}")]
    Response(#[source] ResponseError),
    /// The service's level does not have this command.
    #[error("services of level {level} have no command {command}")]
    UnknownCommand {
        /// The command.
        command: Command,
        /// The level.
        level: ProtocolLevel,
    },
    /// The data has no JSON form.
    #[error("the data has no JSON form")]
    Encode(#[from] EncodeError),
    /// The request is longer than a service may read.
    #[error("the request has {bytes} bytes, more than the limit of {bytes_max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A socket cannot be had.
    #[error("a socket cannot be had")]
    Socket(#[from] ZmqError),
    /// The remote was closed.
    #[error("the remote is closed")]
    Closed,
}

impl CallError {
    /// Whether the command was certainly not carried out, and never will be.
    #[must_use]
    pub const fn is_unsent(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Busy
            | Self::TooManyResults
            | Self::UnknownCommand { .. }
            | Self::Encode(_)
            | Self::TooLong { .. }
            | Self::Socket(_) => true,
            Self::TimedOut
            | Self::ConnectionLost
            | Self::ResultOnly(_)
            | Self::NotUnderstood
            | Self::Response(_)
            | Self::Closed => false,
        }
    }

    /// Whether another attempt may have an answer.
    pub(super) const fn is_worth_another_attempt(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::TimedOut | Self::ConnectionLost
        )
    }
}

fn because(reason: Option<&str>) -> String {
    reason
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default()
}

/// No heartbeat came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "no heartbeat within {} s; is the service there, and its event port right?",
    .0.as_secs_f64()
)]
pub struct NoHeartbeat(pub Duration);

#[cfg(test)]
mod tests {
    use super::super::ResultError;
    use super::*;

    #[test]
    fn times_are_told_in_seconds() {
        for (time, told) in [
            (Duration::ZERO, "within 0 s;"),
            (Duration::from_millis(50), "within 0.05 s;"),
            (Duration::from_mins(2), "within 120 s;"),
        ] {
            let result = ResultError::TimedOut(time).to_string();
            let heartbeat = NoHeartbeat(time).to_string();
            assert!(result.contains(told), "{result}");
            assert!(heartbeat.contains(told), "{heartbeat}");
        }
    }
}
