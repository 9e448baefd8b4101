//! Why frames end without a result.

use nnrp_wire::metadata::ResultHintMetadata;
use nnrp_wire::{CongestionState, HintPolicy, HintReason};

/// Why a frame was dropped. RESULT_DROP itself says nothing; what has a [`HintReason`] is told by a RESULT_HINT ahead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Too much waits.
    QueueFull,
    /// There is too much to do.
    ServerBusy,
    /// It would have taken longer than it may, or has.
    BudgetExceeded,
    /// A newer frame makes it useless.
    Superseded,
    /// Its result makes use of what the client does not allow.
    PolicyNotAllowed,
    /// The session ended first.
    Closing,
    /// The handler gave it up without a word.
    Abandoned,
    /// Something of the application's.
    Other,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::QueueFull,
        Self::ServerBusy,
        Self::BudgetExceeded,
        Self::Superseded,
        Self::PolicyNotAllowed,
        Self::Closing,
        Self::Abandoned,
        Self::Other,
    ];

    /// For logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::ServerBusy => "server_busy",
            Self::BudgetExceeded => "budget_exceeded",
            Self::Superseded => "superseded",
            Self::PolicyNotAllowed => "policy_not_allowed",
            Self::Closing => "closing",
            Self::Abandoned => "abandoned",
            Self::Other => "other",
        }
    }

    /// What a client is told, if there is a word for it.
    pub(super) const fn hint(self) -> Option<ResultHintMetadata> {
        let reason = match self {
            Self::QueueFull => HintReason::QueueFull,
            Self::ServerBusy => HintReason::ServerBusy,
            Self::BudgetExceeded => HintReason::BudgetExceeded,
            Self::Superseded => HintReason::Superseded,
            Self::PolicyNotAllowed | Self::Closing | Self::Abandoned | Self::Other => return None,
        };
        Some(ResultHintMetadata {
            applied_budget_policy: HintPolicy::Drop,
            congestion_state: CongestionState::None,
            reason,
            retry_after_ms: 0,
        })
    }
}
