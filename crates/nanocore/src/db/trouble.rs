//! Whether the file can be written now, and since when not.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{DatabaseError, disk};

/// A disk with less is still full, in bytes, whatever found room in a file that is there already.
const LEAST_BYTES: u64 = 1 << 20;

/// What keeps the database from being written.
#[derive(Debug, Clone)]
pub struct DatabaseTrouble {
    /// What the last write failed with.
    pub error: DatabaseError,
    /// When the first one did.
    pub since: Timestamp,
}

/// The trouble there is, if there is any.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<Option<DatabaseTrouble>>);

impl Troubles {
    pub(super) fn now(&self) -> Option<DatabaseTrouble> {
        self.lock().clone()
    }

    /// Notes a write that failed; the first one is logged.
    pub(super) fn failed(&self, error: &DatabaseError) {
        if !error.is_of_disk() {
            return;
        }
        let mut now = self.lock();
        let since = now.as_ref().map(|trouble| trouble.since);
        if since.is_none() {
            let error: &dyn std::error::Error = error;
            tracing::error!(error, "the database cannot be written");
        }
        *now = Some(DatabaseTrouble {
            error: error.clone(),
            since: since.unwrap_or_else(Timestamp::now),
        });
    }

    /// Notes that something was written; the end of the trouble is logged.
    pub(super) fn succeeded(&self, path: &Path) {
        let mut now = self.lock();
        let Some(trouble) = &*now else {
            return;
        };
        if trouble.is_disk_full(path) {
            return;
        }
        tracing::info!("the database can be written again");
        *now = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<DatabaseTrouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DatabaseTrouble {
    /// Whether the disk is known to be as full as it was.
    pub(super) fn is_disk_full(&self, path: &Path) -> bool {
        matches!(self.error, DatabaseError::DiskFull { .. })
            && disk::free_bytes(path).is_some_and(|free| free < LEAST_BYTES)
    }
}
