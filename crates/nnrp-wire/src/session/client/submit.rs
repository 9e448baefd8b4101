//! Frames of a client: submitted, cancelled, let go. spec: nnrp-session 3.1, 4.1, 4.5

use std::time::Duration;

use super::path::behind;
use super::{
    ClientEvent, ClientSession, ClientState, FrameError, Submit, SubmitRefusal, SubmitRefused,
};
use crate::body::ObjectReference;
use crate::message::{Envelope, FrameSubmit, Message, SubmitBody};
use crate::session::content::{check_submit, held_by_submit};
use crate::session::frame::{FrameKey, FrameOutcome, FrameState};
use crate::session::transmit::PathId;

/// What a session knows of a frame.
#[derive(Debug)]
pub(super) struct ClientFrame {
    pub(super) envelope: Envelope,
    pub(super) operation_id: u64,
    pub(super) may_drop: bool,
    pub(super) is_stream: bool,
    pub(super) has_credit: bool,
    /// The caller's.
    pub(super) deadline: Option<Duration>,
    /// Whether it was sent by a connection that the session has left, and its result may be lost with that.
    pub(super) is_left_behind: bool,
    /// Until when its result is waited for nevertheless, once that connection has ended.
    pub(super) stranded_until: Option<Duration>,
    /// Until it is sent, or as long as it may have to be sent again.
    pub(super) submit: Option<Box<FrameSubmit>>,
    /// What that holds, as it is counted: while it waits for credit, and while it is kept.
    pending_bytes: u64,
    kept_bytes: u64,
    pub(super) references: Vec<ObjectReference>,
}

impl ClientSession {
    /// Submits a frame, or lets it wait for credit if it may.
    ///
    /// # Errors
    /// With the frame, if it cannot be submitted; nothing is sent then. After [`SubmitRefusal::NoCredit`],
    /// [`ClientEvent::CreditAvailable`] comes when it is worth another try.
    pub fn submit(&mut self, submit: Submit, now: Duration) -> Result<FrameState, SubmitRefused> {
        match self.check_submit(&submit, now) {
            Ok(state) => {
                self.accept(submit, state);
                Ok(state)
            }
            Err(why) => Err(SubmitRefused {
                why,
                submit: Box::new(submit),
            }),
        }
    }

    /// Nobody wants this frame any more: it is done as [`FrameOutcome::Cancelled`]. If it was sent, the server is told, and
    /// it uses credit until that has answered. This is what dropping a frame's consumer does.
    ///
    /// Says whether there was such a frame.
    pub fn cancel(&mut self, key: FrameKey, now: Duration) -> bool {
        let was_there = self.give_up(key, FrameOutcome::Cancelled, now);
        self.advance_closing(now);
        was_there
    }

    /// A frame of a stream is done with what has come of it; the server is told nothing. Says whether there was one, and
    /// whether it had sent anything.
    pub fn release(&mut self, key: FrameKey, now: Duration) -> bool {
        let is_partial = self.frames.state(key) == Some(FrameState::Partial);
        if is_partial {
            self.finish(key, FrameOutcome::Complete, None, now);
            self.advance_closing(now);
        }
        is_partial
    }

    fn check_submit(
        &mut self,
        submit: &Submit,
        now: Duration,
    ) -> Result<FrameState, SubmitRefusal> {
        let established = self.established.as_ref().ok_or(SubmitRefusal::NotActive)?;
        if self.state != ClientState::Active {
            return Err(SubmitRefusal::NotActive);
        }
        if self.is_congested() {
            return Err(SubmitRefusal::Congested);
        }
        let kinds = submit.message.metadata.payload_kind_bitmap - established.payload_kinds;
        if !kinds.is_empty() {
            return Err(SubmitRefusal::UnsupportedKinds { kinds });
        }
        let bytes = check_submit(&submit.message).map_err(SubmitRefusal::Invalid)?;
        let bytes_max = established.ack.max_body_bytes;
        if bytes_max != 0 && bytes > u64::from(bytes_max) {
            return Err(SubmitRefusal::TooLarge { bytes, bytes_max });
        }
        let mut references = references(&submit.message).iter();
        let unknown = references.find(|reference| !self.cache.has(reference, now));
        if let (Some(reference), true) = (unknown, self.options.checks_references) {
            return Err(SubmitRefusal::NotCached {
                reference: *reference,
            });
        }
        self.check_resumable(submit.key)?;
        let slot = self.frames.check_open(submit.key);
        slot.map_err(SubmitRefusal::Slot)?;
        self.check_credit(submit, now)
    }

