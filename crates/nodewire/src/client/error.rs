//! Why something was not executed, or not described.

use std::error::Error;
use std::fmt;

use crate::capability::Wire;

/// What went wrong, to match on and to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "those of the executor are named as there")]
pub enum RemoteErrorKind {
    InvalidInput,
    NotFound,
    Cancelled,
    Deadline,
    Overloaded,
    Unsupported,
    Unavailable,
    Internal,
    UnknownNode,
    QueueFull,
    TooManyInFlight,
    ShuttingDown,
    /// The node failed, and the wire does not tell of what kind that is.
    Failed,
    /// No token, or a wrong one.
    Unauthorized,
    /// Longer than the wire takes.
    TooLarge,
    /// Nobody listens there, or nobody answers in time.
    Unreachable,
    /// The connection was lost on the way; it may have been executed.
    Lost,
    /// The answer cannot be read.
    Protocol,
}

impl RemoteErrorKind {
    /// Every kind, for tables that must be complete.
    pub const ALL: [Self; 18] = [
        Self::InvalidInput,
        Self::NotFound,
        Self::Cancelled,
        Self::Deadline,
        Self::Overloaded,
        Self::Unsupported,
        Self::Unavailable,
        Self::Internal,
        Self::UnknownNode,
        Self::QueueFull,
        Self::TooManyInFlight,
        Self::ShuttingDown,
        Self::Failed,
        Self::Unauthorized,
        Self::TooLarge,
        Self::Unreachable,
        Self::Lost,
        Self::Protocol,
    ];

    /// A stable name for machine-readable output; those of the executor are its names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::NotFound => "not_found",
            Self::Cancelled => "cancelled",
            Self::Deadline => "deadline",
            Self::Overloaded => "overloaded",
            Self::Unsupported => "unsupported",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::UnknownNode => "unknown_node",
            Self::QueueFull => "queue_full",
            Self::TooManyInFlight => "too_many_in_flight",
            Self::ShuttingDown => "shutting_down",
            Self::Failed => "failed",
            Self::Unauthorized => "unauthorized",
            Self::TooLarge => "too_large",
            Self::Unreachable => "unreachable",
            Self::Lost => "lost",
            Self::Protocol => "protocol",
        }
    }

    /// By the name that a server gives it.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        if name == "deadline_passed" {
            return Some(Self::Deadline);
        }
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for RemoteErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error of a server, or on the way to it. The message says what to do where that is known.
#[derive(Debug)]
pub struct RemoteError {
    kind: RemoteErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl RemoteError {
    pub(super) fn new(kind: RemoteErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// With the cause's text as its message.
    pub(super) fn of(kind: RemoteErrorKind, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            kind,
            message: source.to_string(),
            source: Some(Box::new(source)),
        }
    }

    /// By the name and text that a server gives it; a name that is not known stays in the text.
    pub(super) fn named(name: &str, message: &str) -> Self {
        match RemoteErrorKind::from_name(name) {
            Some(kind) => Self::new(kind, message),
            None => Self::new(RemoteErrorKind::Failed, format!("{name}: {message}")),
        }
    }

    /// Of a request that the wire has no room for.
    pub(super) fn too_large(wire: Wire, bytes: u64, bytes_max: u64) -> Self {
        Self::new(
            RemoteErrorKind::TooLarge,
            format!(
                "the request has {bytes} bytes, and {wire} takes at most {bytes_max} here: use another wire, or store bytes as assets and give their references"
            ),
        )
    }

    pub(super) fn unknown_node(node: &str) -> Self {
        Self::new(
            RemoteErrorKind::UnknownNode,
            format!("there is no node `{node}`"),
        )
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> RemoteErrorKind {
        self.kind
    }

    /// In words.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for RemoteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // Its text is ours, so what follows is what is behind it.
        self.source.as_deref().and_then(Error::source)
    }
}

#[cfg(test)]
mod tests {
    use nodewire_core::{NodeErrorKind, RefusalKind};

    use super::*;

    #[test]
    fn every_name_of_the_executor_is_known() {
        let nodes = NodeErrorKind::ALL.map(NodeErrorKind::name);
        let refusals = RefusalKind::ALL.map(RefusalKind::name);
        for name in nodes.into_iter().chain(refusals) {
            assert!(RemoteErrorKind::from_name(name).is_some(), "{name}");
        }
        let other = RemoteError::named("odd", "why");
        assert_eq!(
            (other.kind(), other.message()),
            (RemoteErrorKind::Failed, "odd: why")
        );
    }
}
