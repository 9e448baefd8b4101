//! How much may be in flight. spec: nnrp-session 4.1

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use crate::metadata::FlowUpdateMetadata;
use crate::numbers::{BackpressureLevel, FlowFlags, FlowReason, FlowScope};

/// Why nothing can be submitted now. It is worth waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoCredit {
    /// As much is in flight as may be.
    #[error("{in_flight} frames are in flight and {ceiling} may be: wait for a result")]
    Exhausted {
        /// Whose credit it is.
        scope: FlowScope,
        /// How many may be in flight.
        ceiling: u32,
        /// How many are.
        in_flight: u32,
    },
    /// The other side has said to stop.
    #[error("the other side has paused: wait for its next update")]
    Paused {
        /// What is paused.
        scope: FlowScope,
    },
    /// The other side wants what is in flight to end first.
    #[error("the other side lets nothing new begin: wait for its next update")]
    Draining {
        /// What drains.
        scope: FlowScope,
    },
    /// The other side takes only what it may drop.
    #[error("the other side takes only frames that may be dropped")]
    BackgroundOnly {
        /// Where that holds.
        scope: FlowScope,
    },
    /// The other side wants nothing before this time.
    #[error("the other side wants nothing before {at:?}")]
    RetryAfter {
        /// On the caller's clock.
        at: Duration,
    },
}

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CreditUpdate {
    /// It holds.
    Applied,
    /// It is older than the last one of its scope.
    OldEpoch,
    /// There are updates of too many operations, and each has frames in flight or is held up by its update.
    TooManyOperations,
}

/// What one side allows the other, and how much of that is used.
///
/// Credit is a ceiling of what may be in flight, in place of the one before; not an increment.
#[derive(Debug, Clone)]
pub struct CreditWindow {
    connection: Scope,
    session: Scope,
    operations: BTreeMap<u64, Scope>,
    operations_max: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Scope {
    ceiling: Option<u32>,
    in_flight: u32,
    epoch: Option<u32>,
    is_paused: bool,
    is_draining: bool,
    is_background_only: bool,
    is_congested: bool,
    retry_at: Option<Duration>,
}

impl CreditWindow {
    /// A window of so many frames, 0 for any number; updates of at most `operations_max` operations are kept.
    #[must_use]
    pub fn new(max_concurrent_frames: u16, operations_max: usize) -> Self {
        let ceiling = (max_concurrent_frames > 0).then_some(u32::from(max_concurrent_frames));
        Self {
            connection: Scope::default(),
            session: Scope {
                ceiling,
                ..Scope::default()
            },
            operations: BTreeMap::new(),
            operations_max,
        }
    }

    /// Takes an update.
    pub fn update(&mut self, update: &FlowUpdateMetadata, now: Duration) -> CreditUpdate {
        let (scope, credit) = match update.scope_kind {
            FlowScope::Connection => (Some(&mut self.connection), update.connection_credit),
            FlowScope::Session => (Some(&mut self.session), update.session_credit),
            FlowScope::Operation => {
                let scope = self.operation(update.operation_id);
                (scope, update.operation_credit)
            }
        };
        scope.map_or(CreditUpdate::TooManyOperations, |scope| {
            scope.update(update, credit, now)
        })
    }

    /// Whether a frame can be submitted now: by every scope that it belongs to. Operation 0 is none.
    ///
    /// # Errors
    /// If not, which rule says so.
    pub fn check(&self, operation_id: u64, may_drop: bool, now: Duration) -> Result<(), NoCredit> {
        self.connection
            .check(FlowScope::Connection, may_drop, now)?;
        self.session.check(FlowScope::Session, may_drop, now)?;
        match self.operations.get(&operation_id) {
            Some(operation) => operation.check(FlowScope::Operation, may_drop, now),
            None => Ok(()),
        }
    }

    /// A frame goes out.
    pub fn take(&mut self, operation_id: u64) {
        self.connection.in_flight += 1;
        self.session.in_flight += 1;
        if operation_id != 0 {
            self.operations.entry(operation_id).or_default().in_flight += 1;
        }
    }

    /// A frame has ended.
    pub fn give_back(&mut self, operation_id: u64) {
        let less = |scope: &mut Scope| scope.in_flight = scope.in_flight.saturating_sub(1);
        less(&mut self.connection);
        less(&mut self.session);
        let Some(operation) = self.operations.get_mut(&operation_id) else {
            return;
        };
        less(operation);
        if operation.in_flight == 0 && operation.epoch.is_none() {
            self.operations.remove(&operation_id);
        }
    }

    /// Frames in flight.
    #[must_use]
    pub const fn in_flight(&self) -> u32 {
        self.session.in_flight
    }

    /// The least of the ceilings of connection and session; `None` is any number.
    pub(super) fn ceiling(&self) -> Option<u32> {
        let ceilings = [self.connection.ceiling, self.session.ceiling];
        ceilings.into_iter().flatten().min()
    }

    /// How many more frames could be submitted by the ceilings of connection and session; `None` is any number.
    #[must_use]
    pub fn available(&self) -> Option<u32> {
        let free = |scope: &Scope| Some(scope.ceiling?.saturating_sub(scope.in_flight));
        match (free(&self.connection), free(&self.session)) {
            (Some(connection), Some(session)) => Some(connection.min(session)),
            (one, other) => one.or(other),
        }
    }

