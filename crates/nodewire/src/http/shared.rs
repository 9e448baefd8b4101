//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::StatusCode;
use nodewire_core::{Executor, NodeError, NodeErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::HttpConfig;
use super::counts::Counts;
use super::error::Problem;
use crate::capability::Losses;
use crate::metrics::Metrics;

/// Bodies are counted in pieces of so many bytes.
const PIECE_BYTES: usize = 1024;

/// What all requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) executor: Executor,
    pub(super) losses: Losses,
    pub(super) metrics: Metrics,
    pub(super) config: HttpConfig,
    pub(super) counts: Counts,
    pub(super) is_leaving: AtomicBool,
    bodies: Arc<Semaphore>,
}

/// Room for a body, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Room(OwnedSemaphorePermit);

impl Shared {
    pub(super) fn new(
        config: HttpConfig,
        executor: Executor,
        losses: Losses,
        metrics: Metrics,
    ) -> Self {
        let bytes = config.bodies_bytes_max.max(config.body_bytes_max);
        let pieces = bytes.div_ceil(PIECE_BYTES).min(Semaphore::MAX_PERMITS);
        Self {
            executor,
            losses,
            metrics,
            config,
            counts: Counts::default(),
            is_leaving: AtomicBool::new(false),
            bodies: Arc::new(Semaphore::new(pieces)),
        }
    }

    /// Room for this request's body, before any of it is read.
    ///
    /// # Errors
    /// It is too large, or there is no room for it now.
    pub(super) fn room(&self, request: &Request) -> Result<Room, Problem> {
        let max = self.config.body_bytes_max;
        let announced = request.body().size_hint().upper();
        let bytes = announced.map_or(max, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if bytes > max {
            return Err(too_large(max));
        }
        let room = Arc::clone(&self.bodies).try_acquire_many_owned(pieces(bytes));
        room.map(Room).map_err(|_| {
            Problem::from(NodeError::new(
                NodeErrorKind::Overloaded,
                "the server holds as many bytes of requests as it may; try again later",
            ))
        })
    }
}

impl Room {
    /// Gives back what a body of this length does not need.
    pub(super) fn keep(&mut self, bytes: usize) {
        let spare = self.0.num_permits().saturating_sub(pieces(bytes) as usize);
        drop(self.0.split(spare));
    }
}

/// The answer to a body that is too large.
pub(super) fn too_large(max: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        &format!("the body is larger than {max} bytes; pass large values as assets"),
    )
}

fn pieces(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX)
}
