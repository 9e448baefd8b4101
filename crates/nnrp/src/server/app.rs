//! What a session does with what happens. All of this is called with the session locked.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::body::ObjectReference;
use nnrp_wire::session::{Failure, FrameKey, FrameOutcome, ServerEvent, ServerSession};
use nnrp_wire::{Envelope, FrameSubmit, LossTolerance, SubmitBody};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::counters::Tallies;
use super::drops::DropReason;
use crate::budget::{FrameBudget, Outlook, Verdict};
use crate::driver::{App, Step};

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEnd {
    /// In good order; with what the client said, if it said something.
    Closed(Bytes),
    /// Otherwise.
    Failed(Failure),
}

/// A frame that has come and nobody has taken.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) key: FrameKey,
    pub(super) generation: u64,
    pub(super) envelope: Envelope,
    pub(super) submit: Box<FrameSubmit>,
    pub(super) objects: Vec<(ObjectReference, Bytes)>,
    pub(super) received_at: Duration,
    pub(super) budget: FrameBudget,
    bytes: u64,
}

/// A frame that has not ended. A client may use its key again afterwards, so that answers name the generation.
#[derive(Debug)]
struct OpenFrame {
    generation: u64,
    /// If somebody wants to know of its end.
    over: Option<CancellationToken>,
}

/// Bytes of input that wait in all of a server's sessions.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldBytes(Arc<AtomicU64>);

impl HeldBytes {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn sub(&self, bytes: u64) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct InboxLimits {
    pub(super) session_bytes_max: u64,
    pub(super) server_bytes_max: u64,
}

/// How frames are treated.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameRules {
    pub(super) tolerance: LossTolerance,
    pub(super) drops_early: bool,
    pub(super) explains_drops: bool,
    pub(super) enforces_budget: bool,
}

/// What a session knows beside its machine.
#[derive(Debug)]
pub(super) struct ServerApp {
    inbox: VecDeque<Arrival>,
    inbox_bytes: u64,
    limits: InboxLimits,
    held: HeldBytes,
    open: HashMap<FrameKey, OpenFrame>,
    generation: u64,
    arrivals: Arc<Notify>,
    rules: FrameRules,
    close_reason: Bytes,
    pub(super) tallies: Tallies,
    pub(super) round_trip: Option<Duration>,
    pub(super) credit: super::credit::Credit,
    pub(super) end: Option<SessionEnd>,
}

impl ServerApp {
    pub(super) fn new(
        limits: InboxLimits,
        held: HeldBytes,
        rules: FrameRules,
        arrivals: Arc<Notify>,
    ) -> Self {
        Self {
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            limits,
            held,
            open: HashMap::new(),
            generation: 0,
            arrivals,
            rules,
            close_reason: Bytes::new(),
            tallies: Tallies::default(),
            round_trip: None,
            credit: super::credit::Credit::default(),
            end: None,
        }
    }

    pub(super) const fn rules(&self) -> &FrameRules {
        &self.rules
    }

    fn arrive(&mut self, mut arrival: Arrival) {
        self.generation += 1;
        arrival.generation = self.generation;
        let open = OpenFrame {
            generation: self.generation,
            over: None,
        };
        self.open.insert(arrival.key, open);
        self.inbox_bytes += arrival.bytes;
        self.held.add(arrival.bytes);
        self.inbox.push_back(arrival);
        self.arrivals.notify_one();
    }

    /// The next frame that is to be answered.
    pub(super) fn take(&mut self, machine: &mut ServerSession, now: Duration) -> Option<Arrival> {
        while let Some(arrival) = self.inbox.pop_front() {
            self.gave_out(&arrival);
            if !self.is_late(&arrival, now) {
                if !self.inbox.is_empty() {
                    // Whoever else waits was told of one arrival only.
                    self.arrivals.notify_one();
                }
                return Some(arrival);
            }
            self.drop_frame(
                machine,
                arrival.key,
                arrival.generation,
                DropReason::BudgetExceeded,
                now,
            );
        }
        None
    }

    /// Whether it is not worth beginning with a frame.
    fn is_late(&self, arrival: &Arrival, now: Duration) -> bool {
        let outlook = Outlook {
            spent: now.saturating_sub(arrival.received_at),
            needed: None,
            round_trip: self.round_trip,
        };
        match arrival.budget.verdict(&outlook) {
            Verdict::Go => false,
            Verdict::MayDrop => self.rules.drops_early,
            Verdict::Over => self.rules.enforces_budget,
        }
    }

    fn gave_out(&mut self, arrival: &Arrival) {
        self.inbox_bytes = self.inbox_bytes.saturating_sub(arrival.bytes);
        self.held.sub(arrival.bytes);
    }

    /// Whether a frame is the one that was given out, and has not ended.
    pub(super) fn is_open(&self, key: FrameKey, generation: u64) -> bool {
        let open = self.open.get(&key);
        open.is_some_and(|open| open.generation == generation)
    }

    /// Cancelled when a frame ends by itself; `None` if it has ended.
    pub(super) fn over_token(
        &mut self,
        key: FrameKey,
        generation: u64,
    ) -> Option<CancellationToken> {
        let open = self.open.get_mut(&key)?;
        if open.generation != generation {
            return None;
        }
        Some(open.over.get_or_insert_default().clone())
    }

