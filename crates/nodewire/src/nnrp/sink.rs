//! An execution's events as what is sent for its frame.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::nnrp::server::{AnswerError, DropReason, Responder, ResultRoom};
use nnrp_wire::build::ResultWorth;
use nnrp_wire::metadata::ResultHintMetadata;
use nnrp_wire::{
    BudgetPolicy, CongestionState, ErrorCode, HintPolicy, HintReason, ResultPush, WireError,
};
use nodewire_core::{
    BoxFuture, CancelHandle, DropReason as ExecutionDrop, DynNode, EventSink, ExecutionEvent,
    ExecutionId, ExecutionRequest, Executor, NodeDefinition, NodeError, NodeErrorKind, Outputs,
    Progress,
};
use tokio::sync::Notify;

use super::frame::is_budget_over;
use super::{codes, outputs};
use crate::capability::{Feature, Losses, Wire};
use crate::plain;

/// Turns the events of one execution into results.
pub(super) struct FrameSink {
    /// For where its outputs stand.
    node: Option<Arc<dyn DynNode>>,
    takes_partial: bool,
    room: ResultRoom,
    losses: Losses,
    state: Mutex<State>,
    ended: Notify,
}

/// What is still to be said. Locked for as long as it takes to hand it to the session, never across an await.
struct State {
    /// `None` once it is answered.
    answer: Option<Responder>,
    /// Partial outputs that found the room gone that there was.
    waiting: Option<ResultPush>,
    has_hinted: bool,
    has_lost_progress: bool,
    has_lost_partial: bool,
}

impl FrameSink {
    pub(super) fn new(
        answer: Responder,
        node: Option<Arc<dyn DynNode>>,
        losses: Losses,
    ) -> Arc<Self> {
        let allowed = answer.budget().allowed;
        Arc::new(Self {
            node,
            takes_partial: allowed.contains(BudgetPolicy::ALLOW_PARTIAL),
            room: answer.room(),
            losses,
            state: Mutex::new(State {
                answer: Some(answer),
                waiting: None,
                has_hinted: false,
                has_lost_progress: false,
                has_lost_partial: false,
            }),
            ended: Notify::new(),
        })
    }

    /// Hands the request over; a refusal becomes the answer.
    pub(super) fn submit(
        self: &Arc<Self>,
        executor: &Executor,
        request: ExecutionRequest,
    ) -> Option<CancelHandle> {
        let sink: Arc<dyn EventSink> = Arc::<Self>::clone(self);
        match executor.submit_to(request, sink) {
            Ok(cancel) => Some(cancel),
            Err(refusal) => {
                self.end(|answer| codes::refuse(answer, &refusal));
                None
            }
        }
    }