    /// Whether the other side would rather have less: smaller frames, or only those that matter.
    #[must_use]
    pub const fn is_congested(&self) -> bool {
        self.connection.is_congested || self.session.is_congested
    }

    /// The epoch of the last update that holds for the connection or the session.
    #[must_use]
    pub const fn epoch(&self, scope: FlowScope) -> Option<u32> {
        match scope {
            FlowScope::Connection => self.connection.epoch,
            FlowScope::Session => self.session.epoch,
            FlowScope::Operation => None,
        }
    }

    /// When a time to wait is over, the next of them.
    #[must_use]
    pub fn next_retry(&self) -> Option<Duration> {
        let fixed = [self.connection.retry_at, self.session.retry_at];
        let operations = self.operations.values().map(|scope| scope.retry_at);
        fixed.into_iter().chain(operations).flatten().min()
    }

    /// Forgets times to wait that are over. Says whether there were any.
    pub fn pass(&mut self, now: Duration) -> bool {
        let fixed = [&mut self.connection, &mut self.session];
        let all = fixed.into_iter().chain(self.operations.values_mut());
        let over = all.map(|scope| scope.retry_at.take_if(|at| *at <= now));
        over.flatten().count() > 0
    }

    /// The scope of an operation. If there are too many, one gives way that is idle and holds nothing up; its epoch is
    /// forgotten, so that an old update of it would hold again.
    fn operation(&mut self, operation_id: u64) -> Option<&mut Scope> {
        let with_updates = self
            .operations
            .values()
            .filter(|scope| scope.epoch.is_some());
        let is_new = self
            .operations
            .get(&operation_id)
            .is_none_or(|scope| scope.epoch.is_none());
        if is_new && with_updates.count() >= self.operations_max {
            let mut all = self.operations.iter();
            let is_idle = |(_, scope): &(&u64, &Scope)| scope.in_flight == 0 && !scope.is_closed();
            let idle = all.find(is_idle).map(|(id, _)| *id)?;
            self.operations.remove(&idle);
        }
        Some(self.operations.entry(operation_id).or_default())
    }
}

impl Scope {
    /// Whether nothing may be submitted, or not everything, even with nothing in flight.
    fn is_closed(&self) -> bool {
        let is_held = self.is_paused || self.is_draining || self.is_background_only;
        is_held || self.retry_at.is_some() || self.ceiling == Some(0)
    }

    fn update(&mut self, update: &FlowUpdateMetadata, credit: u16, now: Duration) -> CreditUpdate {
        let is_newer = match self.epoch {
            None => true,
            Some(last) => match is_older(update.credit_epoch, last) {
                true => return CreditUpdate::OldEpoch,
                false => update.credit_epoch != last,
            },
        };
        self.epoch = Some(update.credit_epoch);
        if update.flags.contains(FlowFlags::CREDIT_VALID) {
            self.ceiling = Some(u32::from(credit));
        }
        self.apply_pause(update, is_newer);
        self.is_background_only = update.flags.contains(FlowFlags::BACKGROUND_ONLY);
        self.is_congested = update.update_reason == FlowReason::Congestion
            || update.backpressure_level != BackpressureLevel::None;
        if update.flags.contains(FlowFlags::RETRY_AFTER_VALID) {
            let wait = Duration::from_millis(u64::from(update.retry_after_ms));
            self.retry_at = (!wait.is_zero()).then(|| now.saturating_add(wait));
        }
        CreditUpdate::Applied
    }

    fn apply_pause(&mut self, update: &FlowUpdateMetadata, is_newer: bool) {
        let level = update.backpressure_level;
        let lifts = matches!(update.update_reason, FlowReason::Resume | FlowReason::Grant);
        if update.update_reason == FlowReason::Pause || level == BackpressureLevel::Hard {
            self.is_paused = true;
        } else if lifts {
            self.is_paused = false;
        }
        if update.flags.contains(FlowFlags::DRAIN_IN_FLIGHT_ONLY) {
            self.is_draining = true;
        } else if update.update_reason == FlowReason::Resume || is_newer {
            self.is_draining = false;
        }
    }

    fn check(&self, scope: FlowScope, may_drop: bool, now: Duration) -> Result<(), NoCredit> {
        if self.is_paused {
            return Err(NoCredit::Paused { scope });
        }
        if self.is_draining {
            return Err(NoCredit::Draining { scope });
        }
        if let Some(at) = self.retry_at.filter(|at| *at > now) {
            return Err(NoCredit::RetryAfter { at });
        }
        if self.is_background_only && !may_drop {
            return Err(NoCredit::BackgroundOnly { scope });
        }
        match self.ceiling {
            Some(ceiling) if self.in_flight >= ceiling => Err(NoCredit::Exhausted {
                scope,
                ceiling,
                in_flight: self.in_flight,
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Epochs wrap around.
const fn is_older(epoch: u32, last: u32) -> bool {
    epoch.wrapping_sub(last) > u32::MAX / 2
}
