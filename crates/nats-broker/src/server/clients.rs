//! Who is connected.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::Client;

/// Clients by id.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<HashMap<u64, Arc<Client>>>);

impl Clients {
    /// Whether there was room for it.
    pub(super) fn insert(&self, client: &Arc<Client>, connections_max: usize) -> bool {
        let mut clients = self.lock();
        let fits = clients.len() < connections_max;
        if fits {
            clients.insert(client.id, Arc::clone(client));
        }
        fits
    }

    pub(super) fn remove(&self, client: &Client) {
        self.lock().remove(&client.id);
    }

    pub(super) fn all(&self) -> Vec<Arc<Client>> {
        self.lock().values().cloned().collect()
    }

    /// Who has most waiting.
    pub(super) fn furthest_behind(&self) -> Option<Arc<Client>> {
        let clients = self.lock();
        let waiting = clients.values().map(|client| {
            let bytes = client.outbox().told_bytes();
            (bytes, client)
        });
        let (bytes, client) = waiting.max_by_key(|(bytes, _)| *bytes)?;
        (bytes > 0).then(|| Arc::clone(client))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Client>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
