//! Leaving a context: the newest first, the connection last.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use tokio::time::timeout;

use super::{ContextClosed, Inner};
use crate::service::Service;

/// How long the connection's own end may take; services have drained by then.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

type Callback = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Something to undo.
pub(super) enum Entry {
    Service(Service),
    Callback(Callback),
}

/// What is to be undone.
#[derive(Default)]
pub(super) struct Stack {
    entries: Vec<Entry>,
    /// Nothing is added any more: there is nobody left who would undo it.
    closed: bool,
}

impl Stack {
    pub(super) fn push(&mut self, entry: Entry) -> Result<(), ContextClosed> {
        if self.closed {
            return Err(ContextClosed);
        }
        self.entries.push(entry);
        Ok(())
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &Service> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Service(service) => Some(service),
            Entry::Callback(_) => None,
        })
    }

    /// The newest entry; without any, the stack is closed.
    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop();
        self.closed = entry.is_none();
        entry
    }
}

/// Undoes everything. It is a task of its own, so that nobody can leave half of it undone.
pub(super) async fn unwind(inner: Arc<Inner>) {
    loop {
        let newest = inner.state().stack.pop();
        match newest {
            Some(Entry::Service(service)) => drop(service.stop().await),
            Some(Entry::Callback(callback)) => run(callback).await,
            None => break,
        }
    }
    if inner.owns_connection {
        close_connection(&inner).await;
    }
    inner.unwound.cancel();
}

async fn run(callback: Callback) {
    // As a task, so that a panic ends only it.
    if let Err(error) = tokio::spawn(async move { callback().await }).await {
        tracing::error!(%error, "a callback failed while the context was left");
    }
}

/// A connection that is away has nothing to drain, and would not react.
async fn close_connection(inner: &Inner) {
    if inner.client.connection_state() != State::Connected {
        return;
    }
    let drained = async {
        // Draining does not wait for what is still to be written.
        inner.client.flush().await.ok()?;
        inner.client.drain().await.ok()?;
        inner.hub.closed().await;
        Some(())
    };
    if timeout(CLOSE_TIMEOUT, drained).await.is_err() {
        tracing::warn!("the connection did not drain in time");
    }
}
