//! How a client's session ends, and what happens when time passes. spec: nnrp-session 4.7, 5.4

use std::time::Duration;

use bytes::Bytes;

use super::{ClientEvent, ClientSession, ClientState};
use crate::message::{Envelope, Message};
use crate::numbers::MessageType;
use crate::session::fault::{Failure, HandleError};
use crate::session::frame::{FrameKey, FrameOutcome, FrameState};
use crate::session::liveness::LivenessAction;
use crate::session::migration::MigrationFailure;

/// How far the end is.
#[derive(Debug)]
pub(super) struct Closing {
    /// What CLOSE says, until it is sent.
    reason: Option<Bytes>,
    /// Whether the server has said CLOSE.
    is_answered: bool,
    /// Until when there is time: for frames in flight, then for the other side's CLOSE.
    deadline: Duration,
}

impl ClientSession {
    /// Ends the session: nothing new is submitted, frames that wait for credit are cancelled, those in flight have the drain
    /// time to end. Then CLOSE goes out, and [`ClientEvent::Closed`] follows.
    ///
    /// # Errors
    /// [`HandleError::Over`] if it has ended, or ends already.
    pub fn close(&mut self, reason: Bytes, now: Duration) -> Result<(), HandleError> {
        match self.state {
            ClientState::Active => {}
            ClientState::Idle | ClientState::Connecting | ClientState::HelloSent => {
                self.closed(now);
                return Ok(());
            }
            ClientState::Draining | ClientState::Closed | ClientState::Failed => {
                return Err(HandleError::Over);
            }
        }
        self.begin_closing(FrameOutcome::Cancelled, now);
        self.closing = Some(Closing {
            reason: Some(reason),
            is_answered: false,
            deadline: now.saturating_add(self.options.drain_timeout),
        });
        self.advance_closing(now);
        Ok(())
    }

    /// The server ends the session; it has sent every result by now, but on QUIC they may still be on their way.
    pub(super) fn close_received(&mut self, reason: Bytes, now: Duration) {
        self.events.push_back(ClientEvent::CloseReceived(reason));
        let grace = now.saturating_add(self.options.close_grace);
        if let Some(closing) = &mut self.closing {
            closing.is_answered = true;
            closing.deadline = closing.deadline.min(grace);
        } else {
            self.begin_closing(FrameOutcome::ConnectionLost, now);
            self.closing = Some(Closing {
                reason: None,
                is_answered: true,
                deadline: grace,
            });
            self.say_close(self.options.close_reason.clone());
        }
        self.advance_closing(now);
    }

    fn begin_closing(&mut self, pending: FrameOutcome, now: Duration) {
        self.state = ClientState::Draining;
        self.migration_failed(MigrationFailure::SessionOver, now);
        for key in std::mem::take(&mut self.pending) {
            self.finish(key, pending, None, now);
        }
    }

    fn say_close(&mut self, reason: Bytes) {
        if let Some(path) = self.primary_path() {
            self.outbox
                .push_last(path, self.envelope(), Message::Close(reason));
        }
    }

    /// After anything that may have ended a frame.
    pub(super) fn advance_closing(&mut self, now: Duration) {
        if self.state != ClientState::Draining {
            return;
        }
        let Some(closing) = &mut self.closing else {
            return;
        };
        let has_time = closing.deadline > now;
        if has_time && !self.frames.is_idle() {
            return;
        }
        match closing.reason.take() {
            Some(reason) => {
                closing.deadline = now.saturating_add(self.options.close_grace);
                let is_answered = closing.is_answered;
                self.say_close(reason);
                self.end_frames(FrameOutcome::Cancelled, now);
                if is_answered {
                    self.closed(now);
                }
            }
            None if closing.is_answered || !has_time => self.closed(now),
            None => {}
        }
    }

    pub(super) fn closed(&mut self, now: Duration) {
        if self.is_over() {
            return;
        }
        self.state = ClientState::Closed;
        self.migration_failed(MigrationFailure::SessionOver, now);
        self.end_frames(FrameOutcome::ConnectionLost, now);
        self.forget();
        self.events.push_back(ClientEvent::Closed);
    }

    /// What has come before is taken first; then each frame ends, then the session does.
    pub(super) fn fail(&mut self, failure: Failure, now: Duration) {
        if self.is_over() {
            return;
        }
        self.state = ClientState::Failed;
        self.migration_failed(MigrationFailure::SessionOver, now);
        self.end_frames(FrameOutcome::ConnectionLost, now);
        self.forget();
        self.failure = Some(failure.clone());
        self.events
            .push_back(ClientEvent::Failed(Box::new(failure)));
    }

