//! One command and its answer.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use nodewire_json::Json;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::Remote;
use super::command_loop::Submission;
use super::error::CallError;
use super::results::{Expected, PendingResult};
use crate::casing::decamelize_keys;
use crate::command::{Command, CommandAnswer, OutgoingRequest, ResultCode};
use crate::json::{EncodeError, encode};

/// The answer to a call.
#[derive(Debug)]
pub struct Answer {
    /// What the service answered.
    pub answer: CommandAnswer,
    /// The result that is still to come, if it was answered with `PENDING_WITH_NOTIFICATION`.
    pub pending: Option<PendingResult>,
}

/// A command that is about to be sent; made by [`Remote::command`] and its like.
#[derive(Debug)]
#[must_use = "nothing is sent before `send`"]
pub struct Call<'remote> {
    remote: &'remote Remote,
    what: What,
    data: Result<Json, EncodeError>,
    timeout: Duration,
    attempts: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Command(Command),
    Number(i64),
    Custom(i64),
    Named(&'static str),
}

#[cfg(feature = "telemetry")]
impl What {
    /// Of few values, so that spans can be grouped by it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Command(command) => command.name(),
            Self::Number(_) => "by number",
            Self::Custom(_) | Self::Named(_) => Command::UserDefined.name(),
        }
    }
}

impl<'remote> Call<'remote> {
    pub(super) fn command(remote: &'remote Remote, command: Command) -> Self {
        Self::new(remote, What::Command(command))
    }

    pub(super) fn number(remote: &'remote Remote, number: i64) -> Self {
        Self::new(remote, What::Number(number))
    }

    pub(super) fn custom(remote: &'remote Remote, custom_command: i64) -> Self {
        Self::new(remote, What::Custom(custom_command))
    }

    pub(super) fn named(remote: &'remote Remote, custom_command: &'static str) -> Self {
        Self::new(remote, What::Named(custom_command))
    }

    fn new(remote: &'remote Remote, what: What) -> Self {
        Self {
            what,
            data: Ok(Json::null()),
            timeout: remote.shared.options.timeout,
            attempts: 1,
            remote,
        }
    }

    /// With this data, its keys in snake_case.
    pub fn data(mut self, data: &impl Serialize) -> Self {
        self.data = encode(data).map(|data| decamelize_keys(&data));
        self
    }

    /// With data whose keys are data too, and arrive as they are.
    pub fn verbatim_data(mut self, data: Json) -> Self {
        self.data = Ok(data);
        self
    }

    /// How long each attempt may take, waiting for a connection included.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Says that the command does no harm when it is carried out more than once, and has it sent again, with another
    /// nonce, up to so many times while there is no answer. Without it nothing is ever sent twice.
    pub const fn retry_idempotent(mut self, retries: u32) -> Self {
        self.attempts = retries.saturating_add(1);
        self
    }

    /// Sends it and waits for the answer.
    ///
    /// When the future is dropped, a command that was not sent yet is not sent; one that was is carried out all the
    /// same, and its answer is dropped.
    ///
    /// # Errors
    /// See [`CallError`], and [`CallError::is_unsent`].
    pub async fn send(self) -> Result<Answer, CallError> {
        let (what, observed) = (self.what, &self.remote.shared.observed);
        let start = observed.start();
        let outcome = self.send_attempts().await;
        observed.called(what, start, &outcome);
        outcome
    }

    async fn send_attempts(self) -> Result<Answer, CallError> {
        let data = self.data?;
        let mut attempts = self.attempts;
        loop {
            attempts -= 1;
            match attempt(self.remote, self.what, data.clone(), self.timeout).await {
                Err(error) if attempts > 0 && error.is_worth_another_attempt() => {}
                outcome => return outcome,
            }
        }
    }
}

async fn attempt(
    remote: &Remote,
    what: What,
    data: Json,
    timeout: Duration,
) -> Result<Answer, CallError> {
    let request = request(remote, what)?.with_verbatim_data(data);
    let frame = request.to_frame();
    let (bytes, bytes_max) = (frame.len(), remote.shared.options.limits.frame_bytes_max);
    if bytes > bytes_max {
        return Err(CallError::TooLong { bytes, bytes_max });
    }
    let deadline = deadline(timeout);
    let permit = Arc::clone(&remote.permits).acquire_owned();
    let permit = timeout_at(deadline, permit).await;
    let permit = permit.map_err(|_| CallError::Busy)?;
    let permit = permit.map_err(|_| CallError::Closed)?;
    let nonce = request.nonce.get();
    let results = &remote.shared.results;
    let expected = results
        .expect(nonce, request.command_number)
        .ok_or(CallError::TooManyResults)?;
    let (reply, answer) = oneshot::channel();
    let submission = Submission {
        nonce,
        frame,
        deadline,
        reply,
        permit,
    };
    let submitted = remote.submissions.send(submission).await;
    submitted.map_err(|_| CallError::Closed)?;
    conclude(answer.await.unwrap_or(Err(CallError::Closed)), expected)
}

fn conclude(
    outcome: Result<CommandAnswer, CallError>,
    mut expected: Expected,
) -> Result<Answer, CallError> {
    match outcome {
        Ok(answer) => {
            let is_pending = answer.result == ResultCode::PendingWithNotification;
            Ok(Answer {
                answer,
                pending: is_pending.then(|| expected.into_pending()),
            })
        }
        Err(error) => match expected.try_take() {
            Some(result) => Err(CallError::ResultOnly(Box::new(result))),
            None => Err(error),
        },
    }
}

fn request(remote: &Remote, what: What) -> Result<OutgoingRequest, CallError> {
    let (nonce, level) = (random_nonce(), remote.level());
    match what {
        What::Command(command) => OutgoingRequest::new(command, level, nonce)
            .ok_or(CallError::UnknownCommand { command, level }),
        What::Number(number) => Ok(OutgoingRequest::numbered(number, nonce)),
        What::Custom(custom_command) => Ok(OutgoingRequest::custom(custom_command, nonce)),
        What::Named(custom_command) => Ok(OutgoingRequest::named(custom_command, nonce)),
    }
}

/// No time overflows the clock.
pub(super) fn deadline(timeout: Duration) -> Instant {
    const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    Instant::now() + timeout.min(TIMEOUT_MAX)
}

/// Another client may choose nonces too, so they are random: of 53 bits, which every JSON reader keeps.
/// spec: autotrainer 8.5
pub(super) fn random_nonce() -> NonZeroU64 {
    let (_, low) = Uuid::new_v4().as_u64_pair();
    NonZeroU64::new(low & ((1 << 53) - 1)).unwrap_or(NonZeroU64::MIN)
}
