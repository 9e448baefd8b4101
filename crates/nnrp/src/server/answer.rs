//! What a frame is answered with. spec: nnrp-session 3.4, nnrp-design Budgets

use std::time::Duration;

use nnrp_wire::metadata::ResultHintMetadata;
use nnrp_wire::session::{ResultRefusal, ServerSession};
use nnrp_wire::{BudgetPolicy, ErrorCode, ResultClass, ResultFlags, ResultPush, WireError};
use thiserror::Error;

use super::app::ServerApp;
use super::drops::DropReason;
use super::submitted::Responder;
use crate::budget::{Outlook, Timings, Verdict};

/// Why an answer is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The frame has ended by itself: it was cancelled, its budget is over, or the session is.
    #[error("the frame has ended: stop working on it")]
    FrameOver,
    /// The frame's budget is over, and it was dropped.
    #[error("the frame's budget is over: it was dropped")]
    BudgetOver,
    /// The client does not allow this. A last result is dropped then; after another one, the frame goes on.
    #[error("the result applies {applied:?} and the submit allows {allowed:?}")]
    PolicyNotAllowed {
        /// What the result says.
        applied: BudgetPolicy,
        /// What the submit says.
        allowed: BudgetPolicy,
    },
    /// It breaks a rule between its fields. A last result ends the frame with an error then; after another one, the frame
    /// goes on.
    #[error("the result cannot be sent, build it with ResultPush::builder: {0}")]
    Invalid(#[source] WireError),
    /// There was no room for it, and it is not worth waiting for; the frame goes on.
    #[error("there was no room for it now: it was left out")]
    LeftOut,
}

impl Responder {
    /// Ends the frame with this result, of whatever class it is. Where the result says no times, they are filled in.
    ///
    /// # Errors
    /// If something else was sent, or nothing, as the frame had ended. It is over in any case.
    pub fn complete(mut self, mut result: ResultPush) -> Result<(), AnswerError> {
        self.is_done = true;
        self.session.driver.with(|machine, app, now| {
            self.check(machine, app, now)?;
            self.timings(now).fill(&mut result.metadata);
            match machine.push_result(self.key, result, true, now) {
                Ok(()) => {
                    app.answered(self.key);
                    Ok(())
                }
                Err(refusal) => Err(self.end_refused(machine, app, refusal, now)),
            }
        })
    }

    /// Ends the frame with a result of lower quality: class, flag and policy are set.
    ///
    /// # Errors
    /// As [`Self::complete`].
    pub fn degraded(self, mut result: ResultPush) -> Result<(), AnswerError> {
        let metadata = &mut result.metadata;
        metadata.result_class = ResultClass::Degraded;
        metadata.result_flags |= ResultFlags::FALLBACK;
        metadata.applied_budget_policy |= BudgetPolicy::ALLOW_DEGRADED;
        self.complete(result)
    }

    /// Ends the frame with the result of an earlier one: class, flag, policy and that frame are set.
    ///
    /// # Errors
    /// As [`Self::complete`].
    pub fn stale_reuse(
        self,
        reused_frame_id: u32,
        mut result: ResultPush,
    ) -> Result<(), AnswerError> {
        let metadata = &mut result.metadata;
        metadata.result_class = ResultClass::StaleReuse;
        metadata.result_flags |= ResultFlags::STALE;
        metadata.applied_budget_policy |= BudgetPolicy::ALLOW_STALE_REUSE;
        metadata.reused_frame_id = reused_frame_id;
        self.complete(result)
    }

    /// Sends a result that is not the last, of whatever class it is. It waits while the client takes none, or too much waits
    /// to be sent; but not for a frame that is sent once and forgotten. If it is dropped, either all of it has happened or
    /// nothing.
    ///
    /// # Errors
    /// If it was not sent.
    pub async fn partial(&self, result: ResultPush) -> Result<(), AnswerError> {
        let mut has_stalled = false;
        let driver = &self.session.driver;
        driver
            .with_room(|machine, app, now| {
                let pushed = self.push_partial(machine, app, result.clone(), now);
                let Err(error @ AnswerError::LeftOut) = pushed else {
                    return Some(pushed);
                };
                if !self.budget.waits_for_room() {
                    app.tallies.left_out += 1;
                    return Some(Err(error));
                }
                app.tallies.stalls += u64::from(!has_stalled);
                has_stalled = true;
                None
            })
            .await
    }

    /// As [`Self::partial`], and does not wait. [`Self::room`] tells when to try again.
    ///
    /// # Errors
    /// If it was not sent; [`AnswerError::LeftOut`] if there is no room.
    pub fn try_partial(&self, result: ResultPush) -> Result<(), AnswerError> {
        self.session.driver.with(|machine, app, now| {
            let pushed = self.push_partial(machine, app, result, now);
            let is_lost = pushed == Err(AnswerError::LeftOut) && !self.budget.waits_for_room();
            app.tallies.left_out += u64::from(is_lost);
            pushed
        })
    }