    fn check_resumable(&self, key: FrameKey) -> Result<(), SubmitRefusal> {
        match self.resume_at {
            Some(at_least) if place(key) < at_least => Err(SubmitRefusal::NotResumable {
                at_least: at_least.0,
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn check_credit(
        &mut self,
        submit: &Submit,
        now: Duration,
    ) -> Result<FrameState, SubmitRefusal> {
        let credit = self
            .credit
            .check(submit.operation_id, submit.may_drop(), now);
        // First come, first served.
        let has_turn = self.pending.is_empty();
        let Err(no_credit) = credit else {
            if has_turn || !submit.waits {
                return Ok(FrameState::InFlight);
            }
            return self.check_pending();
        };
        if submit.waits {
            return self.check_pending();
        }
        self.wants_credit = true;
        self.counters.credit_stalls += 1;
        Err(SubmitRefusal::NoCredit(no_credit))
    }

    fn check_pending(&self) -> Result<FrameState, SubmitRefusal> {
        let pending_max = self.options.pending_max;
        if self.pending.len() >= pending_max {
            return Err(SubmitRefusal::PendingFull { pending_max });
        }
        let bytes_max = self.options.pending_bytes_max;
        if self.pending_bytes >= bytes_max {
            return Err(SubmitRefusal::PendingBytesFull { bytes_max });
        }
        Ok(FrameState::Pending)
    }

    /// Everything has been checked.
    fn accept(&mut self, submit: Submit, state: FrameState) {
        let key = submit.key;
        let is_pending = state == FrameState::Pending;
        let pending_bytes = if is_pending {
            held_by_submit(&submit.message)
        } else {
            0
        };
        let frame = ClientFrame {
            envelope: Envelope {
                flags: submit.flags,
                view_id: key.view_id,
                route_id: submit.route_id,
                trace_id: submit.trace_id,
                ..Envelope::frame(self.session_id(), key.frame_id)
            },
            operation_id: submit.operation_id,
            may_drop: submit.may_drop(),
            is_stream: submit.is_stream,
            has_credit: false,
            deadline: submit.deadline,
            is_left_behind: false,
            stranded_until: None,
            references: references(&submit.message).to_vec(),
            submit: Some(Box::new(submit.message)),
            pending_bytes,
            kept_bytes: 0,
        };
        if self.frames.open(key, is_pending, frame).is_err() {
            return;
        }
        self.frames.set_deadline(key, submit.deadline);
        if is_pending {
            self.pending_bytes += pending_bytes;
            self.pending.push_back(key);
        } else {
            self.send(key);
        }
    }

    /// A frame goes out, on the primary path.
    fn send(&mut self, key: FrameKey) {
        self.let_go(key);
        let has_room = self.kept_bytes < self.options.kept_bytes_max;
        let (Some(path), Some(frame)) = (self.primary_path(), self.frames.get_mut(key)) else {
            return;
        };
        let message = if self.options.keeps_submits && has_room {
            frame.kept_bytes = frame.submit.as_deref().map_or(0, held_by_submit);
            self.kept_bytes += frame.kept_bytes;
            frame.submit.clone()
        } else {
            self.counters.not_kept += u64::from(self.options.keeps_submits);
            frame.submit.take()
        };
        let Some(message) = message else {
            return;
        };
        frame.has_credit = true;
        self.credit.take(frame.operation_id);
        self.outbox
            .push(path, frame.envelope, Message::FrameSubmit(*message));
        if self.resume_at.is_some() {
            self.resume_at = Some(behind(key));
        }
    }

    /// What a frame's submit holds is not counted any more.
    fn let_go(&mut self, key: FrameKey) {
        if let Some(frame) = self.frames.get_mut(key) {
            self.pending_bytes -= std::mem::take(&mut frame.pending_bytes);
            self.kept_bytes -= std::mem::take(&mut frame.kept_bytes);
        }
    }

    /// Frames that wait go out as far as there is credit, in order; those of an operation without credit stay.
    pub(super) fn pump(&mut self, now: Duration) {
        if self.state != ClientState::Active {
            return;
        }
        let waiting = std::mem::take(&mut self.pending);
        for key in waiting {
            let Some(frame) = self.frames.get(key) else {
                continue;
            };
            let credit = self.credit.check(frame.operation_id, frame.may_drop, now);
            if credit.is_err() {
                self.pending.push_back(key);
            } else if self.check_resumable(key).is_err() {
                let error = Some(FrameError::NotResumable);
                self.finish(key, FrameOutcome::Error, error, now);
            } else if self.frames.start(key) {
                self.send(key);
                self.events.push_back(ClientEvent::FrameStarted(key));
            }
        }
        let has_credit = self.credit.check(0, false, now).is_ok();
        if self.wants_credit && has_credit && self.pending.is_empty() {
            self.wants_credit = false;
            self.events.push_back(ClientEvent::CreditAvailable);
        }
    }

    /// The frame is done for this side, and the server is told if it knows of it.
    pub(super) fn give_up(&mut self, key: FrameKey, outcome: FrameOutcome, now: Duration) -> bool {
        match self.frames.state(key) {
            None | Some(FrameState::Cancelling) => return false,
            Some(FrameState::Pending) => self.finish(key, outcome, None, now),
            Some(FrameState::InFlight | FrameState::Partial)
                if self.outbox.retract(key).is_some() =>
            {
                self.finish(key, outcome, None, now);
            }
            Some(FrameState::InFlight | FrameState::Partial) => {
                self.tell_cancelled(key);
                self.frames.cancel(key, outcome);
                let deadline = now.saturating_add(self.options.cancel_timeout);
                self.frames.set_deadline(key, Some(deadline));
                self.done(key, outcome, None);
            }
        }
        true
    }

    fn tell_cancelled(&mut self, key: FrameKey) {
        let Some(path) = self.primary_path() else {
            return;
        };
        self.let_go(key);
        let Some(frame) = self.frames.get_mut(key) else {
            return;
        };
        // What is cancelled is not sent again.
        frame.submit = None;
        let envelope = Envelope {
            flags: crate::HeaderFlags::empty(),
            ..frame.envelope
        };
        self.outbox.push(path, envelope, Message::FrameCancel);
    }

    /// A frame ends; unless it was given up before, that is reported.
    pub(super) fn finish(
        &mut self,
        key: FrameKey,
        outcome: FrameOutcome,
        error: Option<FrameError>,
        now: Duration,
    ) {
        let state = self.frames.state(key);
        self.give_credit_back(key);
        self.let_go(key);
        self.frames.finish(key, outcome);
        match state {
            None | Some(FrameState::Cancelling) => {}
            Some(FrameState::Pending) => {
                self.pending.retain(|pending| *pending != key);
                self.done(key, outcome, error);
            }
            Some(FrameState::InFlight | FrameState::Partial) => self.done(key, outcome, error),
        }
        self.pump(now);
    }

    fn done(&mut self, key: FrameKey, outcome: FrameOutcome, error: Option<FrameError>) {
        self.events.push_back(ClientEvent::FrameDone {
            key,
            outcome,
            error,
        });
    }

    /// Once for each frame.
    pub(super) fn give_credit_back(&mut self, key: FrameKey) {
        let frame = self.frames.get_mut(key);
        if let Some(frame) = frame.filter(|frame| frame.has_credit) {
            frame.has_credit = false;
            self.credit.give_back(frame.operation_id);
        }
    }

    /// A frame that the server has not got is sent once more, by the new path. Says whether it could be.
    pub(super) fn resend(&mut self, key: FrameKey, path: PathId) -> bool {
        if let Some(unsent) = self.outbox.retract(key) {
            self.outbox.push(path, unsent.envelope, unsent.message);
            return true;
        }
        let Some(frame) = self.frames.get(key) else {
            return false;
        };
        let Some(message) = frame.submit.clone() else {
            return false;
        };
        let mut envelope = frame.envelope;
        envelope.flags |= crate::HeaderFlags::RETRANSMIT;
        self.outbox
            .push(path, envelope, Message::FrameSubmit(*message));
        true
    }
}

/// Where a frame stands in the order that a migration asks for.
pub(super) fn place(key: FrameKey) -> (u64, u16) {
    (u64::from(key.frame_id), key.view_id)
}

fn references(submit: &FrameSubmit) -> &[ObjectReference] {
    match &submit.body {
        SubmitBody::Flat(_) => &[],
        SubmitBody::Composed(composed) => &composed.body().references,
    }
}
