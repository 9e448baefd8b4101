//! Frames of a session: submitted, waited for, given up. spec: nnrp-session 3.1, 4.1, 4.5

use std::time::Duration;

use nnrp_wire::session::{
    ClientSession, FrameKey, FrameOutcome, SlotRefusal, Submit as WireSubmit, SubmitRefusal,
};
use nnrp_wire::{FrameSubmit, HeaderFlags};
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use super::core::Core;
use super::error::{CallError, NotSubmitted, SubmitError};
use super::frame::Answer;
use super::inbox::{CallEnd, Owner};
use super::receive::{CallEnded, FrameStream};
use super::session::Session;
use crate::driver::{Clock, later};

/// A frame to submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit {
    /// What it is known by; [`Session::next_frame_id`] gives ids out. Ids may come in any order, but after a migration they
    /// must grow.
    pub key: FrameKey,
    /// Its input.
    pub message: FrameSubmit,
    /// Of the header.
    pub flags: HeaderFlags,
    /// Of the header; comes back.
    pub route_id: u16,
    /// Of the header; comes back, and is in the frame's tracing span.
    pub trace_id: u64,
    /// The operation whose credit it needs too; 0 is none.
    pub operation_id: u64,
    /// From the call on; then the frame ends as [`FrameOutcome::Expired`], or is not submitted if it had to wait for so
    /// long. `None` is any time.
    pub timeout: Option<Duration>,
    /// Whether results go on until one says that it is the last, [`HeaderFlags::EOS`]. Without, the first that is not
    /// partial is the last.
    pub is_stream: bool,
}

impl Submit {
    /// With nothing else set.
    #[must_use]
    pub const fn new(key: FrameKey, message: FrameSubmit) -> Self {
        Self {
            key,
            message,
            flags: HeaderFlags::empty(),
            route_id: 0,
            trace_id: 0,
            operation_id: 0,
            timeout: None,
            is_stream: false,
        }
    }

    fn into_wire(self) -> WireSubmit {
        WireSubmit {
            flags: self.flags,
            route_id: self.route_id,
            trace_id: self.trace_id,
            operation_id: self.operation_id,
            is_stream: self.is_stream,
            ..WireSubmit::new(self.key, self.message)
        }
    }

    fn from_wire(wire: WireSubmit, timeout: Option<Duration>) -> Self {
        Self {
            key: wire.key,
            message: wire.message,
            flags: wire.flags,
            route_id: wire.route_id,
            trace_id: wire.trace_id,
            operation_id: wire.operation_id,
            timeout,
            is_stream: wire.is_stream,
        }
    }
}

impl Session {
    /// Submits a frame as soon as there is credit and room for it. Those who wait are served in the order they came in, also
    /// where one waits for credit that the next does not need.
    ///
    /// While a lost session is being replaced by a new one, this waits for that.
    ///
    /// If it is dropped before it is ready, nothing is submitted.
    ///
    /// # Errors
    /// If the frame cannot be submitted, ever; nothing is sent then.
    pub async fn submit(&self, submit: Submit) -> Result<FrameKey, SubmitError> {
        self.submit_for(submit, Owner::Nobody).await
    }

    /// As [`Self::submit`], and the frame is the stream's from the beginning: [`Self::next`] gives nothing of it.
    ///
    /// If it is dropped before it is ready, nothing is submitted.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn submit_stream(&self, submit: Submit) -> Result<FrameStream, SubmitError> {
        let key = self.submit_for(submit, Owner::Receiver).await?;
        Ok(FrameStream::new(self.clone(), key))
    }

    /// Submits a frame if that is possible now.
    ///
    /// # Errors
    /// With the frame, if it is not.
    pub fn try_submit(&self, submit: Submit) -> Result<FrameKey, NotSubmitted> {
        let core = self.core();
        let key = submit.key;
        let (attempt, wire) = Attempt::new(core, submit, Owner::Nobody);
        let refused = |why, wire| {
            Err(NotSubmitted {
                why,
                submit: Box::new(Submit::from_wire(wire, attempt.timeout)),
            })
        };
        let Ok(_turn) = core.turn.try_lock() else {
            return refused(SubmitError::OthersWait, wire);
        };
        let driver = match core.driver() {
            Ok(driver) => driver,
            Err(why) => return refused(why, wire),
        };
        let clock = driver.clock();
        let done = driver.with(|machine, _, now| attempt.make(core, clock, machine, wire, now));
        match done {
            Ok(()) => Ok(key),
            Err((why, wire)) => {
                core.stats.stalled(&why);
                refused(why.into_error(core, key), *wire)
            }
        }
    }

    /// Submits a frame and waits for the last of its results.
    ///
    /// If this is dropped, the frame is cancelled, or not submitted at all.
    ///
    /// # Errors
    /// If it was not submitted, or has no result.
    pub async fn call(&self, submit: Submit) -> Result<Answer, CallError> {
        let key = self.submit_for(submit, Owner::Call);
        let key = key.await.map_err(CallError::Submit)?;
        let ended = CallEnded::new(self, key).await;
        match ended {
            Ok(end) => answer(end),
            Err(error) => Err(CallError::ConnectionLost(error.into_session_end())),
        }
    }

    async fn submit_for(&self, submit: Submit, owner: Owner) -> Result<FrameKey, SubmitError> {
        let core = self.core();
        let (attempt, wire) = Attempt::new(core, submit, owner);
        let submitting = attempt.make_in_turn(core, wire);
        match attempt.expires.zip(attempt.timeout) {
            None => submitting.await,
            Some((at, timeout)) => match timeout_at(at, submitting).await {
                Ok(done) => done,
                Err(_) => Err(SubmitError::Expired { timeout }),
            },
        }
    }

    /// Nobody wants this frame any more. It ends as [`FrameOutcome::Cancelled`], which can be received like any end; if it
    /// was sent, the server is told, and it uses credit until that has answered.
    ///
    /// Says whether there was such a frame in flight.
    pub fn cancel(&self, key: FrameKey) -> bool {
        self.core().cancel(key)
    }

    /// A frame with [`Submit::is_stream`] is done with what has come of it; the server is told nothing. It ends as
    /// [`FrameOutcome::Complete`]. Says whether there was one, and whether any result of it had come.
    pub fn release(&self, key: FrameKey) -> bool {
        let driver = self.core().current_driver();
        driver.is_some_and(|driver| driver.with(|machine, _, now| machine.release(key, now)))
    }
}

