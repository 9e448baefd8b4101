//! Credit beside a model that looks at all updates again each time. spec: nnrp-session 4.1
//!
//! An input is how many frames there may be, then a list of operations.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use nnrp_wire::metadata::FlowUpdateMetadata;
use nnrp_wire::session::{CreditUpdate, CreditWindow, NoCredit};
use nnrp_wire::{BackpressureLevel, FlowFlags, FlowReason, FlowScope};

use crate::nnrp_operations::Operations;

/// Updates of so many operations are kept; more than these send some.
const OPERATIONS_MAX: usize = 3;
/// Near to one another, and around where epochs wrap and where older becomes newer.
const EPOCHS: [u32; 8] = [
    0,
    1,
    2,
    u32::MAX - 1,
    u32::MAX,
    (1 << 31) - 1,
    1 << 31,
    (1 << 31) + 1,
];

/// A window says what the rules say of the updates that came; what it lets through is within each scope's ceiling.
pub fn nnrp_credit(data: &[u8]) {
    let mut operations = Operations::new(data);
    let max_concurrent_frames = u16::from(operations.byte() % 5);
    let mut credit = Credit::new(max_concurrent_frames);
    while !operations.is_empty() {
        credit.apply(&mut operations);
        credit.check();
    }
    for operation_id in std::mem::take(&mut credit.taken) {
        credit.window.give_back(operation_id);
    }
    assert_eq!(credit.window.in_flight(), 0);
}

struct Credit {
    window: CreditWindow,
    connection: Scope,
    session: Scope,
    operations: BTreeMap<u64, Scope>,
    /// The operation of each frame in flight.
    taken: Vec<u64>,
    now: Duration,
}

impl Credit {
    fn new(max_concurrent_frames: u16) -> Self {
        Self {
            window: CreditWindow::new(max_concurrent_frames, OPERATIONS_MAX),
            connection: Scope::default(),
            session: Scope {
                initial: (max_concurrent_frames > 0).then_some(max_concurrent_frames.into()),
                ..Scope::default()
            },
            operations: BTreeMap::new(),
            taken: Vec::new(),
            now: Duration::ZERO,
        }
    }

    fn apply(&mut self, operations: &mut Operations<'_>) {
        match operations.byte() % 8 {
            0..=2 => self.update(&operations.flow_update()),
            3 | 4 => self.submit(operations.operation_id(), operations.byte() & 1 != 0),
            // A peer that does not keep to it.
            5 => self.take(operations.operation_id()),
            6 if !self.taken.is_empty() => {
                let place = usize::from(operations.byte()) % self.taken.len();
                self.window.give_back(self.taken.remove(place));
            }
            _ => self.pass(Duration::from_millis(u64::from(operations.byte()))),
        }
    }

    fn update(&mut self, update: &FlowUpdateMetadata) {
        assert!(update.encode().is_ok(), "no update that could come");
        let expected = self.expected_update(update);
        assert_eq!(self.window.update(update, self.now), expected, "{update:?}");
    }

    fn expected_update(&mut self, update: &FlowUpdateMetadata) -> CreditUpdate {
        let now = self.now;
        let scope = match update.scope_kind {
            FlowScope::Connection => &mut self.connection,
            FlowScope::Session => &mut self.session,
            FlowScope::Operation => {
                let id = update.operation_id;
                if !self.operations.contains_key(&id) && self.operations.len() >= OPERATIONS_MAX {
                    let Some(idle) = self.idle_operation() else {
                        return CreditUpdate::TooManyOperations;
                    };
                    self.operations.remove(&idle);
                }
                self.operations.entry(id).or_default()
            }
        };
        let last = scope.updates.last();
        if last.is_some_and(|last| is_older(update.credit_epoch, last.credit_epoch)) {
            return CreditUpdate::OldEpoch;
        }
        scope.updates.push(*update);
        if update.flags.contains(FlowFlags::RETRY_AFTER_VALID) {
            let wait = Duration::from_millis(update.retry_after_ms.into());
            scope.retry_at = (!wait.is_zero()).then(|| now + wait);
        }
        CreditUpdate::Applied
    }

    /// The first operation with updates that has nothing in flight, and lets something through.
    fn idle_operation(&self) -> Option<u64> {
        let is_idle = |(id, scope): &(&u64, &Scope)| {
            self.in_flight_of(**id) == 0
                && scope.retry_at.is_none()
                && scope.refusals(0, false, self.now).is_empty()
        };
        self.operations.iter().find(is_idle).map(|(id, _)| *id)
    }

