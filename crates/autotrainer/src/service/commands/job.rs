//! One request whose handler was called.

use tokio::time::{Instant, timeout};

use crate::command::{CommandRequest, CommandResponse, ResultCode};
use crate::service::deadline::Deadline;
use crate::service::handler::{BoxFuture, Outcome};
use crate::service::observed::CommandSpan;
use crate::zmq::Envelope;

/// A request whose handler was called, until nothing more is owed for it.
pub(super) struct Job {
    /// `None` once it is answered.
    pub(super) envelope: Option<Envelope>,
    pub(super) request: CommandRequest,
    pub(super) arrived_at: Instant,
    /// Of its answer.
    pub(super) span: CommandSpan,
    pub(super) has_slot: bool,
    /// Answered by the event log, not by the handler.
    pub(super) is_replay: bool,
}

/// What happened to a job.
pub(super) enum Step {
    /// The handler returned.
    Returned(Outcome),
    /// The handler took too long, and goes on.
    Overdue(BoxFuture<Outcome>),
    /// The handler took too long, and is gone.
    TimedOut,
    /// The late result came, if there is one.
    Late(Option<CommandResponse>),
    /// The handler let go of its late result.
    GivenUp,
    /// The late result was queued.
    Published,
    /// The event log answered.
    Replayed(CommandResponse),
}

pub(super) async fn first_step(mut call: BoxFuture<Outcome>, deadline: Deadline) -> Step {
    match deadline {
        Deadline::Wait => Step::Returned(call.await),
        Deadline::PendingAfter(after) => match timeout(after, &mut call).await {
            Ok(outcome) => Step::Returned(outcome),
            Err(_) => Step::Overdue(call),
        },
        Deadline::FailAfter(after) => match timeout(after, call).await {
            Ok(outcome) => Step::Returned(outcome),
            Err(_) => Step::TimedOut,
        },
    }
}

pub(super) fn unavailable_because(why: &str) -> CommandResponse {
    let mut response = CommandResponse::unavailable();
    response.error_message = Some(why.to_owned());
    response
}

pub(super) fn took_too_long() -> CommandResponse {
    let mut response = CommandResponse::new(ResultCode::Failed);
    response.error_message = Some("The command took too long.".to_owned());
    response
}

pub(super) fn given_up() -> CommandResponse {
    let mut response = CommandResponse::new(ResultCode::Failed);
    response.error_message = Some("The command was given up without a result.".to_owned());
    response
}