fn answer(ended: CallEnd) -> Result<Answer, CallError> {
    let outcome = ended.end.outcome;
    match outcome {
        FrameOutcome::Complete | FrameOutcome::Stale | FrameOutcome::Degraded => {
            let result = ended.result.ok_or(CallError::NoResult)?;
            Ok(Answer {
                result,
                outcome,
                superseded: ended.superseded,
            })
        }
        FrameOutcome::Dropped => Err(CallError::Dropped),
        FrameOutcome::Cancelled => Err(CallError::Cancelled),
        FrameOutcome::Expired => Err(CallError::Expired),
        FrameOutcome::Error => Err(ended
            .end
            .error
            .map_or(CallError::NoResult, CallError::Failed)),
        FrameOutcome::ConnectionLost => Err(CallError::ConnectionLost(ended.end.session)),
    }
}

/// A frame that is being submitted.
struct Attempt {
    key: FrameKey,
    owner: Owner,
    timeout: Option<Duration>,
    expires: Option<Instant>,
    span: Span,
}

/// Why it is not submitted now.
#[derive(Debug)]
pub(super) enum Refused {
    NotReceived,
    Wire(SubmitRefusal),
}

impl Attempt {
    fn new(core: &Core, submit: Submit, owner: Owner) -> (Self, WireSubmit) {
        let (key, timeout) = (submit.key, submit.timeout);
        let span = tracing::debug_span!(
            "frame",
            session_id = core.session_id(),
            frame_id = key.frame_id,
            view_id = key.view_id,
            trace_id = submit.trace_id,
            outcome = tracing::field::Empty,
        );
        let attempt = Self {
            key,
            owner,
            timeout,
            expires: timeout.map(|timeout| later(Instant::now(), timeout)),
            span,
        };
        (attempt, submit.into_wire())
    }

    /// First come, first served.
    async fn make_in_turn(&self, core: &Core, wire: WireSubmit) -> Result<FrameKey, SubmitError> {
        let _turn = core.turn.lock().await;
        let mut wire = Some(Box::new(wire));
        let mut has_stalled = false;
        loop {
            let driver = core.active().await.map_err(SubmitError::Over)?;
            let clock = driver.clock();
            let done = driver.with_room(|machine, _, now| {
                let (why, refused) = match self.make(core, clock, machine, *wire.take()?, now) {
                    Ok(()) => return Some(Ok(self.key)),
                    Err(refused) => refused,
                };
                wire = Some(refused);
                if !why.is_worth_waiting() {
                    return Some(Err(why));
                }
                if !std::mem::replace(&mut has_stalled, true) {
                    core.stats.stalled(&why);
                }
                None
            });
            match done.await {
                Ok(key) => return Ok(key),
                // There may be a new session soon.
                Err(Refused::Wire(SubmitRefusal::NotActive)) if core.may_reconnect() => {
                    core.left(&driver).await;
                }
                Err(why) => return Err(why.into_error(core, self.key)),
            }
        }
    }

    /// With the session locked, so that nothing comes of the frame before there is a slot for it.
    fn make(
        &self,
        core: &Core,
        clock: Clock,
        machine: &mut ClientSession,
        mut wire: WireSubmit,
        now: Duration,
    ) -> Result<(), (Refused, Box<WireSubmit>)> {
        if !core.inbox.open(self.key, self.owner, &self.span) {
            return Err((Refused::NotReceived, Box::new(wire)));
        }
        wire.deadline = self.expires.map(|at| clock.time_of(at));
        match machine.submit(wire, now) {
            Ok(_) => Ok(()),
            Err(refused) => {
                core.inbox.forget(self.key);
                Err((Refused::Wire(refused.why), refused.submit))
            }
        }
    }
}

impl Refused {
    pub(super) const fn is_for_credit(&self) -> bool {
        matches!(self, Self::Wire(SubmitRefusal::NoCredit(_)))
    }

    const fn is_worth_waiting(&self) -> bool {
        matches!(
            self,
            Self::Wire(
                SubmitRefusal::NoCredit(_)
                    | SubmitRefusal::Congested
                    | SubmitRefusal::Slot(SlotRefusal::Full { .. })
            )
        )
    }

    fn into_error(self, core: &Core, key: FrameKey) -> SubmitError {
        match self {
            Self::NotReceived => SubmitError::NotReceived { key },
            Self::Wire(SubmitRefusal::NotActive) => {
                core.end().map_or(SubmitError::Ending, SubmitError::Over)
            }
            Self::Wire(why) => SubmitError::Refused(why),
        }
    }
}
