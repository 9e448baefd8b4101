//! Room for what is written next: the oldest finished runs make it.

use std::sync::Arc;

use rusqlite::Connection;

use super::store;
use crate::db::{Database, DatabaseError};

/// Forgotten in the first round; each further one doubles that.
const FIRST_ROUND: usize = 8;
/// Rounds, about 2,000 runs together.
const ROUNDS_MAX: u32 = 8;

/// Writes; while the database is full, forgets the oldest finished runs and tries again.
///
/// # Errors
/// What the write failed with: [`DatabaseError::Full`] if no finished run is left, or room for it was not made by about
/// 2,000 of them.
pub(super) async fn write<T, W>(db: &Database, write: W) -> Result<T, DatabaseError>
where
    T: Send + 'static,
    W: Fn(&Connection) -> rusqlite::Result<T> + Send + Sync + 'static,
{
    let write = Arc::new(write);
    for round in 0..ROUNDS_MAX {
        let again = write.clone();
        let written = db.write(move |connection| again(connection)).await;
        let Err(error @ DatabaseError::Full { .. }) = written else {
            return written;
        };
        let runs = FIRST_ROUND << round;
        let forgotten = db.write(move |connection| store::forget_oldest(connection, runs));
        match forgotten.await {
            Ok(1..) => tracing::warn!(
                runs,
                "the database is full: the oldest finished runs were forgotten"
            ),
            Ok(0) | Err(_) => return Err(error),
        }
    }
    db.write(move |connection| write(connection)).await
}
