//! An execution's events as what is sent for its frame.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ::nnrp::server::{AnswerError, DropReason, Responder, ResultRoom};
use nnrp_wire::build::ResultWorth;
use nnrp_wire::metadata::ResultHintMetadata;
use nnrp_wire::{
    BudgetPolicy, CongestionState, ErrorCode, HintPolicy, HintReason, ResultPush, WireError,
};
use nodewire_core::{
    Assets, BoxFuture, CancelHandle, DropReason as ExecutionDrop, DynNode, EventSink,
    ExecutionEvent, ExecutionId, ExecutionRequest, Executor, NodeDefinition, NodeError,
    NodeErrorKind, Outputs, Progress,
};
use tokio::sync::Notify;

use super::counts::Counted;
use super::frame::is_budget_over;
use super::{codes, outputs};
use crate::capability::{Feature, Losses, Wire};
use crate::nanograph::Transfers;
use crate::oversize::{self, Form};
use crate::plain;

/// What all executions of the wire share.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    pub(super) assets: Assets,
    pub(super) transfers: Transfers,
    pub(super) losses: Losses,
    pub(super) counted: Counted,
    pub(super) result_bytes_max: usize,
}

/// Turns the events of one execution into results.
pub(super) struct FrameSink {
    /// For where its outputs stand.
    node: Option<Arc<dyn DynNode>>,
    takes_partial: bool,
    room: ResultRoom,
    outlet: Outlet,
    state: Mutex<State>,
    ended: Notify,
    this: Weak<Self>,
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
        outlet: Outlet,
    ) -> Arc<Self> {
        let allowed = answer.budget().allowed;
        Arc::new_cyclic(|this| Self {
            node,
            takes_partial: allowed.contains(BudgetPolicy::ALLOW_PARTIAL),
            room: answer.room(),
            outlet,
            state: Mutex::new(State {
                answer: Some(answer),
                waiting: None,
                has_hinted: false,
                has_lost_progress: false,
                has_lost_partial: false,
            }),
            ended: Notify::new(),
            this: Weak::clone(this),
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

    fn complete(&self, all: Outputs) {
        if outputs::are_short(&all, self.outlet.result_bytes_max) {
            return self.complete_with(self.result(all));
        }
        match self.result(all.clone()) {
            Ok(result) if self.has_room_for(&result) => self.complete_with(Ok(result)),
            Ok(_) | Err(_) if self.outlet.assets.is_available() => self.keep(all),
            Ok(_) | Err(_) => {
                self.too_long(&outputs::too_long(&all, self.outlet.result_bytes_max));
            }
        }
    }

    fn complete_with(&self, result: Result<ResultPush, WireError>) {
        self.end(|answer| outputs::complete(answer, result));
    }

    fn result(&self, all: Outputs) -> Result<ResultPush, WireError> {
        outputs::result(all, self.definition(), ResultWorth::COMPLETE)
    }

    fn has_room_for(&self, result: &ResultPush) -> bool {
        result.body_bytes() <= self.outlet.result_bytes_max as u64
    }

    /// Keeps outputs, or the longest bytes among them, as assets, and sends references instead.
    fn keep(&self, all: Outputs) {
        // The caller has it, so it can be had.
        let Some(this) = self.this.upgrade() else {
            return;
        };
        self.outlet.transfers.run(async move {
            match this.kept(all).await {
                Ok(result) => {
                    this.outlet.counted.kept();
                    this.complete_with(Ok(result));
                }
                Err(error) => {
                    tracing::warn!(%error, "outputs that are longer than a result cannot be stored");
                    this.too_long(&error);
                }
            }
        });
    }

    async fn kept(&self, all: Outputs) -> Result<ResultPush, NodeError> {
        let (assets, bytes_max) = (&self.outlet.assets, self.outlet.result_bytes_max);
        // What stands around the values is not much beside those that are kept.
        let room = bytes_max - bytes_max / 8;
        let all = oversize::keep_longest(all, room, Form::Payloads, assets).await?;
        if let Ok(result) = self.result(all.clone())
            && self.has_room_for(&result)
        {
            return Ok(result);
        }
        let reference = oversize::keep_document(&all, assets).await?;
        outputs::document(reference).map_err(|error| NodeError::internal(error.to_string()))
    }

    fn too_long(&self, error: &NodeError) {
        self.outlet.counted.too_long();
        self.end(|answer| outputs::fail_long(answer, error));
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
            Ok(result) if self.has_room_for(&result) => result,
            Ok(_) => {
                tracing::warn!("partial outputs are lost: they are longer than a result may be");
                return self.lose_partial(&mut state);
            }
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
            self.outlet
                .losses
                .count(Wire::Nnrp, Feature::PartialOutputs);
        }
    }

    fn lose_progress(&self, state: &mut State) {
        if !state.has_lost_progress {
            state.has_lost_progress = true;
            self.outlet.losses.count(Wire::Nnrp, Feature::Progress);
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
            ExecutionEvent::Completed(all) => self.complete(all),
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