    fn submit(&mut self, operation_id: u64, may_drop: bool) {
        if self.window.check(operation_id, may_drop, self.now).is_ok() {
            self.take(operation_id);
            let ceilings = self.scopes(operation_id);
            for (_, scope, in_flight) in ceilings {
                let ceiling = scope.ceiling();
                assert!(ceiling.is_none_or(|ceiling| in_flight <= ceiling));
            }
        }
    }

    fn take(&mut self, operation_id: u64) {
        self.window.take(operation_id);
        self.taken.push(operation_id);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        let fixed = [&mut self.connection, &mut self.session];
        let mut was_any = false;
        for scope in fixed.into_iter().chain(self.operations.values_mut()) {
            was_any |= scope.retry_at.take_if(|at| *at <= now).is_some();
        }
        assert_eq!(self.window.pass(now), was_any);
        assert!(self.window.next_retry().is_none_or(|next| next > now));
    }

    /// The scopes that a frame of an operation belongs to, and what is in flight there.
    fn scopes(&self, operation_id: u64) -> Vec<(FlowScope, &Scope, u32)> {
        let all = self.window.in_flight();
        let operation = self.operations.get(&operation_id).map(|scope| {
            let in_flight = self.in_flight_of(operation_id);
            (FlowScope::Operation, scope, in_flight)
        });
        let fixed = [
            (FlowScope::Connection, &self.connection, all),
            (FlowScope::Session, &self.session, all),
        ];
        fixed.into_iter().chain(operation).collect()
    }

    fn in_flight_of(&self, operation_id: u64) -> u32 {
        let of_it = self.taken.iter().filter(|id| **id == operation_id);
        u32::try_from(of_it.count()).unwrap_or(u32::MAX)
    }

    fn check(&self) {
        let in_flight = self.window.in_flight();
        assert_eq!(in_flight as usize, self.taken.len());
        for operation_id in 0..=OPERATION_ID_MAX {
            for may_drop in [false, true] {
                self.check_answer(operation_id, may_drop);
            }
        }
        let fixed = [&self.connection, &self.session];
        let ceilings = fixed.iter().filter_map(|scope| scope.ceiling());
        let free = ceilings.map(|ceiling| ceiling.saturating_sub(in_flight));
        assert_eq!(self.window.available(), free.min());
        let is_congested = fixed.iter().any(|scope| scope.is_congested());
        assert_eq!(self.window.is_congested(), is_congested);
        let scopes = fixed.into_iter().chain(self.operations.values());
        let next = scopes.filter_map(|scope| scope.retry_at).min();
        assert_eq!(self.window.next_retry(), next);
        let epoch = |scope: &Scope| scope.updates.last().map(|update| update.credit_epoch);
        let window = &self.window;
        let of_connection = window.epoch(FlowScope::Connection);
        assert_eq!(of_connection, epoch(&self.connection));
        assert_eq!(window.epoch(FlowScope::Session), epoch(&self.session));
    }

    /// A refusal is one of those that the rules have, and there is none without.
    fn check_answer(&self, operation_id: u64, may_drop: bool) {
        let answer = self.window.check(operation_id, may_drop, self.now);
        let scopes = self.scopes(operation_id);
        let refusals: Vec<_> = scopes
            .into_iter()
            .flat_map(|(kind, scope, in_flight)| {
                let refusals = scope.refusals(in_flight, may_drop, self.now);
                refusals.into_iter().map(move |refusal| refusal.of(kind))
            })
            .collect();
        match answer {
            Ok(()) => assert!(refusals.is_empty(), "{refusals:?} of {operation_id}"),
            Err(refusal) => assert!(refusals.contains(&refusal), "{refusal} of {refusals:?}"),
        }
    }
}

/// All updates that were applied, oldest first.
#[derive(Default)]
struct Scope {
    /// Without an update.
    initial: Option<u32>,
    updates: Vec<FlowUpdateMetadata>,
    retry_at: Option<Duration>,
}

/// [`NoCredit`] without its scope.
enum Refusal {
    Exhausted { ceiling: u32, in_flight: u32 },
    Paused,
    Draining,
    BackgroundOnly,
    RetryAfter { at: Duration },
}

impl Refusal {
    const fn of(self, scope: FlowScope) -> NoCredit {
        match self {
            Self::Exhausted { ceiling, in_flight } => NoCredit::Exhausted {
                scope,
                ceiling,
                in_flight,
            },
            Self::Paused => NoCredit::Paused { scope },
            Self::Draining => NoCredit::Draining { scope },
            Self::BackgroundOnly => NoCredit::BackgroundOnly { scope },
            Self::RetryAfter { at } => NoCredit::RetryAfter { at },
        }
    }
}

