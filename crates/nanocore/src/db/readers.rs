//! The connections that read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{DatabaseError, DatabaseOptions, file};

/// A few connections; who finds none waits for one.
#[derive(Debug)]
pub(super) struct Readers {
    permits: Arc<Semaphore>,
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    path: PathBuf,
    options: DatabaseOptions,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// With one connection; the others are opened when they are needed. Blocks.
    pub(super) fn open(path: &Path, options: &DatabaseOptions) -> Result<Self, DatabaseError> {
        let first = file::open_to_read(path, options)?;
        let pool = Pool {
            path: path.to_owned(),
            options: options.clone(),
            idle: Mutex::new(vec![first]),
        };
        Ok(Self {
            permits: Arc::new(Semaphore::new(options.readers.max(1))),
            pool: Arc::new(pool),
        })
    }

    pub(super) async fn read<T, R>(&self, read: R) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        R: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| DatabaseError::Closed)?;
        let pool = self.pool.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            pool.read(read)
        });
        // It fails only if the runtime ends, as a panic is caught inside.
        task.await.unwrap_or(Err(DatabaseError::Closed))
    }
}

impl Pool {
    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => file::open_to_read(&self.path, &self.options)?,
        };
        let moment = || {
            let transaction = connection.unchecked_transaction()?;
            read(&transaction)
        };
        let answer = catch_unwind(AssertUnwindSafe(moment)).map_err(|_| DatabaseError::Panicked)?;
        self.idle().push(connection);
        answer.map_err(|error| DatabaseError::of(&self.path, error))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
