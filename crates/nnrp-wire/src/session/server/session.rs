//! A server's session. spec: nnrp-session 5

use std::time::Duration;

use super::close::Closing;
use super::migrate::OldPath;
use super::options::{ServerCounters, ServerEvent, ServerOptions, ServerState};
use super::receive::EarlyCancels;
use crate::message::{Envelope, Message};
use crate::metadata::{
    CacheInvalidateMetadata, FlowUpdateMetadata, Ignored, ServerHelloAckMetadata,
};
use crate::numbers::{
    BackpressureLevel, BudgetPolicy, FlowFlags, FlowReason, FlowScope, ObjectKinds, TransportId,
};
use crate::session::cache_store::{CacheLimits, CacheStore};
use crate::session::content::check_message;
use crate::session::credit::CreditWindow;
use crate::session::fault::{Failure, HandleError};
use crate::session::frame::{FrameCounts, FrameKey, FrameSlots, FrameState};
use crate::session::liveness::Liveness;
use crate::session::output::OutputBudget;
use crate::session::patch::{Patching, SessionSettings};
use crate::session::queue::Events;
use crate::session::transmit::{Outbox, PathId, Transmit};

/// A server's side of a session, without connections and without a clock. It is driven as clients are; see
/// [`crate::session`].
#[derive(Debug)]
pub struct ServerSession {
    pub(super) options: ServerOptions,
    pub(super) ack: ServerHelloAckMetadata,
    pub(super) state: ServerState,
    pub(super) path: PathId,
    pub(super) transport: TransportId,
    pub(super) old: Option<OldPath>,
    pub(super) resume_from: u64,
    /// The greatest frame that has come.
    pub(super) frame_id_max: Option<u32>,
    pub(super) frames: FrameSlots<ServerFrame>,
    pub(super) early_cancels: EarlyCancels,
    /// What the client takes of results.
    pub(super) results: CreditWindow,
    /// What the client may submit, by what was sent.
    pub(super) granted: CreditWindow,
    pub(super) cache: CacheStore,
    pub(super) patching: Patching,
    /// What was said last of the session's credit.
    pub(super) credit: FlowUpdateMetadata,
    pub(super) liveness: Liveness,
    pub(super) pings: u64,
    pub(super) closing: Option<Closing>,
    pub(super) failure: Option<Failure>,
    pub(super) outbox: Outbox,
    pub(super) events: Events<ServerEvent>,
    pub(super) counters: ServerCounters,
}

/// What a session knows of a frame.
#[derive(Debug)]
pub(super) struct ServerFrame {
    pub(super) envelope: Envelope,
    pub(super) allowed: BudgetPolicy,
    /// Whether it uses the client's credit; until its first result that is whole. spec: nnrp-session 3.4
    pub(super) uses_credit: bool,
}

impl ServerSession {
    pub(super) fn new(
        options: ServerOptions,
        ack: ServerHelloAckMetadata,
        (path, transport): (PathId, TransportId),
        outbox: Outbox,
        now: Duration,
    ) -> Self {
        let cache = CacheLimits {
            kinds: ObjectKinds::from_bits_retain(ack.cache_object_bitmap),
            ..options.capabilities.cache
        };
        Self {
            state: ServerState::Active,
            path,
            transport,
            old: None,
            resume_from: 0,
            frame_id_max: None,
            frames: FrameSlots::new(options.frames_max, options.finished_max),
            early_cancels: EarlyCancels::default(),
            results: CreditWindow::new(0, 0),
            granted: CreditWindow::new(ack.max_concurrent_frames, 0),
            cache: CacheStore::new(cache),
            patching: Patching::new(options.patch_rules.clone(), &ack),
            credit: initial_credit(&ack),
            liveness: Liveness::new(options.liveness, now),
            pings: 0,
            closing: None,
            failure: None,
            outbox,
            events: Events::default(),
            counters: ServerCounters::default(),
            ack,
            options,
        }
    }

    /// The next message to send, if there is one; `now` is when it goes out.
    pub fn poll_transmit(&mut self, now: Duration) -> Option<Transmit> {
        let transmit = self.outbox.pop()?;
        self.liveness.sent(now);
        if let Message::FlowUpdate(update) = &transmit.message {
            self.granted.update(update, now);
        }
        Some(transmit)
    }

