//! Telling clients which nodes there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::sleep;

use super::Backend;
use super::connection::Connection;
use super::listener::Shared;

/// The open WebSocket connections.
///
/// A std mutex: held while a handshake is put together and while an update is handed out, never across an await.
#[derive(Debug, Default)]
pub(super) struct Audience(Mutex<Members>);

#[derive(Debug, Default)]
struct Members {
    connections: HashMap<u64, Arc<Connection>>,
    next_id: u64,
    closing: bool,
}

/// Membership in the audience; ends when dropped.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    audience: &'a Audience,
    id: u64,
}

impl Audience {
    /// Adds a connection, with the handshake as its first message. Both happen under the lock under which updates are
    /// handed out, so that no connection misses one.
    pub(super) fn join<B: Backend>(
        &self,
        server: &Shared<B>,
        connection: &Arc<Connection>,
    ) -> Seat<'_> {
        let mut members = self.lock();
        let handshake = server
            .options
            .identity
            .handshake(server.backend.definitions());
        connection.push(|out| out.push_str(&handshake));
        if members.closing {
            connection.outbox.request_close();
        }
        let id = members.next_id;
        members.next_id += 1;
        members.connections.insert(id, Arc::clone(connection));
        Seat { audience: self, id }
    }

    /// Closes all connections, and those to come.
    pub(super) fn close(&self) {
        let mut members = self.lock();
        members.closing = true;
        for connection in members.connections.values() {
            connection.outbox.request_close();
        }
    }

    fn broadcast<B: Backend>(&self, server: &Shared<B>) {
        let members = self.lock();
        let update = server
            .options
            .identity
            .definitions_update(server.backend.definitions());
        for connection in members.connections.values() {
            connection.push(|out| out.push_str(&update));
        }
    }

    /// A panic of the backend within leaves the members whole.
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.audience.lock().connections.remove(&self.id);
    }
}

/// Broadcasts the definitions whenever they have changed and then stayed the same for the debounce time. Returns when
/// the backend stops announcing changes. spec: nanograph 5.2, 8.3
pub(super) async fn announce_changes<B: Backend>(
    server: &Shared<B>,
    mut changes: watch::Receiver<u64>,
) {
    while changes.changed().await.is_ok() {
        settle(&mut changes, server.options.debounce).await;
        server.stats.definitions_updates.increment();
        server.audience.broadcast(server);
    }
}

/// Waits until no change came for a while.
async fn settle(changes: &mut watch::Receiver<u64>, debounce: std::time::Duration) {
    loop {
        tokio::select! {
            () = sleep(debounce) => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}
