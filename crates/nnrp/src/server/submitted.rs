//! A frame to answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nnrp_wire::body::ObjectReference;
use nnrp_wire::session::{FrameKey, SessionSettings};
use nnrp_wire::{Envelope, FrameSubmit};
use tokio::time::Instant;

use super::app::Arrival;
use super::hello::Identity;
use super::room::ResultRoom;
use super::session::Shared;
use crate::budget::{FrameBudget, Outlook, Verdict};

/// A frame that a client has submitted.
#[derive(Debug)]
pub struct Submitted {
    /// Which frame.
    pub key: FrameKey,
    /// What its header says: flags, route, trace.
    pub envelope: Envelope,
    /// Its input.
    pub message: Box<FrameSubmit>,
    /// The cached objects that it references.
    pub objects: Vec<(ObjectReference, Bytes)>,
    /// To answer it by.
    pub answer: Responder,
}

impl Submitted {
    pub(super) fn new(session: Arc<Shared>, arrival: Arrival, now: Duration) -> Self {
        Self {
            key: arrival.key,
            envelope: arrival.envelope,
            message: arrival.submit,
            objects: arrival.objects,
            answer: Responder {
                session,
                key: arrival.key,
                generation: arrival.generation,
                trace_id: arrival.envelope.trace_id,
                received_at: arrival.received_at,
                taken_at: now,
                budget: arrival.budget,
                is_done: false,
            },
        }
    }
}

impl Submitted {
    /// To trace work on the frame by, with the client's trace id. Handlers that a server runs are in it already.
    #[must_use]
    pub fn span(&self) -> tracing::Span {
        tracing::debug_span!(
            "nnrp_frame",
            session_id = self.answer.session_id(),
            frame_id = self.key.frame_id,
            view_id = self.key.view_id,
            trace_id = format_args!("{:016x}", self.envelope.trace_id),
        )
    }
}

/// Answers a frame, exactly once for good. If it is dropped before, the frame is dropped; with a panic, it ends with an
/// error.
#[derive(Debug)]
#[must_use = "a frame that is not answered is dropped"]
pub struct Responder {
    pub(super) session: Arc<Shared>,
    pub(super) key: FrameKey,
    pub(super) generation: u64,
    pub(super) trace_id: u64,
    pub(super) received_at: Duration,
    pub(super) taken_at: Duration,
    pub(super) budget: FrameBudget,
    pub(super) is_done: bool,
}

impl Responder {
    /// Whether the frame has ended by itself: it was cancelled, its budget is over, or the session is.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let driver = &self.session.driver;
        driver.with(|_, app, _| !app.is_open(self.key, self.generation))
    }

    /// Waits until the frame ends by itself. It may be dropped, and called again.
    pub async fn cancelled(&self) {
        self.over().await;
    }

    /// As [`Self::cancelled`], for whoever gives the responder away: if that ends the frame, this waits for ever. It may be
    /// dropped.
    pub fn over(&self) -> impl Future<Output = ()> + Send + use<> {
        let driver = &self.session.driver;
        let over = driver.with(|_, app, _| app.over_token(self.key, self.generation));
        async move {
            if let Some(over) = over {
                over.cancelled().await;
            }
        }
    }

    /// Somebody begins to work on it now.
    pub(super) fn begin(&mut self) {
        self.taken_at = self.session.driver.clock().now();
    }

    /// Who the client is, as the hello hook has found.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.session.identity.as_ref()
    }

    /// The model that is active in the session, as the hello hook has said; empty if it has not.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.session.model
    }

    /// Tells whether results of the frame are taken that are not its last, for whoever gives the responder away.
    #[must_use]
    pub fn room(&self) -> ResultRoom {
        ResultRoom::new(self)
    }

    /// What holds for the session now, as far as the client can change it.
    #[must_use]
    pub fn settings(&self) -> SessionSettings {
        let driver = &self.session.driver;
        driver.with(|machine, _, _| *machine.settings())
    }

    /// Which frame.
    #[must_use]
    pub const fn key(&self) -> FrameKey {
        self.key
    }

    /// For whoever traces.
    #[must_use]
    pub const fn trace_id(&self) -> u64 {
        self.trace_id
    }

    /// The session's id.
    #[must_use]
    pub fn session_id(&self) -> u32 {
        self.session.id
    }

    /// How long the frame may take, and what may be done when that is too long.
    #[must_use]
    pub const fn budget(&self) -> &FrameBudget {
        &self.budget
    }

    /// When the budget is over; `None` is never.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let latency = self.budget.latency?;
        let clock = self.session.driver.clock();
        Some(clock.at(self.received_at.saturating_add(latency)))
    }

    /// Whether to go on with the frame, if the result still takes so long.
    #[must_use]
    pub fn verdict(&self, needed: Option<Duration>) -> Verdict {
        self.budget.verdict(&self.outlook(needed))
    }

    /// What is known of the frame, if the result still takes so long.
    #[must_use]
    pub fn outlook(&self, needed: Option<Duration>) -> Outlook {
        let driver = &self.session.driver;
        driver.with(|_, app, now| Outlook {
            spent: now.saturating_sub(self.received_at),
            needed,
            round_trip: app.round_trip,
        })
    }
}