impl Scope {
    fn refusals(&self, in_flight: u32, may_drop: bool, now: Duration) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        if let Some(ceiling) = self.ceiling().filter(|ceiling| in_flight >= *ceiling) {
            refusals.push(Refusal::Exhausted { ceiling, in_flight });
        }
        if self.is_paused() {
            refusals.push(Refusal::Paused);
        }
        if self.is_draining() {
            refusals.push(Refusal::Draining);
        }
        let last = self.updates.last();
        if !may_drop && last.is_some_and(|last| last.flags.contains(FlowFlags::BACKGROUND_ONLY)) {
            refusals.push(Refusal::BackgroundOnly);
        }
        if let Some(at) = self.retry_at.filter(|at| *at > now) {
            refusals.push(Refusal::RetryAfter { at });
        }
        refusals
    }

    /// Of the last update that says one.
    fn ceiling(&self) -> Option<u32> {
        let valid = |update: &&FlowUpdateMetadata| update.flags.contains(FlowFlags::CREDIT_VALID);
        let last = self.updates.iter().rfind(valid);
        last.map(|update| u32::from(credit_of(update)))
            .or(self.initial)
    }

    /// Whether the last update that stops or lifts stops.
    fn is_paused(&self) -> bool {
        let stops = |update: &&FlowUpdateMetadata| {
            update.update_reason == FlowReason::Pause
                || update.backpressure_level == BackpressureLevel::Hard
        };
        let lifts = |update: &&FlowUpdateMetadata| {
            matches!(update.update_reason, FlowReason::Resume | FlowReason::Grant)
        };
        let mut updates = self.updates.iter().rev();
        let last = updates.find(|update| stops(update) || lifts(update));
        last.is_some_and(|update| stops(&update))
    }

    /// Whether one asked for it, and none behind it resumed or has a newer epoch.
    fn is_draining(&self) -> bool {
        let drains =
            |update: &FlowUpdateMetadata| update.flags.contains(FlowFlags::DRAIN_IN_FLIGHT_ONLY);
        let Some(place) = self.updates.iter().rposition(drains) else {
            return false;
        };
        let epoch = self.updates[place].credit_epoch;
        let mut behind = self.updates[place + 1..].iter();
        !behind.any(|update| {
            update.update_reason == FlowReason::Resume || update.credit_epoch != epoch
        })
    }

    fn is_congested(&self) -> bool {
        self.updates.last().is_some_and(|last| {
            last.update_reason == FlowReason::Congestion
                || last.backpressure_level != BackpressureLevel::None
        })
    }
}

const fn credit_of(update: &FlowUpdateMetadata) -> u16 {
    match update.scope_kind {
        FlowScope::Connection => update.connection_credit,
        FlowScope::Session => update.session_credit,
        FlowScope::Operation => update.operation_credit,
    }
}

/// By half of all epochs or more, which counts as backwards.
fn is_older(epoch: u32, last: u32) -> bool {
    let forward = (u64::from(epoch) + (1 << 32) - u64::from(last)) % (1 << 32);
    forward >= 1 << 31
}

const OPERATION_ID_MAX: u64 = 5;

impl Operations<'_> {
    /// 0 is none.
    fn operation_id(&mut self) -> u64 {
        u64::from(self.byte()) % (OPERATION_ID_MAX + 1)
    }

    /// Any update that is well-formed.
    fn flow_update(&mut self) -> FlowUpdateMetadata {
        let reasons = FlowReason::ALL;
        let reason = reasons[usize::from(self.byte()) % reasons.len()];
        let levels = BackpressureLevel::ALL;
        let level = levels[usize::from(self.byte()) % levels.len()];
        let which = self.byte();
        let update = match NonZeroU64::new(u64::from(which) % (OPERATION_ID_MAX + 3)) {
            None => FlowUpdateMetadata::connection(reason),
            Some(id) if id.get() > OPERATION_ID_MAX => FlowUpdateMetadata::session(reason),
            Some(id) => FlowUpdateMetadata::operation(id, reason),
        };
        let credit = u16::from(self.byte() % 4);
        let epoch = EPOCHS[usize::from(self.byte()) % EPOCHS.len()];
        let update = update
            .with_backpressure(level)
            .with_credit(credit, epoch)
            .with_retry_after_ms(self.byte().into());
        let flags = FlowFlags::from_bits_truncate(self.byte().into());
        FlowUpdateMetadata {
            flags,
            retry_after_ms: if flags.contains(FlowFlags::RETRY_AFTER_VALID) {
                update.retry_after_ms
            } else {
                0
            },
            ..update
        }
    }
}
