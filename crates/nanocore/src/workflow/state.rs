//! What a node and a run can be in. spec: nanograph 15.1, 16.3

use std::fmt;

use serde::{Serialize, Serializer};

/// Declares a closed set of words of the wire.
macro_rules! words {
    ($(#[$meta:meta])* $type:ident { $($(#[$doc:meta])* $name:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $type { $($(#[$doc])* $name,)* }

        impl $type {
            /// The word on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a node of a run is in.
    NodeState {
        /// It waits for its sources.
        Pending = "pending",
        /// It waits for a free place on its server, or for a further attempt.
        Ready = "ready",
        /// It was sent to its server.
        Dispatched = "dispatched",
        /// Its server said something about it.
        Running = "running",
        /// It ended with outputs.
        Complete = "complete",
        /// It has outputs without having been executed: from the result cache, or as the graph pins them.
        Cached = "cached",
        /// It failed for good.
        Error = "error",
        /// It was stopped.
        Aborted = "aborted",
        /// It never ran, because of another node.
        Skipped = "skipped",
    }
}

impl NodeState {
    /// Whether the node is done, one way or another.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Complete | Self::Cached | Self::Error | Self::Aborted | Self::Skipped => true,
            Self::Pending | Self::Ready | Self::Dispatched | Self::Running => false,
        }
    }

    /// Whether it has outputs that others may use.
    #[must_use]
    pub fn has_outputs(self) -> bool {
        matches!(self, Self::Complete | Self::Cached)
    }

    /// Whether a server is working on it.
    pub(crate) fn is_in_flight(self) -> bool {
        matches!(self, Self::Dispatched | Self::Running)
    }
}

words! {
    /// How a run ended.
    RunStatus {
        /// Every node that could run has completed.
        Complete = "complete",
        /// A node failed.
        Error = "error",
        /// It was stopped on request.
        Aborted = "aborted",
    }
}

words! {
    /// Why a node failed.
    NodeErrorCode {
        /// The node said so.
        NodeFailed = "node_failed",
        /// Its server does not know the node.
        NodeNotFound = "node_not_found",
        /// The request would be larger than a server accepts.
        InputTooLarge = "input_too_large",
        /// Its inputs together are no valid request.
        InvalidInputs = "invalid_inputs",
        /// What it returned is no object.
        InvalidOutputs = "invalid_outputs",
        /// The connection to its server was lost.
        ServerLost = "server_lost",
        /// Its server said nothing at all.
        NoResponse = "no_response",
        /// One attempt took too long.
        Timeout = "timeout",
        /// It said nothing for too long.
        IdleTimeout = "idle_timeout",
        /// It was not sent, as too much is outstanding.
        Refused = "refused",
        /// Its server could not send the result.
        StatusUndeliverable = "status_undeliverable",
        /// An asset that its inputs or outputs name could not be copied from one asset server to another.
        AssetTransfer = "asset_transfer",
        /// It has outputs, but the step log could not keep them.
        StepNotLogged = "step_not_logged",
    }
}

impl NodeErrorCode {
    /// Whether the cause is the server or the way to it, not the node. spec: nanograph 16.2
    #[must_use]
    pub fn is_infrastructure(self) -> bool {
        matches!(
            self,
            Self::ServerLost | Self::NoResponse | Self::NodeNotFound
        )
    }
}

/// Why a node failed, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeError {
    /// What kind of failure.
    pub code: NodeErrorCode,
    /// The node's own message, or one that says what happened.
    pub message: String,
}

impl NodeError {
    /// A failure of this kind.
    #[must_use]
    pub fn new(code: NodeErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code == NodeErrorCode::NodeFailed {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for NodeError {}
