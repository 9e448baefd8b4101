//! One conversion of the library's errors.

use std::error::Error as StdError;
use std::io;

use omq_tokio::Error;
use thiserror::Error as ThisError;

/// A socket could not do what it was asked for.
#[derive(Debug, ThisError)]
#[error("{kind}")]
pub struct ZmqError {
    /// What to match on.
    pub kind: ZmqErrorKind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ThisError)]
#[non_exhaustive]
pub enum ZmqErrorKind {
    /// Somebody else has the port.
    #[error("the port is in use; choose another, or stop what uses it")]
    AddressInUse,
    /// This machine has no such address.
    #[error("the address is not one of this machine")]
    AddressNotAvailable,
    /// The system does not allow it, a port below 1024 for instance.
    #[error("the system does not permit this address")]
    NotPermitted,
    /// The endpoint is no `tcp://host:port`.
    #[error("the endpoint is not valid; write tcp://host:port")]
    InvalidEndpoint,
    /// The options contradict each other or the socket.
    #[error("the options are not valid for this socket")]
    InvalidOptions,
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
    /// The message is longer than the limit.
    #[error("the message is longer than the limit")]
    TooLong,
    /// Anything else; the source says what.
    #[error("the transport failed")]
    Transport,
}

impl ZmqError {
    pub(super) const fn of_kind(kind: ZmqErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl From<Error> for ZmqError {
    fn from(error: Error) -> Self {
        let kind = kind(&error);
        Self {
            kind,
            source: (!kind.says_all()).then(|| error.into()),
        }
    }
}

impl ZmqErrorKind {
    /// Whether the cause has nothing to add: told too, it would say the same once more.
    const fn says_all(self) -> bool {
        matches!(
            self,
            Self::AddressInUse | Self::AddressNotAvailable | Self::NotPermitted | Self::Closed
        )
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "both enumerations can grow with a release of their owner"
)]
fn kind(error: &Error) -> ZmqErrorKind {
    match error {
        Error::InvalidEndpoint(_) | Error::UnsupportedScheme(_) => ZmqErrorKind::InvalidEndpoint,
        Error::Config(_) => ZmqErrorKind::InvalidOptions,
        Error::Closed => ZmqErrorKind::Closed,
        Error::MessageTooLarge { .. } => ZmqErrorKind::TooLong,
        Error::Io(error) => match error.kind() {
            io::ErrorKind::AddrInUse => ZmqErrorKind::AddressInUse,
            io::ErrorKind::AddrNotAvailable => ZmqErrorKind::AddressNotAvailable,
            io::ErrorKind::PermissionDenied => ZmqErrorKind::NotPermitted,
            _ => ZmqErrorKind::Transport,
        },
        _ => ZmqErrorKind::Transport,
    }
}
