//! The tables, as numbered steps from an empty file to what this release uses.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::DatabaseError;

/// "nwNC": tells our database from others.
pub(super) const APPLICATION_ID: i64 = 0x6e77_4e43;

/// Each is run once, in this order, and never changed after a release; the version of a file is how many were.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_runs.sql"),
    include_str!("migrations/0002_run_requests.sql"),
];

/// Brings the tables up to date; each step whole or not at all.
pub(super) fn apply(connection: &Connection, path: &Path) -> Result<(), DatabaseError> {
    let version = version(connection).map_err(|error| DatabaseError::opening(path, error))?;
    let known = usize::try_from(version)
        .ok()
        .filter(|known| *known <= MIGRATIONS.len());
    let Some(known) = known else {
        return Err(DatabaseError::Newer {
            path: path.to_owned(),
            version,
            version_max: u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX),
        });
    };
    for (done, migration) in (1_u32..).zip(MIGRATIONS).skip(known) {
        step(connection, migration, done).map_err(|error| DatabaseError::opening(path, error))?;
    }
    Ok(())
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn step(connection: &Connection, migration: &str, version: u32) -> rusqlite::Result<()> {
    let begin = TransactionBehavior::Immediate;
    let transaction = Transaction::new_unchecked(connection, begin)?;
    transaction.execute_batch(migration)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}
