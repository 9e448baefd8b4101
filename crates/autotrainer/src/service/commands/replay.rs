//! Replays: commands that the event log answers, each client's in order, clients in turn.

use tokio::sync::oneshot;

use super::job::{Job, Step, unavailable_because};
use super::{CommandLoop, CommandSpan, STOPPING};
use crate::command::{CommandRequest, CommandResponse, ResultCode};
use crate::replay::ReplayRequest;
use crate::service::log::{NOT_UNDERSTOOD, REPLAYS_ASKED_MAX, Replays};
use crate::service::waiting::{Arrival, Waiting, WaitingLimits};

/// Where replays wait for their turn, and how many have it. They take no handler's slot.
pub(super) struct ReplayTurns {
    log: Replays,
    pub(super) waiting: Waiting,
    running: usize,
}

impl ReplayTurns {
    pub(super) fn new(log: Replays, limits: WaitingLimits) -> Self {
        Self {
            log,
            waiting: Waiting::new(limits),
            running: 0,
        }
    }

    fn next(&mut self) -> Option<Arrival> {
        if self.running >= REPLAYS_ASKED_MAX {
            return None;
        }
        self.waiting.pop()
    }

    fn ask(
        &self,
        request: &CommandRequest,
    ) -> Result<oneshot::Receiver<CommandResponse>, CommandResponse> {
        let request = ReplayRequest::read(request).map_err(|error| {
            let failed = CommandResponse::new(ResultCode::Failed);
            failed.with_error(NOT_UNDERSTOOD, error.to_string())
        })?;
        let too_many = || unavailable_because(TOO_MANY);
        self.log.ask(request).ok_or_else(too_many)
    }
}

const TOO_MANY: &str = "Too many replays are waiting.";

impl CommandLoop {
    /// Gives it back if the event log has nothing to do with it.
    pub(super) fn replay(&mut self, arrival: Arrival) -> Option<Arrival> {
        let (Some(replays), Ok(request)) = (&mut self.replays, &arrival.request) else {
            return Some(arrival);
        };
        if !ReplayRequest::is_in(request) {
            return Some(arrival);
        }
        if let Err((_, refused)) = replays.waiting.push(arrival) {
            self.counters.replays_refused.count();
            self.refuse(*refused, TOO_MANY);
        }
        None
    }

    pub(super) fn start_replays(&mut self) {
        while let Some(replays) = &mut self.replays
            && let Some(arrival) = replays.next()
        {
            let Ok(request) = &arrival.request else {
                continue;
            };
            match replays.ask(request) {
                Ok(answer) => {
                    replays.running += 1;
                    self.await_replay(arrival, answer);
                }
                Err(response) => {
                    self.counters.replays_refused.count();
                    self.refuse_with(arrival, &response);
                }
            }
        }
    }

    fn await_replay(&mut self, arrival: Arrival, answer: oneshot::Receiver<CommandResponse>) {
        let Ok(request) = arrival.request else {
            return;
        };
        let id = self.add_job(Job {
            envelope: Some(arrival.envelope),
            request,
            arrived_at: arrival.arrived_at,
            span: CommandSpan::default(),
            has_slot: false,
            is_replay: true,
        });
        self.then(id, async move {
            let lost = |_| unavailable_because(STOPPING);
            Step::Replayed(answer.await.unwrap_or_else(lost))
        });
    }

    pub(super) fn end_replay(&mut self) {
        if let Some(replays) = &mut self.replays {
            replays.running -= 1;
        }
    }

    pub(super) fn replays_running(&self) -> usize {
        self.replays.as_ref().map_or(0, |replays| replays.running)
    }

    pub(super) fn refuse_waiting_replays(&mut self) {
        while let Some(arrival) = self.replays.as_mut().and_then(|it| it.waiting.pop()) {
            self.refuse(arrival, STOPPING);
        }
    }
}
