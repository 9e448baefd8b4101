//! Messages that cancel executions: sent by a task of their own, so that whoever wants one need not wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Messages that wait for the connection; beyond, they are dropped and counted.
const WAITING_MAX: usize = 1024;

/// Takes subjects to which a message is to be sent.
#[derive(Debug, Clone)]
pub(super) struct Canceller {
    subjects: mpsc::Sender<String>,
    dropped: Arc<AtomicU64>,
}

impl Canceller {
    pub(super) fn new() -> (Self, mpsc::Receiver<String>) {
        let (subjects, wanted) = mpsc::channel(WAITING_MAX);
        let canceller = Self {
            subjects,
            dropped: Arc::default(),
        };
        (canceller, wanted)
    }

    pub(super) fn cancel(&self, subject: String) {
        if let Err(error) = self.subjects.try_send(subject) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, "an execution over NATS could not be cancelled");
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Sends until nobody is left who could want more. While the connection is away, the client keeps some.
pub(super) async fn send(
    client: async_nats::Client,
    mut wanted: mpsc::Receiver<String>,
    unread: String,
) {
    while let Some(subject) = wanted.recv().await {
        // Some services pass over what asks for no answer; nobody reads this one.
        let sent = client.publish_with_reply(subject, unread.clone(), Bytes::new());
        if let Err(error) = sent.await {
            tracing::debug!(%error, "an execution over NATS could not be cancelled");
        }
    }
}