    /// Whether [`Self::poll_transmit`] has something.
    #[must_use]
    pub fn has_transmit(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// What waits to be sent counts into a limit that other sessions have, too, from now on.
    pub fn share_output(&mut self, budget: &OutputBudget) {
        self.outbox.share(budget);
    }

    /// What has happened, if anything has.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// Tells the client how much may be in flight. Its epoch has to grow within a scope.
    ///
    /// # Errors
    /// [`HandleError::Over`] after the end; [`HandleError::Congested`] if too much waits to be sent; [`HandleError::Invalid`]
    /// if a field is set that its scope does not have.
    pub fn flow_update(&mut self, update: FlowUpdateMetadata) -> Result<(), HandleError> {
        self.check_sending()?;
        let envelope = crate::session::flow_envelope(&update, self.session_id());
        let message = Message::FlowUpdate(update);
        check_message(&message, &envelope).map_err(HandleError::Invalid)?;
        if update.scope_kind == FlowScope::Session {
            self.credit = update;
        }
        self.outbox.push(self.path, envelope, message);
        Ok(())
    }

    /// Forgets objects of the cache, and tells the client.
    ///
    /// # Errors
    /// As [`Self::flow_update`].
    pub fn invalidate(&mut self, invalidate: CacheInvalidateMetadata) -> Result<(), HandleError> {
        self.check_sending()?;
        self.cache.invalidate(&invalidate);
        let message = Message::CacheInvalidate(invalidate);
        self.outbox.push(self.path, self.envelope(), message);
        Ok(())
    }

    /// Packets wait, and are not taken in for reasons of the caller's own: that nothing was heard until now is not the other
    /// side's fault, and does not end the session.
    pub const fn excuse_silence(&mut self, now: Duration) {
        self.liveness.excused(now);
    }

    /// The session's id.
    #[must_use]
    pub const fn session_id(&self) -> u32 {
        self.ack.session_id
    }

    /// What was answered to the hello.
    #[must_use]
    pub const fn ack(&self) -> &ServerHelloAckMetadata {
        &self.ack
    }

    /// Where the session is.
    #[must_use]
    pub const fn state(&self) -> ServerState {
        self.state
    }

    /// The connection that it is on.
    #[must_use]
    pub const fn primary_path(&self) -> PathId {
        self.path
    }

    /// What that is.
    #[must_use]
    pub const fn transport(&self) -> TransportId {
        self.transport
    }

    /// Why the session has failed.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// How many frames there are.
    #[must_use]
    pub const fn frames(&self) -> FrameCounts {
        self.frames.counts()
    }

    /// Where a frame is that has not ended.
    #[must_use]
    pub fn frame_state(&self, key: FrameKey) -> Option<FrameState> {
        self.frames.state(key)
    }

    /// The objects that are kept.
    #[must_use]
    pub const fn cache(&self) -> &CacheStore {
        &self.cache
    }

    /// What holds, as far as it can be changed.
    #[must_use]
    pub const fn settings(&self) -> &SessionSettings {
        self.patching.settings()
    }

    /// What was refused or left out.
    #[must_use]
    pub const fn counters(&self) -> ServerCounters {
        self.counters
    }

    pub(super) fn envelope(&self) -> Envelope {
        Envelope::session(self.session_id())
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, ServerState::Closed | ServerState::Failed)
    }

    pub(super) fn is_congested(&self) -> bool {
        self.outbox.is_full(self.options.transmit_limits())
    }

    pub(super) fn check_sending(&self) -> Result<(), HandleError> {
        if self.is_over() {
            return Err(HandleError::Over);
        }
        if self.is_congested() {
            return Err(HandleError::Congested);
        }
        Ok(())
    }
}

/// As the hello's answer says; nothing where any number of frames is allowed.
fn initial_credit(ack: &ServerHelloAckMetadata) -> FlowUpdateMetadata {
    let credit = ack.max_concurrent_frames;
    let flags = if credit == 0 {
        FlowFlags::empty()
    } else {
        FlowFlags::CREDIT_VALID
    };
    FlowUpdateMetadata {
        scope_kind: FlowScope::Session,
        update_reason: FlowReason::Grant,
        backpressure_level: BackpressureLevel::None,
        reserved0: Ignored::default(),
        connection_credit: 0,
        session_credit: credit,
        operation_credit: 0,
        reserved1: Ignored::default(),
        operation_id: 0,
        retry_after_ms: 0,
        credit_epoch: 0,
        flags,
    }
}
