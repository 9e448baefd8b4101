//! Where the event loop gets its publications from.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::queue::{Outgoing, Queue};

/// Taken at once, so that a heartbeat is not late by more than these.
const BATCH_MAX: usize = 64;

/// Publications in their order.
#[derive(Debug)]
pub(super) enum Source {
    /// As they were queued.
    Queue(Arc<Queue>),
    /// By way of the log, which has kept them.
    Kept(mpsc::Receiver<Vec<Outgoing>>),
}

impl Source {
    /// Waits for publications; `false` once there will be no more. Nothing is lost when the future is dropped.
    pub(super) async fn take(&mut self, batch: &mut Vec<Outgoing>) -> bool {
        match self {
            Self::Queue(queue) => queue.take(batch, BATCH_MAX).await,
            Self::Kept(kept) => match kept.recv().await {
                Some(more) => {
                    batch.extend(more);
                    true
                }
                None => false,
            },
        }
    }
}
