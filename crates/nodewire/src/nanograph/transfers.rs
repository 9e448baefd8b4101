//! Outputs on their way to the asset store.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// Bounds how many executions store outputs at once, and lets a stop wait for them. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Transfers {
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Transfers {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places.max(1))),
            tasks: TaskTracker::new(),
        }
    }

    /// Does `transfer` in the background as soon as there is a place.
    pub(crate) fn run(&self, transfer: impl Future<Output = ()> + Send + 'static) {
        let places = Arc::clone(&self.places);
        self.tasks.spawn(async move {
            // The semaphore is never closed; without a place the transfer would go on unbounded.
            let _place = places.acquire_owned().await;
            transfer.await;
        });
    }

    /// Completes when no transfer is under way, or after `time`.
    pub(crate) async fn finish(&self, time: Duration) {
        self.tasks.close();
        // What takes longer is given up with its connection.
        let _ = tokio::time::timeout(time, self.tasks.wait()).await;
    }
}