    fn push_partial(
        &self,
        machine: &mut ServerSession,
        app: &mut ServerApp,
        mut result: ResultPush,
        now: Duration,
    ) -> Result<(), AnswerError> {
        self.check(machine, app, now)?;
        self.timings(now).fill(&mut result.metadata);
        let pushed = machine.push_result(self.key, result, false, now);
        pushed.map_err(refused)
    }

    /// Ends the frame without a result. Says whether it had not ended.
    pub fn drop_frame(mut self, reason: DropReason) -> bool {
        self.is_done = true;
        self.session.driver.with(|machine, app, now| {
            app.drop_frame(machine, self.key, self.generation, reason, now)
        })
    }

    /// Ends the frame with an error. Says whether it had not ended.
    pub fn fail(mut self, code: ErrorCode, diagnostic: &str) -> bool {
        self.is_done = true;
        self.end_with_error(code, diagnostic)
    }

    /// Says what to expect of the frame. It is only advice, and may be left out.
    ///
    /// # Errors
    /// If it was not sent.
    pub fn hint(&self, hint: ResultHintMetadata) -> Result<(), AnswerError> {
        self.session.driver.with(|machine, app, _| {
            if !app.is_open(self.key, self.generation) {
                return Err(AnswerError::FrameOver);
            }
            machine.hint(self.key, hint).map_err(refused)
        })
    }

    /// Whether it can be answered still. A frame whose budget is over is dropped here.
    fn check(
        &self,
        machine: &mut ServerSession,
        app: &mut ServerApp,
        now: Duration,
    ) -> Result<(), AnswerError> {
        if !app.is_open(self.key, self.generation) {
            app.tallies.late += 1;
            return Err(AnswerError::FrameOver);
        }
        let outlook = Outlook {
            spent: now.saturating_sub(self.received_at),
            ..Outlook::default()
        };
        let is_over = self.budget.verdict(&outlook) == Verdict::Over;
        if is_over && app.rules().enforces_budget {
            let reason = DropReason::BudgetExceeded;
            app.drop_frame(machine, self.key, self.generation, reason, now);
            return Err(AnswerError::BudgetOver);
        }
        Ok(())
    }

    const fn timings(&self, now: Duration) -> Timings {
        Timings {
            queued: self.taken_at.saturating_sub(self.received_at),
            computed: now.saturating_sub(self.taken_at),
        }
    }

    /// A last result cannot be sent: something else ends the frame.
    fn end_refused(
        &self,
        machine: &mut ServerSession,
        app: &mut ServerApp,
        refusal: ResultRefusal,
        now: Duration,
    ) -> AnswerError {
        let error = refused(refusal);
        if matches!(error, AnswerError::PolicyNotAllowed { .. }) {
            let reason = DropReason::PolicyNotAllowed;
            app.drop_frame(machine, self.key, self.generation, reason, now);
        } else {
            app.answered(self.key);
            let text = "the server made a result that cannot be sent";
            // The machine has the frame: the refusal says so.
            let _ = machine.fail_frame(self.key, ErrorCode::InternalError, text, now);
        }
        error
    }

    fn end_with_error(&self, code: ErrorCode, diagnostic: &str) -> bool {
        self.session.driver.with(|machine, app, now| {
            if !app.is_open(self.key, self.generation) {
                app.tallies.late += 1;
                return false;
            }
            app.answered(self.key);
            machine.fail_frame(self.key, code, diagnostic, now).is_ok()
        })
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        if std::thread::panicking() {
            let is_ended = self.end_with_error(ErrorCode::InternalError, "the handler failed");
            let driver = &self.session.driver;
            driver.with(|_, app, _| app.tallies.panicked += u64::from(is_ended));
            return;
        }
        self.session.driver.with(|machine, app, now| {
            let reason = DropReason::Abandoned;
            app.drop_frame(machine, self.key, self.generation, reason, now)
        });
    }
}

fn refused(refusal: ResultRefusal) -> AnswerError {
    match refusal {
        ResultRefusal::FrameOver => AnswerError::FrameOver,
        ResultRefusal::PolicyNotAllowed { applied, allowed } => {
            AnswerError::PolicyNotAllowed { applied, allowed }
        }
        ResultRefusal::Invalid(error) => AnswerError::Invalid(error),
        ResultRefusal::NoCredit(_) | ResultRefusal::Congested | _ => AnswerError::LeftOut,
    }
}
