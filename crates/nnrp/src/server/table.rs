//! A server's sessions, by their ids.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::session::{Session, Shared};

/// Sessions that are there, and those among them that nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Table {
    sessions: Mutex<HashMap<u32, Entry>>,
    ready: Mutex<VecDeque<Session>>,
    arrivals: Notify,
}

#[derive(Debug)]
enum Entry {
    /// An id that a session is about to have.
    Reserved,
    Live(Arc<Shared>),
}

impl Table {
    fn sessions(&self) -> MutexGuard<'_, HashMap<u32, Entry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self) -> MutexGuard<'_, VecDeque<Session>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An id that no other session has: this one, or any. 0 is none. Ids are drawn, so that they cannot be guessed by
    /// counting.
    pub(super) fn reserve(&self, wanted: u32) -> u32 {
        let mut sessions = self.sessions();
        let mut id = wanted;
        while id == 0 || sessions.contains_key(&id) {
            id = fastrand::u32(1..);
        }
        sessions.insert(id, Entry::Reserved);
        id
    }

    pub(super) fn insert(&self, session: Arc<Shared>) {
        self.sessions().insert(session.id, Entry::Live(session));
    }

    pub(super) fn remove(&self, id: u32) {
        self.sessions().remove(&id);
    }

    pub(super) fn get(&self, id: u32) -> Option<Arc<Shared>> {
        match self.sessions().get(&id)? {
            Entry::Live(session) => Some(Arc::clone(session)),
            Entry::Reserved => None,
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<Shared>> {
        let sessions = self.sessions();
        let live = sessions.values().filter_map(|entry| match entry {
            Entry::Live(session) => Some(Arc::clone(session)),
            Entry::Reserved => None,
        });
        live.collect()
    }

    pub(super) fn len(&self) -> usize {
        self.sessions().len()
    }

    /// A session is there to be taken.
    pub(super) fn push_ready(&self, session: Session) {
        self.ready().push_back(session);
        self.arrivals.notify_one();
    }

    pub(super) fn pop_ready(&self) -> Option<Session> {
        let mut ready = self.ready();
        let session = ready.pop_front()?;
        if !ready.is_empty() {
            // Whoever else waits was told of one arrival only.
            self.arrivals.notify_one();
        }
        Some(session)
    }

    /// Nobody will take them: they are closed.
    pub(super) fn drop_ready(&self) {
        let dropped = std::mem::take(&mut *self.ready());
        drop(dropped);
    }

    pub(super) const fn arrivals(&self) -> &Notify {
        &self.arrivals
    }
}
