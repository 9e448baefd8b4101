//! Values by content: what several runs, steps and cached results have in common is stored once.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

/// Stores the bytes, or counts one more use of them; what to refer to them by. Triggers end the use with the row that
/// refers to it.
pub(crate) fn put(connection: &Connection, bytes: &[u8]) -> rusqlite::Result<i64> {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    let again = "UPDATE blobs SET refs = refs + 1 WHERE hash = ?1 RETURNING id";
    let known = connection
        .prepare_cached(again)?
        .query_row([&hash[..]], |row| row.get(0))
        .optional()?;
    if let Some(id) = known {
        return Ok(id);
    }
    let new = "INSERT INTO blobs (hash, refs, bytes) VALUES (?1, 1, ?2) RETURNING id";
    connection
        .prepare_cached(new)?
        .query_row(params![&hash[..], bytes], |row| row.get(0))
}

/// The text of a value, if it is there.
pub(crate) fn text(connection: &Connection, id: i64) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT bytes FROM blobs WHERE id = ?1")?;
    let bytes: Option<Vec<u8>> = statement.query_row([id], |row| row.get(0)).optional()?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// How many bytes a value has; 0 if it is not there.
pub(crate) fn size(connection: &Connection, id: i64) -> rusqlite::Result<usize> {
    let mut statement =
        connection.prepare_cached("SELECT length(bytes) FROM blobs WHERE id = ?1")?;
    let size: Option<usize> = statement.query_row([id], |row| row.get(0)).optional()?;
    Ok(size.unwrap_or_default())
}