    /// A frame has been answered for good.
    pub(super) fn answered(&mut self, key: FrameKey) {
        self.open.remove(&key);
    }

    /// Ends a frame without a result. Says whether it had not ended.
    pub(super) fn drop_frame(
        &mut self,
        machine: &mut ServerSession,
        key: FrameKey,
        generation: u64,
        reason: DropReason,
        now: Duration,
    ) -> bool {
        if !self.is_open(key, generation) {
            return false;
        }
        if self.rules.explains_drops
            && let Some(hint) = reason.hint()
        {
            // Too much waits to be sent: the drop itself matters more.
            let _ = machine.hint(key, hint);
        }
        self.answered(key);
        let is_dropped = machine.drop_frame(key, now).is_ok();
        if is_dropped {
            self.tallies.drop(reason);
        }
        is_dropped
    }

    /// Drops what nobody will take.
    pub(super) fn drop_inbox(
        &mut self,
        machine: &mut ServerSession,
        reason: DropReason,
        now: Duration,
    ) {
        while let Some(arrival) = self.inbox.pop_front() {
            self.gave_out(&arrival);
            self.drop_frame(machine, arrival.key, arrival.generation, reason, now);
        }
    }

    fn frame_over(&mut self, key: FrameKey, outcome: FrameOutcome) {
        if outcome == FrameOutcome::Dropped {
            self.tallies.drop(DropReason::Closing);
        }
        if let Some(token) = self.open.remove(&key).and_then(|open| open.over) {
            token.cancel();
        }
        let place = self.inbox.iter().position(|arrival| arrival.key == key);
        if let Some(arrival) = place.and_then(|place| self.inbox.remove(place)) {
            self.gave_out(&arrival);
        }
    }

    fn ended(&mut self, end: SessionEnd) -> Step {
        self.end = Some(end);
        self.arrivals.notify_waiters();
        Step::End
    }
}

impl Drop for ServerApp {
    fn drop(&mut self) {
        self.held.sub(self.inbox_bytes);
    }
}

impl App for ServerApp {
    type Machine = ServerSession;

    fn handle(&mut self, event: ServerEvent, _: &mut ServerSession, now: Duration) -> Step {
        match event {
            ServerEvent::FrameSubmitted {
                key,
                envelope,
                submit,
                objects,
            } => self.arrive(Arrival {
                key,
                generation: 0,
                envelope,
                bytes: held_bytes(&submit, &objects),
                budget: FrameBudget::of(&submit.metadata, self.rules.tolerance),
                submit,
                objects,
                received_at: now,
            }),
            ServerEvent::FrameOver { key, outcome } => self.frame_over(key, outcome),
            ServerEvent::FrameRefused { key, fault } => {
                tracing::debug!(frame_id = key.frame_id, ?fault, "a submit is refused");
                self.tallies.refuse(fault);
            }
            ServerEvent::RoundTrip(time) => self.round_trip = Some(time),
            ServerEvent::Reported(error) => {
                self.tallies.reported += 1;
                tracing::debug!(%error, "the client reports an error");
            }
            ServerEvent::Undecodable {
                message_type,
                error,
            } => tracing::debug!(message = message_type.name(), %error, "a message cannot be read"),
            ServerEvent::Migrated { .. } => self.tallies.migrations += 1,
            ServerEvent::ClosePath(path) => return Step::ClosePath(path),
            ServerEvent::CloseReceived(reason) => self.close_reason = reason,
            ServerEvent::Closed => {
                let reason = std::mem::take(&mut self.close_reason);
                return self.ended(SessionEnd::Closed(reason));
            }
            ServerEvent::Failed(failure) => return self.ended(SessionEnd::Failed(*failure)),
            ServerEvent::Patched(_)
            | ServerEvent::CacheInvalidated(_)
            | ServerEvent::Flow(_)
            | _ => {}
        }
        Step::Go
    }

    fn is_full(&self) -> bool {
        // What waits here will be taken, so that the last part of the condition ends without another session's doing.
        self.inbox_bytes >= self.limits.session_bytes_max
            || (!self.inbox.is_empty() && self.held.get() >= self.limits.server_bytes_max)
    }
}

/// What a frame holds beside its input: none is free.
const FRAME_BYTES: u64 = 512;

/// What an object or a section holds beside its bytes.
const PART_BYTES: u64 = 128;

/// What a frame's input holds of the memory, roughly.
fn held_bytes(submit: &FrameSubmit, objects: &[(ObjectReference, Bytes)]) -> u64 {
    let objects: u64 = objects
        .iter()
        .map(|(_, object)| object.len() as u64 + PART_BYTES)
        .sum();
    let body = match &submit.body {
        SubmitBody::Flat(flat) => {
            let sections = flat.sections.iter();
            let payloads: u64 = sections
                .map(|section| u64::from(section.descriptor().payload_bytes) + PART_BYTES)
                .sum();
            payloads + flat.camera.len() as u64
        }
        SubmitBody::Composed(composed) => {
            let prelude = composed.body().prelude();
            prelude.map_or(0, |prelude| prelude.body_bytes())
        }
    };
    FRAME_BYTES + objects + body
}
