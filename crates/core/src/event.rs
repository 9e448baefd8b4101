//! What happens to an execution, as told to whoever submitted it.

use std::fmt;

use crate::error::NodeError;
use crate::value::Outputs;

/// Names an execution within one executor; never reused while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecutionId(pub(crate) u64);

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

/// One step in the life of an execution. A closed set, so that every wire decides about each.
///
/// Order: `Accepted`, `Started` at most once, any `Progress` and `Partial`, then exactly one terminal event
/// ([`Self::is_terminal`]) and nothing after it.
#[derive(Debug)]
pub enum ExecutionEvent {
    /// Admitted: running or waiting for its turn.
    Accepted,
    /// The handler was called.
    Started,
    /// How far it is. Dropped, and counted, where the receiver has no room.
    Progress(Progress),
    /// Some outputs ahead of the end.
    Partial(Outputs),
    /// Ended well.
    Completed(Outputs),
    /// Ended with an error; a deadline is one too.
    Failed(NodeError),
    /// Ended because it was asked to.
    Cancelled {
        /// Whether the handler was given up on because it did not react within the grace time.
        abandoned: bool,
    },
    /// Ended without having been started.
    Dropped(DropReason),
}

impl ExecutionEvent {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::Completed(_) | Self::Failed(_) | Self::Cancelled { .. } | Self::Dropped(_)
        )
    }
}

/// How far an execution is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Steps done.
    pub step: Option<u64>,
    /// Steps there are.
    pub total: Option<u64>,
    /// For people. May be empty.
    pub message: String,
}

/// Why an accepted execution ended without having been started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DropReason {
    /// Its deadline passed while it waited.
    #[error("the deadline passed while waiting")]
    DeadlinePassed,
    /// The executor shut down while it waited.
    #[error("the server shut down")]
    Shutdown,
}

impl DropReason {
    /// Every reason, for tables that must be complete.
    pub const ALL: [Self; 2] = [Self::DeadlinePassed, Self::Shutdown];

    /// A stable name for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DeadlinePassed => "deadline_passed",
            Self::Shutdown => "shutdown",
        }
    }
}
