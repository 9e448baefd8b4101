//! Identical nodes in flight at the same time are executed once, also in different runs. spec: nanograph 18

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nodewire_json::Json;
use tokio::sync::watch;

use super::CacheKey;

/// What is being executed now, by key: at most one entry per node in flight or ready. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flights {
    // A std mutex: it is held for a look-up, never over an await.
    by_key: Arc<Mutex<HashMap<CacheKey, watch::Receiver<Option<Json>>>>>,
}

/// What came of joining.
#[derive(Debug)]
pub(crate) enum Joined {
    /// Nobody else is at it. Whoever has this executes the node.
    Leads(Flight),
    /// Somebody else is at it.
    Follows(watch::Receiver<Option<Json>>),
}

/// The execution that others wait for. Dropping it lets them go without a result.
#[derive(Debug)]
pub(crate) struct Flight {
    key: CacheKey,
    flights: Flights,
    outputs: watch::Sender<Option<Json>>,
}

impl Flights {
    pub(crate) fn join(&self, key: CacheKey) -> Joined {
        match self.lock().entry(key) {
            Entry::Occupied(entry) => Joined::Follows(entry.get().clone()),
            Entry::Vacant(entry) => {
                let (outputs, receiver) = watch::channel(None);
                entry.insert(receiver);
                Joined::Leads(Flight {
                    key,
                    flights: self.clone(),
                    outputs,
                })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CacheKey, watch::Receiver<Option<Json>>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Hands the result to those that wait.
    pub(crate) fn land(self, outputs: Json) {
        self.outputs.send_replace(Some(outputs));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}
