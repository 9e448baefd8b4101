//! Room for the bodies of requests.

use std::error::Error;
use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use http_body_util::LengthLimitError;
use nodewire_core::{NodeError, NodeErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Problem;

/// Bodies are counted in pieces of so many bytes.
const PIECE_BYTES: usize = 1024;

/// Room for the bodies of requests: so much for one, so much for all together.
#[derive(Debug)]
pub(crate) struct Bodies {
    body_bytes_max: usize,
    pieces: Arc<Semaphore>,
}

/// Room for a body, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Room(OwnedSemaphorePermit);

impl Bodies {
    /// Of so many bytes each, and together, which is one body at least.
    pub(crate) fn new(body_bytes_max: usize, bodies_bytes_max: usize) -> Self {
        let bytes = bodies_bytes_max.max(body_bytes_max);
        let pieces = bytes.div_ceil(PIECE_BYTES).min(Semaphore::MAX_PERMITS);
        Self {
            body_bytes_max,
            pieces: Arc::new(Semaphore::new(pieces)),
        }
    }

    /// Room for this request's body, before any of it is read.
    ///
    /// # Errors
    /// It is too large, or there is no room for it now.
    pub(crate) fn room(&self, request: &Request) -> Result<Room, Problem> {
        let max = self.body_bytes_max;
        let announced = request.body().size_hint().upper();
        let bytes = announced.map_or(max, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if bytes > max {
            return Err(Problem::too_large(max));
        }
        let room = Arc::clone(&self.pieces).try_acquire_many_owned(pieces(bytes));
        room.map(Room).map_err(|_| {
            Problem::from(NodeError::new(
                NodeErrorKind::Overloaded,
                "the server holds as many bytes of requests as it may; try again later",
            ))
        })
    }

    /// All of a body.
    ///
    /// # Errors
    /// It is too large, or its connection breaks.
    pub(crate) async fn read(&self, body: Body) -> Result<Bytes, Problem> {
        let read = axum::body::to_bytes(body, self.body_bytes_max).await;
        read.map_err(|error| {
            if error.source().is_some_and(|it| it.is::<LengthLimitError>()) {
                return Problem::too_large(self.body_bytes_max);
            }
            let text = format!("the body cannot be read: {error}");
            Problem::new(StatusCode::BAD_REQUEST, "invalid_input", &text)
        })
    }
}

impl Room {
    /// Gives back what a body of this length does not need.
    pub(crate) fn keep(&mut self, bytes: usize) {
        let spare = self.0.num_permits().saturating_sub(pieces(bytes) as usize);
        drop(self.0.split(spare));
    }
}

fn pieces(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX)
}
