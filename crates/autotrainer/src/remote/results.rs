//! Results that come later. spec: autotrainer 8.5
//!
//! A place is taken before the request is sent, so that a result which comes before the reply is kept, and there is never
//! more than one per command.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;

use super::counters::Counters;
use crate::command::{Command, CommandResult};

/// The result of a command that was answered with `PENDING_WITH_NOTIFICATION`.
///
/// Dropping it gives the result up: it then counts as foreign.
#[derive(Debug)]
pub struct PendingResult {
    expected: Expected,
}

/// There is no result yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ResultError {
    /// It did not come in time. It may still come: the same call can be made again.
    #[error("the result has not come within {} s; it may still come", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The remote was closed.
    #[error("the remote is closed; the result will not be received")]
    Closed,
}

impl PendingResult {
    /// The nonce of the request.
    #[must_use]
    pub const fn nonce(&self) -> u64 {
        self.expected.nonce
    }

    /// Waits for the result. Nothing is lost when the future is dropped: call again.
    ///
    /// # Errors
    /// If it does not come in time, or cannot come any more. A service that has been restarted knows nothing of it.
    pub async fn result(&mut self, timeout: Duration) -> Result<CommandResult, ResultError> {
        match tokio::time::timeout(timeout, self.expected.wait()).await {
            Ok(Some(result)) => Ok(result),
            Ok(None) => Err(ResultError::Closed),
            Err(_) => Err(ResultError::TimedOut(timeout)),
        }
    }

    /// The result, if it has come.
    pub fn try_result(&mut self) -> Option<CommandResult> {
        self.expected.try_take()
    }
}

/// A place for one result.
#[derive(Debug)]
pub(super) struct Expected {
    nonce: u64,
    receiver: oneshot::Receiver<CommandResult>,
    received: Option<CommandResult>,
    results: Arc<Results>,
}

impl Expected {
    pub(super) const fn into_pending(self) -> PendingResult {
        PendingResult { expected: self }
    }

    async fn wait(&mut self) -> Option<CommandResult> {
        if self.received.is_none() {
            self.received = (&mut self.receiver).await.ok();
        }
        self.received.clone()
    }

    pub(super) fn try_take(&mut self) -> Option<CommandResult> {
        if self.received.is_none() {
            self.received = self.receiver.try_recv().ok();
        }
        self.received.clone()
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.results.lock().remove(&self.nonce);
    }
}

#[derive(Debug)]
pub(super) struct Results {
    places: Mutex<HashMap<u64, Place>>,
    max: usize,
}

#[derive(Debug)]
struct Place {
    command_number: i64,
    sender: Option<oneshot::Sender<CommandResult>>,
}

impl Results {
    pub(super) fn new(max: usize) -> Self {
        Self {
            places: Mutex::default(),
            max,
        }
    }

    /// `None` if there are too many, or another has the nonce.
    pub(super) fn expect(self: &Arc<Self>, nonce: u64, command_number: i64) -> Option<Expected> {
        let mut places = self.lock();
        if places.len() >= self.max {
            return None;
        }
        let Entry::Vacant(place) = places.entry(nonce) else {
            return None;
        };
        let (sender, receiver) = oneshot::channel();
        place.insert(Place {
            command_number,
            sender: Some(sender),
        });
        Some(Expected {
            nonce,
            receiver,
            received: None,
            results: Arc::clone(self),
        })
    }

    pub(super) fn resolve(&self, result: &CommandResult, counters: &Counters) {
        let mut places = self.lock();
        let place = result
            .nonce_number()
            .and_then(|nonce| places.get_mut(&nonce));
        let sender = place
            .filter(|place| place.fits(result.command_number))
            .and_then(|place| place.sender.take());
        drop(places);
        // An error says that it was given up just now.
        if sender.is_some_and(|sender| sender.send(result.clone()).is_ok()) {
            counters.results.count();
        } else {
            counters.foreign_results.count();
        }
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        for place in self.lock().values_mut() {
            place.sender = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// An application may forget the number, and what a service does not know becomes user-defined. spec: autotrainer 5.5
    const fn fits(&self, number: i64) -> bool {
        number == self.command_number || number == 0 || number == Command::USER_DEFINED_NUMBER
    }
}
