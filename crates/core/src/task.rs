//! The life of one execution, from admission to its terminal event.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::CatchUnwind;

use crate::context::Context;
use crate::error::{NodeError, NodeErrorKind};
use crate::event::{DropReason, ExecutionEvent};
use crate::fetch;
use crate::node::{BoxFuture, DynNode};
use crate::observe::Ended;
use crate::running::{Running, SlotGuard, StopReason};
use crate::shared::Shared;
use crate::shutdown::Phase;
use crate::stats::{Ending, Outcome};
use crate::value::Outputs;

/// Sees one execution through. If it is dropped half-way, because the runtime goes down, the execution fails, unless a
/// stop was asked for before.
pub(crate) struct Task {
    pub(crate) running: Arc<Running>,
    shared: Arc<Shared>,
    /// The place in the node's concurrency limit, once there is one.
    place: Option<SlotGuard>,
    started_at: Option<Instant>,
    /// When the handler ended, if that is known already.
    ended_at: Option<Instant>,
    finished: bool,
}

/// A called handler, whose panics are results.
type Handler = CatchUnwind<AssertUnwindSafe<BoxFuture<'static, Result<Outputs, NodeError>>>>;

type HandlerResult = Result<Result<Outputs, NodeError>, Box<dyn Any + Send>>;

impl Task {
    pub(crate) fn new(running: Arc<Running>, shared: Arc<Shared>) -> Self {
        Self {
            running,
            shared,
            place: None,
            started_at: None,
            ended_at: None,
            finished: false,
        }
    }

    /// A place was taken for this execution.
    pub(crate) fn with_place(mut self) -> Self {
        self.place = Some(SlotGuard::first(Arc::clone(&self.running)));
        self
    }

    pub(crate) async fn wait_and_run(mut self, node: Arc<dyn DynNode>) {
        match Box::pin(self.wait()).await {
            None => drop(self.with_place().run(node, Instant::now())),
            Some(event) => {
                self.leave_queue();
                self.end_unstarted(event);
            }
        }
    }

    /// Ends what was not started. A cancellation that came at the same time wins: it was promised.
    fn end_unstarted(&mut self, event: ExecutionEvent) {
        let cancelled = self.running.decide_end().is_some();
        self.finish(
            if cancelled {
                ExecutionEvent::Cancelled { abandoned: false }
            } else {
                event
            },
            false,
        );
    }

    /// Waits for a place; the terminal event if it ends before there is one.
    async fn wait(&self) -> Option<ExecutionEvent> {
        let running = &self.running;
        tokio::select! {
            // In this order, so that nothing is started that is of no use any more.
            biased;
            () = running.stopping() => Some(ExecutionEvent::Cancelled { abandoned: false }),
            () = until(running.request.deadline) => Some(ExecutionEvent::Dropped(DropReason::DeadlinePassed)),
            () = self.shared.shutdown.reached(Phase::Draining) => Some(ExecutionEvent::Dropped(DropReason::Shutdown)),
            () = running.turn.notified() => None,
        }
    }

    fn leave_queue(&mut self) {
        if self.place.is_none() && !self.running.entry.leave(self.running.queue_key()) {
            // A place was taken for it just now: give it back.
            drop(SlotGuard::first(Arc::clone(&self.running)));
        }
    }

    /// Calls the handler, and sees the execution through in a task of its own if it does not end at once. Takes and gives
    /// the time, which costs something to ask for.
    pub(crate) fn run(mut self, node: Arc<dyn DynNode>, now: Instant) -> Instant {
        if self.running.is_stopping() {
            self.place = None;
            self.finish(ExecutionEvent::Cancelled { abandoned: false }, false);
            return now;
        }
        let deadline = self.running.request.deadline;
        if deadline.is_some_and(|deadline| deadline <= now) {
            self.place = None;
            self.end_unstarted(ExecutionEvent::Dropped(DropReason::DeadlinePassed));
            return now;
        }
        self.started_at = Some(now);
        self.running.deliver(ExecutionEvent::Started);
        let context = Context::new(Arc::clone(&self.running));
        // The call itself may panic, too.
        let called = std::panic::catch_unwind(AssertUnwindSafe(|| self.call(node, context)));
        let mut handler = match called {
            Ok(handler) => AssertUnwindSafe(handler).catch_unwind(),
            Err(panic) => {
                self.end(Some(Err(panic)));
                return Instant::now();
            }
        };
        // Without a waker: whoever goes on polls again, with one.
        let first = handler.poll_unpin(&mut TaskContext::from_waker(Waker::noop()));
        let polled_at = Instant::now();
        self.running.entry.note_first_poll(polled_at - now);
        match first {
            Poll::Ready(result) => {
                self.ended_at = Some(polled_at);
                self.end(Some(result));
            }
            Poll::Pending => drop(tokio::spawn(self.supervise(handler))),
        }
        polled_at
    }

