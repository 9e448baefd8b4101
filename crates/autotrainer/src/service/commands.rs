//! The task that owns the command socket. spec: autotrainer 7, 8, 9
//!
//! A request takes a slot while its handler runs, and gives it back when it is answered. A handler that goes on behind a
//! `PENDING_WITH_NOTIFICATION` has a place of its own, so that the next request, an emergency stop perhaps, is served; when
//! those places are used up, it keeps its slot.

mod job;
mod replay;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use self::job::{Job, Step, first_step, given_up, took_too_long, unavailable_because};
use self::replay::ReplayTurns;
use super::counters::Counters;
use super::deadline::Deadlines;
use super::handler::{BoxFuture, HandlerSlot, LateAnswer};
use super::log::Replays;
use super::observed::{CommandSpan, Observed};
use super::publisher::EventPublisher;
use super::waiting::{Arrival, NoRoom, Waiting, WaitingLimits};
use crate::command::{
    CommandRequest, CommandResponse, CommandResult, ResultCode, unreadable_answer,
};
use crate::json::Limits;
use crate::level::ProtocolLevel;
use crate::zmq::{CommandSocket, Envelope, Incoming, ReplyError};

/// What can be chosen about commands.
#[derive(Debug, Clone)]
pub(super) struct CommandSettings {
    pub(super) level: ProtocolLevel,
    pub(super) limits: Limits,
    pub(super) deadlines: Deadlines,
    pub(super) concurrency: usize,
    pub(super) pending_max: usize,
    pub(super) waiting: WaitingLimits,
    pub(super) replays: WaitingLimits,
}

/// Received at a time, before the next step of a handler has its turn: so few that no flood of requests holds handlers up,
/// and so many that no flood which waits for its handler hides the requests of others.
const BATCH_MAX: usize = 32;

pub(super) struct CommandLoop {
    socket: Arc<CommandSocket>,
    handler: Arc<HandlerSlot>,
    publisher: EventPublisher,
    counters: Arc<Counters>,
    observed: Observed,
    settings: CommandSettings,
    waiting: Waiting,
    /// In the order in which they came, in which a stop tells of them.
    jobs: BTreeMap<u64, Job>,
    /// At least one for each job: its next step. And one that is none; see [`no_steps`].
    steps: FuturesUnordered<BoxFuture<(u64, Step)>>,
    next_id: u64,
    slots_taken: usize,
    replays: Option<ReplayTurns>,
}

impl CommandLoop {
    pub(super) fn new(
        socket: Arc<CommandSocket>,
        handler: Arc<HandlerSlot>,
        publisher: EventPublisher,
        counters: Arc<Counters>,
        observed: Observed,
        settings: CommandSettings,
        replays: Option<Replays>,
    ) -> Self {
        Self {
            socket,
            handler,
            publisher,
            counters,
            observed,
            waiting: Waiting::new(settings.waiting),
            replays: replays.map(|log| ReplayTurns::new(log, settings.replays)),
            settings,
            jobs: BTreeMap::new(),
            steps: no_steps(),
            next_id: 0,
            slots_taken: 0,
        }
    }

    /// Serves until it shall stop; what runs then has the linger to come to its end.
    pub(super) async fn run(mut self, stop: CancellationToken, linger: std::time::Duration) {
        let stopped = stop.cancelled();
        tokio::pin!(stopped);
        loop {
            self.start_waiting();
            self.start_replays();
            tokio::select! {
                biased;
                () = &mut stopped => break,
                Some((id, step)) = self.steps.next() => {
                    self.advance(id, step);
                    self.receive_more();
                }
                incoming = self.socket.receive() => match incoming {
                    Ok(incoming) => {
                        self.arrive(incoming);
                        self.receive_more();
                    }
                    Err(error) => {
                        tracing::error!(%error, "the command socket was closed under the service");
                        return;
                    }
                },
            }
        }
        self.wind_down(Instant::now() + linger).await;
    }

    /// What has come in already.
    fn receive_more(&mut self) {
        for _ in 0..BATCH_MAX {
            let Ok(Some(incoming)) = self.socket.try_receive() else {
                return;
            };
            self.arrive(incoming);
        }
    }

    fn arrive(&mut self, incoming: Incoming) {
        if self.waiting.would_refuse_unheard(incoming.envelope.peer()) {
            self.counters.refused_per_client.count();
            self.counters.count_lost_reply(ReplyError::NotReading);
            return;
        }
        let arrival = self.read(incoming);
        let Some(arrival) = self.replay(arrival) else {
            return;
        };
        if let Err((no_room, refused)) = self.waiting.push(arrival) {
            match no_room {
                NoRoom::PerClient => self.counters.refused_per_client.count(),
                NoRoom::InAll => self.counters.refused_in_all.count(),
            }
            let client = refused.envelope.peer().clone();
            let refusal = self.refuse(*refused, "Too many requests are waiting.");
            if refusal == Some(ReplyError::NotReading) {
                self.waiting.mark_deaf(&client);
            }
        }
    }

