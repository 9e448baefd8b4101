//! Room for what is written next: the oldest finished runs make it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;

use super::store;
use crate::db::{Database, DatabaseError};

/// How many are forgotten, one number after the other: the first two times none, as what failed may have been another
/// write of the same transaction.
const ROUNDS: [usize; 10] = [0, 0, 8, 24, 56, 120, 248, 504, 1_016, 2_040];

/// Writes; if the database has reached its limit, forgets the oldest finished runs with it, as many as it takes. In one
/// transaction: what makes no room is not forgotten.
///
/// # Errors
/// What the write failed with: [`DatabaseError::Full`] if the finished runs are too few, or room for it is not made by
/// 2,040 of them. Then all of them are still there.
pub(super) async fn write<T, W>(db: &Database, write: W) -> Result<T, DatabaseError>
where
    T: Send + 'static,
    W: Fn(&Connection) -> rusqlite::Result<T> + Send + Sync + 'static,
{
    write_sparing(db, String::new(), write).await
}

/// As [`write()`], but never forgets the run with the id `spared`.
pub(super) async fn write_sparing<T, W>(
    db: &Database,
    spared: String,
    write: W,
) -> Result<T, DatabaseError>
where
    T: Send + 'static,
    W: Fn(&Connection) -> rusqlite::Result<T> + Send + Sync + 'static,
{
    let (write, spared) = (Arc::new(write), Arc::<str>::from(spared));
    let mut before = 0;
    let mut rounds = ROUNDS.into_iter();
    loop {
        let runs = rounds.next().unwrap_or_default();
        let forgotten = Arc::new(AtomicUsize::new(0));
        let (again, spared, count) = (write.clone(), spared.clone(), forgotten.clone());
        let written = db.write(move |connection| {
            if runs > 0 {
                let forgotten = store::forget_oldest(connection, runs, &spared)?;
                count.store(forgotten, Ordering::Relaxed);
            }
            again(connection)
        });
        let written = written.await;
        let forgotten = forgotten.load(Ordering::Relaxed);
        let is_full = matches!(written, Err(DatabaseError::Full { .. }));
        // As many as before: there are no more.
        let is_over = rounds.len() == 0 || (runs > 0 && forgotten == before);
        if !is_full || is_over {
            if written.is_ok() && forgotten > 0 {
                tracing::warn!(
                    runs = forgotten,
                    "the database has reached its limit: the oldest finished runs were forgotten"
                );
            }
            return written;
        }
        before = forgotten;
    }
}
