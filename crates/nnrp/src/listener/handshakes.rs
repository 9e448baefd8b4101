//! Handshakes that run, and which of them gives way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// A limited number of handshakes: when one more begins, the oldest of the first phase that there is gives way.
#[derive(Debug, Clone)]
pub(crate) struct Handshakes {
    running: Arc<Mutex<Running>>,
    max: usize,
}

/// How far a handshake is; the first gives way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It is over, and the other side is told so.
    Leaving,
    /// Nothing has come that is whole.
    Silent,
    /// Something has.
    Speaking,
    /// The other side has done its part.
    Deciding,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    by_turn: BTreeMap<(Phase, u64), CancellationToken>,
}

/// One that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Handshake {
    running: Arc<Mutex<Running>>,
    turn: (Phase, u64),
    given_up: CancellationToken,
}

impl Handshakes {
    /// At least one can run.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            running: Arc::default(),
            max: max.max(1),
        }
    }

    /// One more; whichever is first in turn gives way.
    pub(crate) fn begin(&self) -> Handshake {
        let mut running = lock(&self.running);
        running.make_room(self.max, Phase::Deciding);
        self.insert(&mut running)
    }

    /// One more, unless as many as may be are decided on.
    pub(crate) fn try_begin(&self) -> Option<Handshake> {
        let mut running = lock(&self.running);
        let has_room = running.make_room(self.max, Phase::Speaking);
        has_room.then(|| self.insert(&mut running))
    }

    /// Whether so many run that whoever begins one should show first that its address is its own.
    pub(crate) fn is_busy(&self) -> bool {
        lock(&self.running).by_turn.len() * 2 >= self.max
    }

    fn insert(&self, running: &mut Running) -> Handshake {
        let turn = (Phase::Silent, running.next);
        running.next += 1;
        let given_up = CancellationToken::new();
        running.by_turn.insert(turn, given_up.clone());
        Handshake {
            running: Arc::clone(&self.running),
            turn,
            given_up,
        }
    }
}

impl Running {
    /// Says whether there is room now. Those after this phase do not give way.
    fn make_room(&mut self, max: usize, last: Phase) -> bool {
        while self.by_turn.len() >= max {
            match self.by_turn.first_entry() {
                Some(first) if first.key().0 <= last => first.remove().cancel(),
                Some(_) | None => return false,
            }
        }
        true
    }
}

impl Handshake {
    /// Waits until it has to give way.
    pub(crate) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }

    /// Cancelled when it has to give way.
    pub(crate) fn given_up_token(&self) -> CancellationToken {
        self.given_up.clone()
    }

    /// It is in another phase now. Says whether it has not given way.
    pub(crate) fn enter(&mut self, phase: Phase) -> bool {
        if phase == self.turn.0 {
            return !self.given_up.is_cancelled();
        }
        let mut running = lock(&self.running);
        let Some(token) = running.by_turn.remove(&self.turn) else {
            return false;
        };
        self.turn.0 = phase;
        running.by_turn.insert(self.turn, token);
        true
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        lock(&self.running).by_turn.remove(&self.turn);
    }
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