    /// Calls the handler, behind the assets that its inputs refer to where there are any.
    fn call(
        &self,
        node: Arc<dyn DynNode>,
        context: Context,
    ) -> BoxFuture<'static, Result<Outputs, NodeError>> {
        if !fetch::is_needed(&self.running.request.inputs, node.definition()) {
            return node.execute_boxed(context);
        }
        let (running, shared) = (Arc::clone(&self.running), Arc::clone(&self.shared));
        Box::pin(async move {
            shared.fetches.fetch(&running, node.definition()).await?;
            node.execute_boxed(context).await
        })
    }

    /// Waits for the handler, or for a stop and then the grace time.
    async fn supervise(mut self, mut handler: Handler) {
        let result = tokio::select! {
            biased;
            result = &mut handler => Some(result),
            () = self.stop_requested() => tokio::time::timeout(self.shared.config.grace, &mut handler).await.ok(),
        };
        // The handler goes after the end was told: dropping it may take its time.
        self.end(result);
    }

    /// Decides how it ends; without a result the handler was given up on.
    fn end(&mut self, result: Option<HandlerResult>) {
        let abandoned = result.is_none();
        let event = self.terminal_event(result);
        // The place is free before the end is told, so that a caller who reacts to the end finds it free.
        self.place = None;
        self.finish(event, abandoned);
    }

    /// Completes when the handler should stop, having told it so.
    async fn stop_requested(&self) {
        let running = &self.running;
        tokio::select! {
            () = running.stopping() => {}
            () = until(running.request.deadline) => { running.request_stop(StopReason::Deadline); }
            () = self.shared.shutdown.reached(Phase::Stopping) => { running.request_stop(StopReason::Shutdown); }
        }
    }

    fn terminal_event(&self, result: Option<HandlerResult>) -> ExecutionEvent {
        let abandoned = result.is_none();
        match (self.running.decide_end(), result) {
            (Some(StopReason::Cancelled | StopReason::Shutdown), _) => {
                ExecutionEvent::Cancelled { abandoned }
            }
            (Some(StopReason::Deadline), _) => ExecutionEvent::Failed(NodeError::new(
                NodeErrorKind::Deadline,
                "the deadline passed before the node finished",
            )),
            (None, Some(Ok(Ok(outputs)))) => ExecutionEvent::Completed(outputs),
            (None, Some(Ok(Err(error)))) => ExecutionEvent::Failed(error),
            (None, Some(Err(panic))) => ExecutionEvent::Failed(panic_error(panic.as_ref())),
            (None, None) => ExecutionEvent::Failed(NodeError::internal(
                "the execution was given up because the runtime shut down",
            )),
        }
    }

    /// Counts the end, then tells it.
    fn finish(&mut self, event: ExecutionEvent, abandoned: bool) {
        self.finished = true;
        let running = &self.running;
        let ending = Ending {
            outcome: Outcome::of(&event),
            abandoned,
            progress_dropped: running.progress_dropped(),
        };
        let ended_at = self.ended_at.unwrap_or_else(Instant::now);
        let ended = Ended {
            event: &event,
            queue_time: self
                .started_at
                .unwrap_or(ended_at)
                .saturating_duration_since(running.accepted_at),
            run_time: self.started_at.map(|started_at| ended_at - started_at),
        };
        running
            .entry
            .end(running.origin, ending, ended.queue_time, ended.run_time);
        self.shared.counters().end(ending);
        self.shared.live.remove(running.id);
        running.tell_watch(&ended);
        running.deliver(event);
        self.shared.told();
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        self.leave_queue();
        self.place = None;
        let event = self.terminal_event(None);
        self.finish(event, self.started_at.is_some());
    }
}

/// Completes at the deadline; never without one.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn panic_error(panic: &(dyn Any + Send)) -> NodeError {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    NodeError::internal(format!("the node panicked: {message}"))
}