    fn end_frames(&mut self, outcome: FrameOutcome, now: Duration) {
        while let Some(key) = self.frames.next_after(None) {
            self.outbox.retract(key);
            self.finish(key, outcome, None, now);
        }
    }

    /// Nothing is waited for any more.
    fn forget(&mut self) {
        self.connect_deadline = None;
        self.old = None;
        self.patch_deadline = None;
        self.probe = None;
        self.closing = None;
    }

    pub(super) fn close_old(&mut self, now: Duration) {
        if let Some(old) = self.old.take() {
            self.outbox.forget_path(old.path);
            self.events.push_back(ClientEvent::ClosePath(old.path));
            self.strand(now);
        }
    }

    /// Time has passed. Afterwards [`Self::next_timeout`] lies behind `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.is_over() || self.state == ClientState::Idle {
            return;
        }
        if self
            .connect_deadline
            .is_some_and(|deadline| deadline <= now)
        {
            let timeout = self.options.connect_timeout;
            return self.fail(Failure::ConnectTimeout { timeout }, now);
        }
        let is_late = |deadline: Duration| deadline <= now;
        if self
            .migrating
            .as_ref()
            .is_some_and(|to| is_late(to.deadline))
        {
            self.migration_failed(MigrationFailure::Timeout, now);
        }
        if self.old.as_ref().is_some_and(|old| is_late(old.until)) {
            self.close_old(now);
        }
        while let Some(key) = self.frames.due(now) {
            self.frame_due(key, now);
        }
        self.expire_answers(now);
        if self.credit.pass(now) {
            self.pump(now);
        }
        self.advance_closing(now);
        self.check_liveness(now);
    }

    fn frame_due(&mut self, key: FrameKey, now: Duration) {
        let stranded_until = self.frames.get(key).and_then(|frame| frame.stranded_until);
        if self.frames.state(key) == Some(FrameState::Cancelling) {
            self.finish(key, FrameOutcome::Cancelled, None, now);
        } else if stranded_until.is_some_and(|until| until <= now) {
            self.give_up(key, FrameOutcome::ConnectionLost, now);
        } else {
            self.give_up(key, FrameOutcome::Expired, now);
        }
    }

    fn expire_answers(&mut self, now: Duration) {
        let unanswered = |to| ClientEvent::Unanswered { to };
        if self
            .patch_deadline
            .take_if(|deadline| *deadline <= now)
            .is_some()
        {
            self.events.push_back(unanswered(MessageType::SessionPatch));
        }
        if self
            .probe
            .take_if(|(_, deadline)| *deadline <= now)
            .is_some()
        {
            self.events
                .push_back(unanswered(MessageType::TransportProbe));
        }
        while self.cache.expire_answer(now).is_some() {
            self.events.push_back(unanswered(MessageType::CachePut));
        }
    }

    fn check_liveness(&mut self, now: Duration) {
        if !self.watches_liveness() {
            return;
        }
        match self.liveness.due(now) {
            None => {}
            Some(LivenessAction::KeepAlive) => self.keep_alive(now),
            Some(LivenessAction::IdleTimeout) => {
                let timeout = self.options.liveness.idle_timeout.unwrap_or_default();
                self.fail(Failure::IdleTimeout { timeout }, now);
            }
            Some(LivenessAction::MissedPongs) => {
                let count = self.options.liveness.missed_pongs_max;
                self.fail(Failure::MissedPongs { count }, now);
            }
        }
    }

    const fn watches_liveness(&self) -> bool {
        matches!(self.state, ClientState::Active | ClientState::Draining)
    }

    pub(super) fn keep_alive(&mut self, now: Duration) {
        let Some(path) = self.primary_path() else {
            return;
        };
        self.pings += 1;
        let envelope = Envelope {
            trace_id: self.pings,
            ..self.envelope()
        };
        self.liveness.pinged(self.pings, now);
        // The interval begins again whether or not it can be sent.
        self.liveness.sent(now);
        if !self.is_congested() {
            self.outbox.push(path, envelope, Message::Ping);
        }
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        if self.is_over() {
            return None;
        }
        let liveness = self
            .watches_liveness()
            .then(|| self.liveness.next_timeout());
        let deadlines = [
            self.connect_deadline,
            self.migrating.as_ref().map(|to| to.deadline),
            self.old.as_ref().map(|old| old.until),
            self.frames.next_deadline(),
            self.patch_deadline,
            self.probe.map(|(_, deadline)| deadline),
            self.cache.next_timeout(),
            self.credit.next_retry(),
            self.closing.as_ref().map(|closing| closing.deadline),
            liveness.flatten(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Frames that have not ended, in the order of their keys.
    pub fn open_frames(&self) -> impl Iterator<Item = (FrameKey, FrameState)> {
        self.frames.iter().map(|(key, state, _)| (key, state))
    }
}
