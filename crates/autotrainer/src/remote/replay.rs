//! Asking for what a service has kept.

use thiserror::Error;

use super::Remote;
use super::call::Call;
use super::error::CallError;
use crate::command::{CommandAnswer, ResultCode};
use crate::replay::{ReplayPage, ReplayRequest};

/// Pages of a replay, one after the other; made by [`Remote::replay`].
#[derive(Debug)]
pub struct Replay<'remote> {
    remote: &'remote Remote,
    request: ReplayRequest,
    is_complete: bool,
}

/// Why nothing is replayed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The service keeps no events: it has no event log, or is not of this crate.
    #[error("the service keeps no events; start it with an event log")]
    NotOffered,
    /// The service has too much to do, or is stopping: ask again later.
    #[error("the service does not replay now: {0}")]
    Busy(String),
    /// The service cannot replay.
    #[error("the service does not replay: {0}")]
    Refused(String),
    /// There is no answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Remote {
    /// What the service has kept, page by page.
    pub const fn replay(&self, request: ReplayRequest) -> Replay<'_> {
        Replay {
            remote: self,
            request,
            is_complete: false,
        }
    }

    /// One page of what the service has kept. When the future is dropped, nothing but the page is lost.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub async fn replay_page(&self, request: &ReplayRequest) -> Result<ReplayPage, ReplayError> {
        let call = Call::named(self, ReplayRequest::COMMAND).data(request);
        understand(&call.send().await?.answer)
    }
}

impl Replay<'_> {
    /// The next page; `None` after the last. When the future is dropped, or fails, the same page is asked for again.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub async fn next_page(&mut self) -> Result<Option<ReplayPage>, ReplayError> {
        if self.is_complete {
            return Ok(None);
        }
        let page = self.remote.replay_page(&self.request).await?;
        self.request.after = page.next;
        self.request.log_id = Some(page.log_id.clone());
        self.is_complete = page.is_complete;
        Ok(Some(page))
    }
}

/// A service without a log answers as its handler likes.
fn understand(answer: &CommandAnswer) -> Result<ReplayPage, ReplayError> {
    let message = answer.error_message.as_deref();
    match (answer.result, message) {
        (ResultCode::Success, _) => {
            ReplayPage::from_data(&answer.verbatim_data).ok_or(ReplayError::NotOffered)
        }
        (ResultCode::Unavailable, Some(message)) => Err(ReplayError::Busy(message.to_owned())),
        (ResultCode::Failed, Some(message)) => Err(ReplayError::Refused(message.to_owned())),
        _ => Err(ReplayError::NotOffered),
    }
}