    /// Completes when the execution has ended.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn definition(&self) -> Option<&NodeDefinition> {
        self.node.as_deref().map(DynNode::definition)
    }

    fn end(&self, say: impl FnOnce(Responder)) {
        let mut state = self.lock();
        let (answer, unsent) = (state.answer.take(), state.waiting.take());
        if let Some(answer) = answer {
            // They have no room still, and are of no use behind the end.
            if unsent.is_some_and(|unsent| answer.try_partial(unsent) == Err(AnswerError::LeftOut))
            {
                self.lose_partial(&mut state);
            }
            say(answer);
        }
        drop(state);
        self.ended.notify_one();
    }

    /// Ends a frame that may have ended by itself, which is no late answer then.
    fn end_without_result(&self, say: impl FnOnce(Responder)) {
        self.end(|answer| {
            if !answer.is_cancelled() {
                say(answer);
            }
        });
    }

    fn fail(&self, error: &NodeError) {
        tracing::debug!(error = ?error, "execution failed");
        self.end_without_result(|answer| {
            // The session may notice first that the budget is over; whoever does, it is told in the same way.
            if error.kind() == NodeErrorKind::Deadline && is_budget_over(answer.deadline()) {
                answer.drop_frame(DropReason::BudgetExceeded);
            } else {
                codes::fail(answer, error);
            }
        });
    }

    fn progress(&self, progress: Progress) {
        let mut state = self.lock();
        if self.takes_partial {
            let event = plain::event(&ExecutionEvent::Progress(progress));
            let result = event.map(|event| outputs::event_result(&event, ResultWorth::PARTIAL));
            let is_sent = result.is_some_and(|result| self.push(&state, result).is_ok());
            if !is_sent {
                self.lose_progress(&mut state);
            }
            return;
        }
        // A hint has no place for steps and texts, and one says as much as many.
        self.lose_progress(&mut state);
        if !state.has_hinted {
            state.has_hinted = true;
            // It is only advice.
            let _ = state.answer.as_ref().map(|answer| answer.hint(UNDER_WAY));
        }
    }

    fn partial(&self, some: Outputs) {
        let mut state = self.lock();
        if !self.takes_partial {
            return self.lose_partial(&mut state);
        }
        let result = match outputs::result(some, self.definition(), ResultWorth::PARTIAL) {
            Ok(result) => result,
            Err(error) => {
                tracing::warn!(%error, "partial outputs cannot be sent");
                return self.lose_partial(&mut state);
            }
        };
        match self.push(&state, Ok(result.clone())) {
            Ok(()) | Err(Unsent::Over) => {}
            Err(Unsent::NoRoom) if state.waiting.is_none() => state.waiting = Some(result),
            Err(Unsent::NoRoom | Unsent::Never) => self.lose_partial(&mut state),
        }
    }

    fn push(&self, state: &State, result: Result<ResultPush, WireError>) -> Result<(), Unsent> {
        let answer = state.answer.as_ref().ok_or(Unsent::Over)?;
        let result = result.map_err(|_| Unsent::Never)?;
        answer.try_partial(result).map_err(|error| match error {
            AnswerError::FrameOver | AnswerError::BudgetOver => Unsent::Over,
            AnswerError::LeftOut if self.room.waits() => Unsent::NoRoom,
            AnswerError::LeftOut
            | AnswerError::PolicyNotAllowed { .. }
            | AnswerError::Invalid(_)
            | _ => Unsent::Never,
        })
    }

    /// Sends what found the room gone. Says whether nothing waits any more.
    fn push_waiting(&self) -> bool {
        let mut state = self.lock();
        let Some(waiting) = state.waiting.take() else {
            return true;
        };
        match self.push(&state, Ok(waiting.clone())) {
            Ok(()) | Err(Unsent::Over) => true,
            Err(Unsent::NoRoom) => {
                state.waiting = Some(waiting);
                false
            }
            Err(Unsent::Never) => {
                self.lose_partial(&mut state);
                true
            }
        }
    }

    fn lose_partial(&self, state: &mut State) {
        if !state.has_lost_partial {
            state.has_lost_partial = true;
            self.losses.count(Wire::Nnrp, Feature::PartialOutputs);
        }
    }

    fn lose_progress(&self, state: &mut State) {
        if !state.has_lost_progress {
            state.has_lost_progress = true;
            self.losses.count(Wire::Nnrp, Feature::Progress);
        }
    }
}

/// Why a result is not sent that is not the last.
enum Unsent {
    /// Nobody waits for it any more.
    Over,
    /// It may be sent later.
    NoRoom,
    Never,
}

/// The whole result is on its way.
const UNDER_WAY: ResultHintMetadata = ResultHintMetadata {
    applied_budget_policy: HintPolicy::Full,
    congestion_state: CongestionState::Steady,
    reason: HintReason::None,
    retry_after_ms: 0,
};

impl EventSink for FrameSink {
    fn deliver(&self, _id: ExecutionId, event: ExecutionEvent) {
        match event {
            ExecutionEvent::Accepted | ExecutionEvent::Started => {}
            ExecutionEvent::Progress(progress) => self.progress(progress),
            ExecutionEvent::Partial(some) => self.partial(some),
            ExecutionEvent::Completed(all) => {
                let result = outputs::result(all, self.definition(), ResultWorth::COMPLETE);
                self.end(|answer| outputs::complete(answer, result));
            }
            ExecutionEvent::Failed(error) => self.fail(&error),
            ExecutionEvent::Cancelled { .. } => self.end_without_result(|answer| {
                answer.fail(
                    ErrorCode::FrameCancelled,
                    "cancelled: the execution was cancelled",
                );
            }),
            ExecutionEvent::Dropped(reason) => self.end_without_result(|answer| {
                answer.drop_frame(match reason {
                    ExecutionDrop::DeadlinePassed => DropReason::BudgetExceeded,
                    ExecutionDrop::Shutdown => DropReason::Closing,
                });
            }),
        }
    }

    fn has_room(&self) -> bool {
        !self.takes_partial || (self.lock().waiting.is_none() && self.room.is_there())
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            loop {
                self.room.wait().await;
                if self.push_waiting() {
                    return;
                }
            }
        })
    }
}
