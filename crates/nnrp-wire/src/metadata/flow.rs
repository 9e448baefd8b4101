//! FLOW_UPDATE and RESULT_HINT. spec: nnrp-wire 2.8, 2.9

use super::check_bits;
use crate::error::{Category, WireError};
use crate::field::{Field, fixed};
use crate::numbers::{
    BackpressureLevel, CongestionState, FlowFlags, FlowReason, FlowScope, HintPolicy, HintReason,
};

/// Reserved, and written as zero whatever came (Q5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ignored<T>(pub T);

impl<T: Field> Field for Ignored<T> {
    const BYTES: usize = T::BYTES;
    const IS_RESERVED: bool = true;

    fn read(bytes: &[u8], at: usize, name: &'static str) -> Result<Self, WireError> {
        T::read(bytes, at, name).map(Self)
    }

    /// The room is zero already.
    fn write(self, _: &mut [u8], _: usize) {}

    fn number(self) -> u64 {
        self.0.number()
    }
}

fixed! {
    /// How much may be in flight.
    FlowUpdateMetadata[32] {
        /// Whose credit it is.
        0 scope_kind: FlowScope,
        /// Why it changes.
        1 update_reason: FlowReason,
        /// How hard it presses.
        2 backpressure_level: BackpressureLevel,
        /// Zero.
        3 reserved0: Ignored<u8>,
        /// Of the connection; 0 in other scopes.
        4 connection_credit: u16,
        /// Of the session; 0 in other scopes.
        6 session_credit: u16,
        /// Of the operation; 0 in other scopes.
        8 operation_credit: u16,
        /// Zero.
        10 reserved1: Ignored<u16>,
        /// The operation; 0 in other scopes.
        12 operation_id: u64,
        /// When to try again, in ms; 0 unless its flag is set.
        20 retry_after_ms: u32,
        /// Counts up with each change.
        24 credit_epoch: u32,
        /// What of this holds.
        28 flags: FlowFlags,
    }
}

impl FlowUpdateMetadata {
    /// The rules between its fields, in the specification's order.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), WireError> {
        check_bits(self.flags, "flags", 28)?;
        if self.retry_after_ms != 0 && !self.flags.contains(FlowFlags::RETRY_AFTER_VALID) {
            let error = WireError::new(Category::MissingValidityFlag, "retry_after_ms").at(20);
            return Err(error.found(u64::from(self.retry_after_ms)).limit(0));
        }
        let foreign = match self.scope_kind {
            FlowScope::Connection => {
                self.session_credit | self.operation_credit != 0 || self.operation_id != 0
            }
            FlowScope::Session => {
                self.connection_credit | self.operation_credit != 0 || self.operation_id != 0
            }
            FlowScope::Operation => self.connection_credit | self.session_credit != 0,
        };
        if foreign {
            return Err(self.scope_conflict());
        }
        if self.scope_kind == FlowScope::Operation && self.operation_id == 0 {
            let error = WireError::new(Category::RequiredValueMissing, "operation_id").at(12);
            return Err(error.found(0));
        }
        Ok(())
    }

    /// About the first field that belongs to another scope.
    #[cold]
    fn scope_conflict(&self) -> WireError {
        let connection = ("connection_credit", 4, u64::from(self.connection_credit));
        let session = ("session_credit", 6, u64::from(self.session_credit));
        let operation = ("operation_credit", 8, u64::from(self.operation_credit));
        let operation_id = ("operation_id", 12, self.operation_id);
        let foreign: &[(&'static str, usize, u64)] = match self.scope_kind {
            FlowScope::Connection => &[session, operation, operation_id],
            FlowScope::Session => &[connection, operation, operation_id],
            FlowScope::Operation => &[connection, session],
        };
        let set = foreign.iter().find(|(_, _, value)| *value != 0);
        let (what, at, found) = set.copied().unwrap_or_default();
        let error = WireError::new(Category::ScopeFieldConflict, what).at(at);
        error.found(found).limit(0)
    }

    /// Whether the header's session fits the scope: none for the connection's, one for the others.
    #[inline]
    pub(crate) fn check_session(&self, session_id: u32) -> Result<(), WireError> {
        let wants_none = self.scope_kind == FlowScope::Connection;
        if wants_none == (session_id == 0) {
            return Ok(());
        }
        let error = WireError::new(Category::SessionIdScopeConflict, "session_id").at(20);
        Err(error.found(u64::from(session_id)))
    }
}

fixed! {
    /// What to expect of a frame; the header says of which.
    ResultHintMetadata[16] {
        /// What the server is about to do.
        0 applied_budget_policy: HintPolicy,
        /// How congested it is.
        4 congestion_state: CongestionState,
        /// Why.
        8 reason: HintReason,
        /// When to try again, in ms.
        12 retry_after_ms: u32,
    }
}
