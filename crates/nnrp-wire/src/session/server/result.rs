//! What a server answers to frames: exactly one end each. spec: nnrp-session 3.2, 3.4, 4.5

use std::time::Duration;

use super::options::{ResultRefusal, ServerEvent};
use super::session::ServerSession;
use crate::message::{Envelope, Message, ResultPush};
use crate::metadata::ResultHintMetadata;
use crate::numbers::{
    CongestionState, ErrorCode, HeaderFlags, HintPolicy, HintReason, ResultClass, ResultFlags,
};
use crate::session::content::check_result;
use crate::session::fault::{Fault, HandleError};
use crate::session::frame::{FrameKey, FrameOutcome};
use crate::session::transmit::PathId;

/// A frame is dropped, as its time is over.
const BUDGET_IS_OVER: ResultHintMetadata = ResultHintMetadata {
    applied_budget_policy: HintPolicy::Drop,
    congestion_state: CongestionState::None,
    reason: HintReason::BudgetExceeded,
    retry_after_ms: 0,
};

impl ServerSession {
    /// Answers a frame; `is_last` ends it. View, route and trace are those of the submit.
    ///
    /// # Errors
    /// If the result is not taken; the frame stays as it was.
    pub fn push_result(
        &mut self,
        key: FrameKey,
        result: ResultPush,
        is_last: bool,
        now: Duration,
    ) -> Result<(), ResultRefusal> {
        let frame = self.frames.get(key).ok_or(ResultRefusal::FrameOver)?;
        let (applied, allowed) = (result.metadata.applied_budget_policy, frame.allowed);
        if self.options.checks_policy && !allowed.contains(applied) {
            return Err(ResultRefusal::PolicyNotAllowed { applied, allowed });
        }
        let outcome = match result.metadata.result_class {
            ResultClass::Complete | ResultClass::Partial => FrameOutcome::Complete,
            ResultClass::StaleReuse => FrameOutcome::Stale,
            ResultClass::Degraded => FrameOutcome::Degraded,
        };
        check_result(&result).map_err(ResultRefusal::Invalid)?;
        if !is_last {
            self.check_results(now)?;
        }
        let is_whole = result.metadata.result_class != ResultClass::Partial
            && !result.metadata.result_flags.contains(ResultFlags::PARTIAL);
        self.answer(key, is_last, Message::ResultPush(result));
        if is_last {
            self.finish(key, outcome);
            self.advance_closing(now);
        } else {
            self.frames.partial(key);
            if is_whole {
                self.give_credit_back(key);
            }
        }
        Ok(())
    }

    /// Whether a result is taken now that is not the last of its frame.
    ///
    /// # Errors
    /// [`ResultRefusal::Congested`] and [`ResultRefusal::NoCredit`].
    pub fn check_results(&self, now: Duration) -> Result<(), ResultRefusal> {
        if self.is_congested() {
            return Err(ResultRefusal::Congested);
        }
        let credit = self.results.check(0, false, now);
        credit.map_err(ResultRefusal::NoCredit)
    }

    /// Ends a frame without a result.
    ///
    /// # Errors
    /// [`ResultRefusal::FrameOver`] if it has ended.
    pub fn drop_frame(&mut self, key: FrameKey, now: Duration) -> Result<(), ResultRefusal> {
        self.frames.get(key).ok_or(ResultRefusal::FrameOver)?;
        self.end_with_drop(key, FrameOutcome::Dropped);
        self.advance_closing(now);
        Ok(())
    }

    /// Ends a frame with an error.
    ///
    /// # Errors
    /// [`ResultRefusal::FrameOver`] if it has ended.
    pub fn fail_frame(
        &mut self,
        key: FrameKey,
        code: ErrorCode,
        diagnostic: &str,
        now: Duration,
    ) -> Result<(), ResultRefusal> {
        let frame = self.frames.get(key).ok_or(ResultRefusal::FrameOver)?;
        let envelope = answer_envelope(&frame.envelope);
        self.tell_frame_error(&envelope, code, diagnostic);
        self.finish(key, FrameOutcome::Error);
        self.advance_closing(now);
        Ok(())
    }

