//! How many links there may be at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of places, each for a link.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    taken: Arc<AtomicUsize>,
    max: usize,
}

/// One that is taken until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Places {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            taken: Arc::default(),
            max,
        }
    }

    /// `None` if all are taken.
    pub(crate) fn take(&self) -> Option<Place> {
        let more = |taken| Some(taken + 1).filter(|taken| *taken <= self.max);
        let order = Ordering::Relaxed;
        let taken = self.taken.fetch_update(order, order, more);
        taken.ok().map(|_| Place(Arc::clone(&self.taken)))
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
