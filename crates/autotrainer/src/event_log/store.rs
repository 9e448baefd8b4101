//! The log as its one writer sees it.

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};
use std::time::Duration;

use super::file::{self, Lock, lock_wait};
use super::retention::prune;
use super::{EventLogError, EventLogOptions, EventLogStatus, Reader, Record, WriteError};
use crate::json::Fields;
use nodewire_json::Json;

#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    options: EventLogOptions,
    log_id: String,
    totals: Totals,
    failure: Option<String>,
    /// Given back after the connection is closed.
    _lock: Lock,
}

/// What the file holds, as of the last transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Totals {
    pub(super) last: u64,
    pub(super) events: u64,
    pub(super) payload_bytes: u64,
}

const INSERT: &str = "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const UPDATE: &str = "UPDATE totals SET last = ?1, events = ?2, payload_bytes = ?3";
const TOTALS: &str = "SELECT log_id, last, events, payload_bytes FROM totals";

impl Store {
    /// Opens or makes the file. Blocks.
    pub(crate) fn open(options: &EventLogOptions) -> Result<Self, EventLogError> {
        let options = &file::resolve(options)?;
        let lock = file::lock(options)?;
        let connection = file::open(options)?;
        let totals = connection.query_row(TOTALS, [], |row| {
            let totals = Totals {
                last: row.get(1)?,
                events: row.get(2)?,
                payload_bytes: row.get(3)?,
            };
            Ok((row.get(0)?, totals))
        });
        let (log_id, totals) = totals.map_err(|error| file::classify(&options.path, error))?;
        Ok(Self {
            connection,
            options: options.clone(),
            log_id,
            totals,
            failure: None,
            _lock: lock,
        })
    }

    /// For replays. Blocks.
    pub(crate) fn reader(&self) -> Result<Reader, EventLogError> {
        Reader::open(&self.options, self.log_id.clone())
    }

    pub(crate) fn status(&self) -> EventLogStatus {
        EventLogStatus {
            log_id: self.log_id.clone(),
            last: self.totals.last,
            events: self.totals.events,
            payload_bytes: self.totals.payload_bytes,
            failure: self.failure.clone(),
        }
    }

    /// Keeps all of these, or none. Blocks; while it fails, it does not wait for others that hold the file.
    pub(crate) fn keep(&mut self, records: &[Record], now: f64) -> Result<(), WriteError> {
        let kept = self.transact(records, now);
        let has_failed = kept.is_err();
        if has_failed != self.failure.is_some() {
            let patience = if has_failed {
                Duration::ZERO
            } else {
                lock_wait(&self.options)
            };
            // It can only fail for a timeout beyond all clocks.
            let _ = self.connection.busy_timeout(patience);
        }
        let failure = kept.map_err(|error| explain(&error)).err();
        self.failure.clone_from(&failure);
        failure.map_or(Ok(()), |failure| Err(WriteError(failure)))
    }

    fn transact(&mut self, records: &[Record], now: f64) -> rusqlite::Result<()> {
        let mut totals = self.totals;
        let begin = TransactionBehavior::Immediate;
        let transaction = Transaction::new_unchecked(&self.connection, begin)?;
        let mut insert = transaction.prepare_cached(INSERT)?;
        for record in records {
            let Facts { kind, when, index } = facts(record);
            let (topic, text) = (record.topic.0, text(record));
            insert.execute(params![
                record.sequence,
                topic,
                kind,
                when,
                index,
                text,
                now
            ])?;
            totals.last = totals.last.max(record.sequence);
            totals.events += 1;
            totals.payload_bytes += record.payload.len() as u64;
        }
        drop(insert);
        prune(&transaction, &mut totals, &self.options, now)?;
        let mut update = transaction.prepare_cached(UPDATE)?;
        update.execute(params![totals.last, totals.events, totals.payload_bytes])?;
        drop(update);
        transaction.commit()?;
        self.totals = totals;
        Ok(())
    }

    /// Puts everything into the one file. Blocks.
    pub(crate) fn close(self) {
        // The file stays as it is, and nothing is lost: the next that opens it finds the rest beside it.
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the event log was not closed cleanly");
        }
    }
}

/// Numbers are given by one service, so that one which is there already is somebody else's.
fn explain(error: &rusqlite::Error) -> String {
    if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) {
        return format!(
            "another program writes to this log, too; stop it, and start this service anew ({error})"
        );
    }
    error.to_string()
}

/// What can be searched for.
#[derive(Default)]
struct Facts {
    kind: Option<i64>,
    when: Option<f64>,
    index: Option<i64>,
}

fn facts(record: &Record) -> Facts {
    let Ok(json) = Json::parse_bytes(record.payload.clone()) else {
        return Facts::default();
    };
    let fields = Fields::find(&json, &["kind", "when", "index"], |_, _| {});
    fields.map_or_else(Facts::default, |fields| Facts {
        kind: fields.integer(0),
        when: fields.float(1),
        index: fields.integer(2),
    })
}

/// Numbered payloads are text.
fn text(record: &Record) -> &str {
    std::str::from_utf8(&record.payload).unwrap_or_default()
}

#[cfg(test)]
mod tests;