    fn add_job(&mut self, job: Job) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.jobs.insert(id, job);
        id
    }

    fn read(&self, incoming: Incoming) -> Arrival {
        let (level, limits) = (self.settings.level, &self.settings.limits);
        let request = CommandRequest::from_frames(&incoming.frames, level, limits);
        if let Err(error) = &request {
            self.counters.count_malformed(error);
            tracing::debug!(%error, "a request cannot be read");
        }
        Arrival {
            bytes: incoming.frames.iter().map(Bytes::len).sum(),
            envelope: incoming.envelope,
            request,
            arrived_at: Instant::now(),
        }
    }

    fn start_waiting(&mut self) {
        while self.slots_taken < self.settings.concurrency {
            let Some(arrival) = self.waiting.pop() else {
                return;
            };
            self.start(arrival);
        }
    }

    fn start(&mut self, arrival: Arrival) {
        let Arrival {
            envelope,
            request,
            arrived_at,
            ..
        } = arrival;
        // spec: autotrainer 7.3
        let Ok(request) = request else {
            self.reply(envelope, unreadable_answer());
            return;
        };
        let Some(call) = self.handler.call(&request) else {
            let response = CommandResponse::unavailable();
            self.answer(envelope, &request, &response, arrived_at);
            return;
        };
        let deadline = self.settings.deadlines.of(request.command);
        let id = self.add_job(Job {
            envelope: Some(envelope),
            request,
            arrived_at,
            span: CommandSpan::default(),
            has_slot: true,
            is_replay: false,
        });
        self.slots_taken += 1;
        self.then(id, first_step(call, deadline));
    }

    fn then(&self, id: u64, step: impl Future<Output = Step> + Send + 'static) {
        self.steps.push(Box::pin(async move { (id, step.await) }));
    }

    fn advance(&mut self, id: u64, step: Step) {
        match step {
            Step::Returned((response, late)) => self.returned(id, response, late),
            Step::Overdue(call) => {
                self.counters.made_pending.count();
                let pending = CommandResponse::new(ResultCode::PendingWithNotification);
                self.answer_job(id, &pending);
                self.go_on_behind(id);
                self.then(id, async move { Step::Returned(call.await) });
            }
            Step::TimedOut => {
                self.counters.timed_out.count();
                self.answer_job(id, &took_too_long());
                self.finish(id);
            }
            Step::Late(Some(response)) => self.publish_late(id, response),
            Step::Late(None) | Step::Published => self.finish(id),
            Step::Replayed(response) => {
                self.answer_job(id, &response);
                self.finish(id);
            }
            Step::GivenUp => {
                self.counters.late_results_given_up.count();
                self.publish_late(id, given_up());
            }
        }
    }

    fn returned(&mut self, id: u64, response: CommandResponse, mut late: LateAnswer) {
        if response.has_failed_data() {
            tracing::error!("the data of a command's response has no JSON form");
        }
        let is_pending = response.result == ResultCode::PendingWithNotification;
        let was_answered = !self.answer_job(id, &response);
        if !is_pending {
            if was_answered {
                self.publish_late(id, response);
            } else {
                self.finish(id);
            }
            return;
        }
        match late.try_recv() {
            Ok(known) => self.advance(id, Step::Late(known)),
            Err(TryRecvError::Closed) => self.advance(id, Step::GivenUp),
            Err(TryRecvError::Empty) => {
                self.go_on_behind(id);
                self.then(
                    id,
                    async move { late.await.map_or(Step::GivenUp, Step::Late) },
                );
            }
        }
    }

    /// Only called once the answer was handed to the transport. spec: autotrainer 8.5
    fn publish_late(&mut self, id: u64, response: CommandResponse) {
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        let result = CommandResult::of(&job.request, self.settings.level, response);
        let (publisher, counters) = (self.publisher.clone(), Arc::clone(&self.counters));
        let (observed, span, arrived_at) = (self.observed.clone(), job.span, job.arrived_at);
        self.then(id, async move {
            match publisher.put_result(&result).await {
                Ok(()) => {
                    counters.late_results.count();
                    observed.late_result(span, &result, arrived_at.elapsed());
                }
                Err(error) => {
                    counters.late_results_given_up.count();
                    tracing::error!(%error, "a late result cannot be published");
                }
            }
            Step::Published
        });
    }

    /// `false` if it was answered already.
    fn answer_job(&mut self, id: u64, response: &CommandResponse) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else {
            return false;
        };
        let Some(envelope) = job.envelope.take() else {
            return false;
        };
        let job = &self.jobs[&id];
        let (span, _) = self.answer(envelope, &job.request, response, job.arrived_at);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.span = span;
        }
        true
    }

    /// Gives the slot back if there is a place for one more that goes on behind its answer.
    fn go_on_behind(&mut self, id: u64) {
        let behind = self.jobs.len() - self.slots_taken - self.replays_running();
        if let Some(job) = self.jobs.get_mut(&id)
            && job.has_slot
            && behind < self.settings.pending_max
        {
            job.has_slot = false;
            self.slots_taken -= 1;
        }
    }

    fn finish(&mut self, id: u64) {
        if let Some(job) = self.jobs.remove(&id) {
            self.slots_taken -= usize::from(job.has_slot);
            if job.is_replay {
                self.end_replay();
            }
        }
    }

    /// As [`Self::reply`].
    fn refuse(&self, arrival: Arrival, why: &str) -> Option<ReplyError> {
        self.refuse_with(arrival, &unavailable_because(why))
    }

    fn refuse_with(&self, arrival: Arrival, response: &CommandResponse) -> Option<ReplyError> {
        let Ok(request) = arrival.request else {
            return self.reply(arrival.envelope, unreadable_answer());
        };
        let (_, unread) = self.answer(arrival.envelope, &request, response, arrival.arrived_at);
        unread
    }

    fn answer(
        &self,
        envelope: Envelope,
        request: &CommandRequest,
        response: &CommandResponse,
        arrived_at: Instant,
    ) -> (CommandSpan, Option<ReplyError>) {
        let unread = self.reply(envelope, response.to_frame(request, self.settings.level));
        let took = arrived_at.elapsed();
        self.counters
            .count_answer(request.command, response.result, took);
        (self.observed.answered(request, response, took), unread)
    }

    /// Why nobody gets it, if so.
    fn reply(&self, envelope: Envelope, payload: Bytes) -> Option<ReplyError> {
        let error = self.socket.reply(envelope, payload).err()?;
        self.counters.count_lost_reply(error);
        tracing::debug!(%error, "a reply went nowhere");
        Some(error)
    }

    /// Handlers that run may finish; everything else is refused.
    async fn wind_down(&mut self, deadline: Instant) {
        while let Some(arrival) = self.waiting.pop() {
            self.refuse(arrival, STOPPING);
        }
        self.refuse_waiting_replays();
        let finished = timeout_at(deadline, self.finish_jobs()).await;
        if finished.is_err() {
            self.abandon_jobs();
        }
        while let Ok(Some(incoming)) = self.socket.try_receive() {
            let arrival = self.read(incoming);
            self.refuse(arrival, STOPPING);
        }
    }

    async fn finish_jobs(&mut self) {
        while !self.jobs.is_empty() {
            tokio::select! {
                biased;
                Some((id, step)) = self.steps.next() => self.advance(id, step),
                Ok(incoming) = self.socket.receive() => {
                    let arrival = self.read(incoming);
                    self.refuse(arrival, STOPPING);
                }
            }
        }
    }

    fn abandon_jobs(&mut self) {
        self.steps.clear();
        for (_, job) in std::mem::take(&mut self.jobs) {
            let response = unavailable_because("The service stopped before the command was done.");
            if let Some(envelope) = job.envelope {
                self.answer(envelope, &job.request, &response, job.arrived_at);
                continue;
            }
            self.counters.late_results_given_up.count();
            let result = CommandResult::of(&job.request, self.settings.level, response);
            match self.publisher.try_put_result(&result) {
                Ok(()) => {
                    let took = job.arrived_at.elapsed();
                    self.observed.late_result(job.span, &result, took);
                }
                Err(error) => tracing::error!(%error, "a late result cannot be published"),
            }
        }
    }
}

/// No steps, but one that never comes. A set that has polled all it holds, as it always has with one job at a time, wakes its
/// own task, and with it another thread of the runtime.
fn no_steps() -> FuturesUnordered<BoxFuture<(u64, Step)>> {
    let never: BoxFuture<_> = Box::pin(std::future::pending());
    FuturesUnordered::from_iter([never])
}

const STOPPING: &str = "The service is stopping.";

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_job_that_runs_alone_does_not_wake_the_task() {
        let wakes = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        let mut steps = no_steps();
        // What never ends is polled once, too.
        assert!(steps.poll_next_unpin(&mut context).is_pending());
        let before = wakes.0.load(Ordering::Relaxed);
        steps.push(Box::pin(std::future::pending()));
        for _ in 0..3 {
            assert!(steps.poll_next_unpin(&mut context).is_pending());
        }
        assert_eq!(wakes.0.load(Ordering::Relaxed), before);
    }
}
