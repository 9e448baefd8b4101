//! How a server's session ends, and what happens when time passes. spec: nnrp-session 4.7, 4.8

use std::time::Duration;

use bytes::Bytes;

use super::options::{Report, ServerEvent, ServerState};
use super::session::ServerSession;
use crate::message::{Envelope, Message};
use crate::metadata::FlowUpdateMetadata;
use crate::numbers::{ErrorCode, FlowFlags};
use crate::session::fault::{Failure, Fault, HandleError};
use crate::session::frame::FrameOutcome;
use crate::session::liveness::LivenessAction;

/// How far the end is.
#[derive(Debug)]
pub(super) struct Closing {
    /// What CLOSE says, until it is sent.
    reason: Option<Bytes>,
    /// Until when there is time: for frames in flight, then for the other side.
    deadline: Duration,
}

impl ServerSession {
    /// Ends the session: no new frames are taken, those in flight have the drain time to end, and are dropped then. Then
    /// CLOSE goes out, and [`ServerEvent::Closed`] follows when the client has closed too, or had time to.
    ///
    /// # Errors
    /// [`HandleError::Over`] if it has ended, or ends already.
    pub fn close(&mut self, reason: Bytes, now: Duration) -> Result<(), HandleError> {
        if self.state != ServerState::Active {
            return Err(HandleError::Over);
        }
        self.begin_closing(reason, now);
        Ok(())
    }

    /// Ends the session at once: the client is told why, and CLOSE follows.
    ///
    /// # Errors
    /// [`HandleError::Over`] if it has ended.
    pub fn fail_session(&mut self, report: Report<'_>, now: Duration) -> Result<(), HandleError> {
        if self.is_over() {
            return Err(HandleError::Over);
        }
        let fault = Fault {
            is_fatal: true,
            retry_after_ms: report.retry_after_ms,
            ..Fault::session(report.code, self.session_id())
        };
        self.say_last(self.envelope(), fault.message(report.diagnostic));
        self.say_last(self.envelope(), Message::Close(Bytes::new()));
        let code = report.code;
        let reason = "ended by the caller";
        self.fail(Failure::Refused { code, reason }, now);
        Ok(())
    }

    pub(super) fn close_received(&mut self, reason: Bytes, now: Duration) {
        self.events.push_back(ServerEvent::CloseReceived(reason));
        match &self.closing {
            None => self.begin_closing(self.options.close_reason.clone(), now),
            Some(Closing { reason: None, .. }) => self.closed(now),
            Some(_) => {}
        }
    }

    fn begin_closing(&mut self, reason: Bytes, now: Duration) {
        self.state = ServerState::Draining;
        self.closing = Some(Closing {
            reason: Some(reason),
            deadline: now.saturating_add(self.options.drain_timeout),
        });
        self.advance_closing(now);
    }

    /// After anything that may have ended a frame.
    pub(super) fn advance_closing(&mut self, now: Duration) {
        if self.state != ServerState::Draining {
            return;
        }
        let Some(closing) = &mut self.closing else {
            return;
        };
        let has_time = closing.deadline > now;
        if closing.reason.is_none() {
            if !has_time {
                self.closed(now);
            }
            return;
        }
        if has_time && !self.frames.is_idle() {
            return;
        }
        if let Some(reason) = closing.reason.take() {
            closing.deadline = now.saturating_add(self.options.close_grace);
            self.end_frames(FrameOutcome::Dropped);
            self.say_last(self.envelope(), Message::Close(reason));
        }
    }

    /// A fatal ERROR is the last but CLOSE. spec: nnrp-session 4.8
    pub(super) fn tell_end(&mut self, code: ErrorCode, diagnostic: &str) {
        let message = Fault::connection(code).message(diagnostic);
        self.say_last(Envelope::default(), message);
        self.say_last(self.envelope(), Message::Close(Bytes::new()));
    }

    fn say_last(&mut self, envelope: Envelope, message: Message) {
        self.outbox.push_last(self.path, envelope, message);
    }

    pub(super) fn closed(&mut self, now: Duration) {
        self.end(ServerState::Closed, ServerEvent::Closed, now);
    }

    pub(super) fn fail(&mut self, failure: Failure, now: Duration) {
        let event = ServerEvent::Failed(Box::new(failure.clone()));
        if self.end(ServerState::Failed, event, now) {
            self.failure = Some(failure);
        }
    }

    fn end(&mut self, state: ServerState, event: ServerEvent, now: Duration) -> bool {
        if self.is_over() {
            return false;
        }
        self.state = state;
        while let Some(key) = self.frames.next_after(None) {
            let outcome = FrameOutcome::ConnectionLost;
            self.finish(key, outcome);
            self.events
                .push_back(ServerEvent::FrameOver { key, outcome });
        }
        self.old = None;
        self.closing = None;
        self.cache.expire(now);
        self.events.push_back(event);
        true
    }

    /// The client is told of each.
    fn end_frames(&mut self, outcome: FrameOutcome) {
        while let Some(key) = self.frames.next_after(None) {
            self.end_frame(key, outcome);
        }
    }

    /// Time has passed. Afterwards [`Self::next_timeout`] lies behind `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.is_over() {
            return;
        }
        if self.old.as_ref().is_some_and(|old| old.until <= now) {
            self.close_old();
        }
        while let Some(key) = self.frames.due(now) {
            self.explain_expiry(key);
            self.end_frame(key, FrameOutcome::Expired);
        }
        self.cache.expire(now);
        self.results.pass(now);
        self.advance_closing(now);
        if self.is_over() {
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

    /// spec: nnrp-session 4.2
    fn keep_alive(&mut self, now: Duration) {
        // The interval begins again whether or not it can be sent.
        self.liveness.sent(now);
        if self.is_congested() {
            return;
        }
        if self.options.keeps_alive_by_credit {
            let message = Message::FlowUpdate(self.repeated_credit());
            self.outbox.push(self.path, self.envelope(), message);
            return;
        }
        self.pings += 1;
        self.liveness.pinged(self.pings, now);
        let envelope = Envelope {
            trace_id: self.pings,
            ..self.envelope()
        };
        self.outbox.push(self.path, envelope, Message::Ping);
    }

    /// What was said of the session's credit last, which changes nothing; but for a time to wait, which would begin again.
    fn repeated_credit(&self) -> FlowUpdateMetadata {
        FlowUpdateMetadata {
            retry_after_ms: 0,
            flags: self.credit.flags.difference(FlowFlags::RETRY_AFTER_VALID),
            ..self.credit
        }
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        if self.is_over() {
            return None;
        }
        let deadlines = [
            self.old.as_ref().map(|old| old.until),
            self.frames.next_deadline(),
            self.cache.next_timeout(),
            self.results.next_retry(),
            self.closing.as_ref().map(|closing| closing.deadline),
            self.liveness.next_timeout(),
        ];
        deadlines.into_iter().flatten().min()
    }
}
