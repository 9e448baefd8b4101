//! Errors as data for two readers: the caller matches the kind and shows the message, the log gets the cause.

use std::error::Error as StdError;
use std::fmt;

use crate::unknown::UnknownArgument;

/// Why an execution failed.
#[derive(Debug)]
pub struct NodeError {
    kind: NodeErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of [`NodeError`]; every wire maps each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeErrorKind {
    /// An input or parameter is missing or does not fit: the caller's to mend.
    InvalidInput,
    /// Something the input names does not exist.
    NotFound,
    /// The handler itself says it was cancelled, although nobody asked the executor to.
    Cancelled,
    /// Time ran out.
    Deadline,
    /// A resource the node needs is used up for now; trying later may help.
    Overloaded,
    /// The node cannot do this.
    Unsupported,
    /// Something the node depends on does not answer.
    Unavailable,
    /// A defect of the node, panics included.
    Internal,
}

impl NodeErrorKind {
    /// Every kind, for tables that must be complete.
    pub const ALL: [Self; 8] = [
        Self::InvalidInput,
        Self::NotFound,
        Self::Cancelled,
        Self::Deadline,
        Self::Overloaded,
        Self::Unsupported,
        Self::Unavailable,
        Self::Internal,
    ];

    /// A stable name for logs and machine-readable output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::NotFound => "not_found",
            Self::Cancelled => "cancelled",
            Self::Deadline => "deadline",
            Self::Overloaded => "overloaded",
            Self::Unsupported => "unsupported",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

impl NodeError {
    /// An error with the text that the caller sees: say what is wrong and what to do.
    pub fn new(kind: NodeErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// An input or parameter does not fit.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(NodeErrorKind::InvalidInput, message)
    }

    /// A defect of the node.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(NodeErrorKind::Internal, message)
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What happened, to match on.
    #[must_use]
    pub fn kind(&self) -> NodeErrorKind {
        self.kind
    }

    /// What the caller sees.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for NodeError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

/// A plain text is a defect of the node; choose a kind with the constructors.
impl From<&str> for NodeError {
    fn from(message: &str) -> Self {
        Self::internal(message)
    }
}

impl From<String> for NodeError {
    fn from(message: String) -> Self {
        Self::internal(message)
    }
}

impl From<std::io::Error> for NodeError {
    fn from(error: std::io::Error) -> Self {
        let not_found = error.kind() == std::io::ErrorKind::NotFound;
        let kind = if not_found {
            NodeErrorKind::NotFound
        } else {
            NodeErrorKind::Internal
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

impl From<serde_json::Error> for NodeError {
    fn from(error: serde_json::Error) -> Self {
        Self::invalid_input(error.to_string()).with_source(error)
    }
}

impl From<nodewire_json::DecodeError> for NodeError {
    fn from(error: nodewire_json::DecodeError) -> Self {
        Self::invalid_input(error.to_string()).with_source(error)
    }
}

/// Why a request was not accepted. Nothing was started, nothing is counted as accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No node has this uid.
    #[error("Node definition not found: {0}")]
    UnknownNode(String),
    /// The node's queue is full.
    #[error("node `{node}` is overloaded: {limit} executions are waiting already; try again later")]
    QueueFull {
        /// The node.
        node: String,
        /// Its queue limit.
        limit: usize,
    },
    /// The executor has as many executions as it may have.
    #[error("the server is overloaded: {0} executions are in flight already; try again later")]
    TooManyInFlight(usize),
    /// The executor is shutting down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The deadline had passed on arrival.
    #[error("the deadline had passed before the request arrived")]
    DeadlinePassed,
    /// The node has no such input or parameter; see [`Executor::refusing_unknown`](crate::Executor::refusing_unknown).
    #[error(transparent)]
    UnknownArgument(Box<UnknownArgument>),
}

/// The kinds of [`Refusal`], for counting and for mapping to wires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// See [`Refusal::UnknownNode`].
    UnknownNode,
    /// See [`Refusal::QueueFull`].
    QueueFull,
    /// See [`Refusal::TooManyInFlight`].
    TooManyInFlight,
    /// See [`Refusal::ShuttingDown`].
    ShuttingDown,
    /// See [`Refusal::DeadlinePassed`].
    DeadlinePassed,
    /// See [`Refusal::UnknownArgument`].
    InvalidInput,
}

impl RefusalKind {
    /// Every kind, for tables that must be complete.
    pub const ALL: [Self; 6] = [
        Self::UnknownNode,
        Self::QueueFull,
        Self::TooManyInFlight,
        Self::ShuttingDown,
        Self::DeadlinePassed,
        Self::InvalidInput,
    ];

    /// A stable name for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownNode => "unknown_node",
            Self::QueueFull => "queue_full",
            Self::TooManyInFlight => "too_many_in_flight",
            Self::ShuttingDown => "shutting_down",
            Self::DeadlinePassed => "deadline_passed",
            // As an error that a handler finds.
            Self::InvalidInput => "invalid_input",
        }
    }
}

impl Refusal {
    /// What happened, to match on and to count.
    #[must_use]
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::UnknownNode(_) => RefusalKind::UnknownNode,
            Self::QueueFull { .. } => RefusalKind::QueueFull,
            Self::TooManyInFlight(_) => RefusalKind::TooManyInFlight,
            Self::ShuttingDown => RefusalKind::ShuttingDown,
            Self::DeadlinePassed => RefusalKind::DeadlinePassed,
            Self::UnknownArgument(_) => RefusalKind::InvalidInput,
        }
    }
}
