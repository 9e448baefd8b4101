//! Replays: commands that the event log answers.

use tokio::sync::oneshot;

use super::job::{Job, Step, unavailable_because};
use super::{CommandLoop, CommandSpan, STOPPING};
use crate::command::{CommandResponse, ResultCode};
use crate::replay::ReplayRequest;
use crate::service::log::NOT_UNDERSTOOD;
use crate::service::waiting::Arrival;

impl CommandLoop {
    /// Gives it back if the event log has nothing to do with it. A replay takes no handler's slot.
    pub(super) fn replay(&mut self, arrival: Arrival) -> Option<Arrival> {
        let (Some(replays), Ok(request)) = (&self.replays, &arrival.request) else {
            return Some(arrival);
        };
        if !ReplayRequest::is_in(request) {
            return Some(arrival);
        }
        let asked = match ReplayRequest::read(request) {
            Ok(request) => {
                let too_many = || unavailable_because("Too many replays are waiting.");
                replays.ask(request).ok_or_else(too_many)
            }
            Err(error) => {
                let failed = CommandResponse::new(ResultCode::Failed);
                Err(failed.with_error(NOT_UNDERSTOOD, error.to_string()))
            }
        };
        match asked {
            Ok(answer) => self.await_replay(arrival, answer),
            Err(response) => {
                self.counters.replays_refused.count();
                self.refuse_with(arrival, &response);
            }
        }
        None
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
        self.replays_running += 1;
        self.then(id, async move {
            let lost = |_| unavailable_because(STOPPING);
            Step::Replayed(answer.await.unwrap_or_else(lost))
        });
    }
}
