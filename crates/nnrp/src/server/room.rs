//! Whether there is room for results that are not the last of their frame.

use std::sync::Arc;

use nnrp_wire::session::FrameKey;

use super::session::Shared;
use super::submitted::Responder;

/// Tells whether results of a frame are taken that are not its last: not while the client takes none, or too much waits to
/// be sent. Clones are the same. It does not keep the frame from ending.
#[derive(Debug, Clone)]
pub struct ResultRoom {
    session: Arc<Shared>,
    key: FrameKey,
    generation: u64,
    waits: bool,
}

impl ResultRoom {
    pub(super) fn new(answer: &Responder) -> Self {
        Self {
            session: Arc::clone(&answer.session),
            key: answer.key,
            generation: answer.generation,
            waits: answer.budget.waits_for_room(),
        }
    }

    /// Whether it is worth waiting: not for a frame whose results are sent once and forgotten.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.waits
    }

    /// Whether one is taken now, or it is not worth waiting: the frame has ended, or its results are sent once and forgotten.
    #[must_use]
    pub fn is_there(&self) -> bool {
        !self.waits
            || self.session.driver.with(|machine, app, now| {
                !app.is_open(self.key, self.generation) || machine.check_results(now).is_ok()
            })
    }

    /// Waits until it is. It may be dropped.
    pub async fn wait(&self) {
        if !self.waits {
            return;
        }
        let driver = &self.session.driver;
        let over = driver.with(|_, app, _| app.over_token(self.key, self.generation));
        let Some(over) = over else {
            return;
        };
        let mut has_stalled = false;
        let room = driver.with_room(|machine, app, now| {
            let is_open = app.is_open(self.key, self.generation);
            let is_there = !is_open || machine.check_results(now).is_ok();
            app.tallies.stalls += u64::from(!is_there && !has_stalled);
            has_stalled |= !is_there;
            is_there.then_some(())
        });
        tokio::select! {
            () = room => {}
            () = over.cancelled() => {}
        }
    }
}
