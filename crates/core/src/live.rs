//! The executions that have not ended, to be cancelled together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use crate::event::ExecutionId;
use crate::running::{Running, StopReason};

/// Locks for which submissions and ends contend.
const SHARDS: usize = 8;

/// As many as the executor admits.
#[derive(Debug, Default)]
pub(crate) struct Live {
    // Std mutexes: held for a change of the map, never across an await.
    shards: [Mutex<Shard>; SHARDS],
}

type Shard = HashMap<ExecutionId, Arc<Running>, RandomState>;

impl Live {
    pub(crate) fn add(&self, running: &Arc<Running>) {
        self.shard(running.id)
            .insert(running.id, Arc::clone(running));
    }

    pub(crate) fn remove(&self, id: ExecutionId) {
        let removed = self.shard(id).remove(&id);
        // What it holds may take time to drop; not under the lock.
        drop(removed);
    }

    /// Asks all to stop; how many end as cancelled for it.
    pub(crate) fn cancel(&self) -> usize {
        let mut all: Vec<Arc<Running>> = Vec::new();
        for shard in &self.shards {
            all.extend(lock(shard).values().cloned());
        }
        all.iter()
            .filter(|running| running.request_stop(StopReason::Cancelled))
            .count()
    }

    fn shard(&self, id: ExecutionId) -> MutexGuard<'_, Shard> {
        // Ids are given out one after the other, so that neighbours do not meet.
        let [lowest, ..] = id.0.to_le_bytes();
        lock(&self.shards[usize::from(lowest) % SHARDS])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
