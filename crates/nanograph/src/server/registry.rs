//! Which executions run, by instance.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytestring::ByteString;
use foldhash::fast::RandomState;

use super::StopHandle;
use super::replies::Execution;

/// The running executions of all connections, so that a stop from any of them finds all of an instance, and only those.
/// spec: nanograph 5.5, 23 N8-N10
///
/// A std mutex: held for a few steps in a map, never across an await or a call to the backend.
pub(super) struct Registry<H> {
    instances: Mutex<Instances<H>>,
}

type Instances<H> = HashMap<ByteString, Vec<Entry<H>>, RandomState>;

struct Entry<H> {
    execution: Arc<Execution>,
    handle: H,
}

/// Where an execution stands in its instance's list; kept in the execution, changed under the registry's lock only.
#[derive(Debug)]
pub(super) struct Place(AtomicUsize);

const NOWHERE: usize = usize::MAX;

impl Place {
    pub(super) const fn nowhere() -> Self {
        Self(AtomicUsize::new(NOWHERE))
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, index: usize) {
        self.0.store(index, Ordering::Relaxed);
    }
}

/// The part of a [`Registry`] that does not know what handles are.
pub(super) trait Unregister: fmt::Debug + Send + Sync {
    /// Forgets an execution that is over.
    fn unregister(&self, execution: &Execution);
}

impl<H: StopHandle> Registry<H> {
    pub(super) fn new() -> Self {
        Self {
            instances: Mutex::default(),
        }
    }

    /// Adds an execution, unless it is over by now.
    ///
    /// Called after the backend has started it: those that end at once never get here. No stop can come too early for
    /// it, since nothing the execution said has left before this.
    pub(super) fn register(&self, execution: Arc<Execution>, handle: H) {
        let mut instances = self.lock();
        // Read under the lock: whoever ends the execution marks it first and looks for it here afterwards.
        if execution.is_over() {
            return;
        }
        let entries = match instances.get_mut(&execution.instance_id) {
            Some(entries) => entries,
            None => instances.entry(execution.instance_id.clone()).or_default(),
        };
        execution.place.set(entries.len());
        entries.push(Entry { execution, handle });
    }

    /// The handles of an instance's executions, in no certain order.
    pub(super) fn handles(&self, instance_id: &str) -> Vec<H> {
        let instances = self.lock();
        let entries = instances
            .get(instance_id)
            .map(Vec::as_slice)
            .unwrap_or_default();
        entries.iter().map(|entry| entry.handle.clone()).collect()
    }
}

impl<H> Registry<H> {
    /// Nothing in here panics while it holds the lock, so a poisoned state is still whole.
    fn lock(&self) -> MutexGuard<'_, Instances<H>> {
        self.instances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, execution: &Execution) -> Option<Entry<H>> {
        let mut instances = self.lock();
        let index = execution.place.get();
        let entries = instances.get_mut(&execution.instance_id)?;
        if index >= entries.len() {
            return None;
        }
        let removed = entries.swap_remove(index);
        removed.execution.place.set(NOWHERE);
        match entries.get(index) {
            Some(moved) => moved.execution.place.set(index),
            None if entries.is_empty() => drop(instances.remove(&execution.instance_id)),
            None => {}
        }
        Some(removed)
    }
}

impl<H: StopHandle> Unregister for Registry<H> {
    fn unregister(&self, execution: &Execution) {
        // The handle may be the last of what it points to; it is dropped here, after the lock was given back.
        drop(self.remove(execution));
    }
}

impl<H> fmt::Debug for Registry<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("instances", &self.lock().len())
            .finish_non_exhaustive()
    }
}
