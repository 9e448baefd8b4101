//! Handshakes that run, and which of them gives way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// A limited number of handshakes: when one more begins, the oldest is given up.
#[derive(Debug, Clone)]
pub(super) struct Handshakes {
    running: Arc<Mutex<Running>>,
    max: usize,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    by_age: BTreeMap<u64, CancellationToken>,
}

/// One that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Handshake {
    running: Arc<Mutex<Running>>,
    number: u64,
    given_up: CancellationToken,
}

impl Handshakes {
    pub(super) fn new(max: usize) -> Self {
        Self {
            running: Arc::default(),
            max: max.max(1),
        }
    }

    pub(super) fn begin(&self) -> Handshake {
        let mut running = lock(&self.running);
        while running.by_age.len() >= self.max {
            if let Some((_, oldest)) = running.by_age.pop_first() {
                oldest.cancel();
            }
        }
        let number = running.next;
        running.next += 1;
        let given_up = CancellationToken::new();
        running.by_age.insert(number, given_up.clone());
        drop(running);
        Handshake {
            running: Arc::clone(&self.running),
            number,
            given_up,
        }
    }

    /// Whether so many run that whoever begins one should show first that its address is its own.
    pub(super) fn is_busy(&self) -> bool {
        lock(&self.running).by_age.len() * 2 >= self.max
    }
}

impl Handshake {
    /// Waits until it has to give way.
    pub(super) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        lock(&self.running).by_age.remove(&self.number);
    }
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}