    /// Says what to expect of a frame.
    ///
    /// # Errors
    /// [`ResultRefusal::FrameOver`] if it has ended, [`ResultRefusal::Congested`] if too much waits to be sent.
    pub fn hint(&mut self, key: FrameKey, hint: ResultHintMetadata) -> Result<(), ResultRefusal> {
        self.frames.get(key).ok_or(ResultRefusal::FrameOver)?;
        if self.is_congested() {
            return Err(ResultRefusal::Congested);
        }
        let envelope = Envelope::frame(self.session_id(), key.frame_id);
        self.outbox
            .push(self.path_of(key), envelope, Message::ResultHint(hint));
        Ok(())
    }

    /// Reports an error that concerns the session and is not the end; for the end, see [`Self::fail_session`].
    ///
    /// # Errors
    /// [`HandleError::Over`] after the end; [`HandleError::Congested`] if too much waits to be sent.
    pub fn report(&mut self, report: super::options::Report<'_>) -> Result<(), HandleError> {
        self.check_sending()?;
        let fault = Fault {
            retry_after_ms: report.retry_after_ms,
            ..Fault::session(report.code, self.session_id())
        };
        let message = fault.message(report.diagnostic);
        self.outbox.push(self.path, self.envelope(), message);
        Ok(())
    }

    /// Says why a frame is about to end, as RESULT_DROP cannot. spec: nnrp-design Budgets
    pub(super) fn explain_expiry(&mut self, key: FrameKey) {
        if self.options.explains_expiry {
            // Too much waits to be sent: the drop itself matters more.
            let _ = self.hint(key, BUDGET_IS_OVER);
        }
    }

    /// A frame ends without the caller, who is told.
    pub(super) fn end_frame(&mut self, key: FrameKey, outcome: FrameOutcome) {
        self.end_with_drop(key, outcome);
        self.events
            .push_back(ServerEvent::FrameOver { key, outcome });
    }

    fn end_with_drop(&mut self, key: FrameKey, outcome: FrameOutcome) {
        self.answer(key, false, Message::ResultDrop);
        self.finish(key, outcome);
    }

    pub(super) fn finish(&mut self, key: FrameKey, outcome: FrameOutcome) {
        self.give_credit_back(key);
        self.frames.finish(key, outcome);
    }

    /// Once for each frame.
    fn give_credit_back(&mut self, key: FrameKey) {
        let frame = self.frames.get_mut(key);
        if frame.is_some_and(|frame| std::mem::take(&mut frame.uses_credit)) {
            self.granted.give_back(0);
        }
    }

    /// An ERROR of a frame, which ends it. On TCP it must not overtake results, so it goes in order.
    pub(super) fn tell_frame_error(
        &mut self,
        envelope: &Envelope,
        code: ErrorCode,
        diagnostic: &str,
    ) {
        let key = FrameKey::from(envelope);
        let message = Fault::frame(code, self.session_id(), key).message(diagnostic);
        let path = self.path_of(key);
        let envelope = Envelope {
            session_id: self.session_id(),
            ..answer_envelope(envelope)
        };
        self.outbox.push(path, envelope, message);
    }

    fn answer(&mut self, key: FrameKey, is_last: bool, message: Message) {
        let path = self.path_of(key);
        let Some(frame) = self.frames.get(key) else {
            return;
        };
        let mut envelope = answer_envelope(&frame.envelope);
        envelope
            .flags
            .set(HeaderFlags::EOS, is_last && self.options.marks_end);
        self.outbox.push(path, envelope, message);
    }

    /// Frames that the old connection has delivered are answered there, as long as it is there. spec: nnrp-session 4.6
    pub(super) fn path_of(&self, key: FrameKey) -> PathId {
        match &self.old {
            Some(old) if u64::from(key.frame_id) < self.resume_from => old.path,
            Some(_) | None => self.path,
        }
    }
}

/// Session, frame, view, route and trace of a submit.
pub(super) fn answer_envelope(submit: &Envelope) -> Envelope {
    Envelope {
        flags: HeaderFlags::empty(),
        version_major: crate::VERSION_MAJOR,
        ..*submit
    }
}
