//! The log as replays see it.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::file;
use super::{EventLogError, EventLogOptions, ReadError};
use crate::replay::{ENTRY_BYTES, ReplayPage, ReplayRequest, ReplayedEvent};
use crate::topic::Topic;

/// Has a connection of its own, so that it neither waits for the writer nor makes it wait.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Connection,
    log_id: String,
}

/// Events that are looked at for one page, whether they are asked for or not.
const LOOKED_AT_MAX: u64 = 10_000;

const LAST: &str = "SELECT last FROM totals";
const FIRST: &str = "SELECT sequence FROM events ORDER BY sequence LIMIT 1";
const AFTER: &str =
    "SELECT sequence, topic, payload FROM events WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";

impl Reader {
    pub(super) fn open(options: &EventLogOptions, log_id: String) -> Result<Self, EventLogError> {
        let connection = file::open_to_read(options)?;
        Ok(Self { connection, log_id })
    }

    /// What is asked for, in at most so many bytes. Blocks.
    pub(crate) fn page(
        &self,
        request: &ReplayRequest,
        bytes_max: usize,
    ) -> Result<ReplayPage, ReadError> {
        self.read(request, bytes_max)
            .map_err(|error| ReadError(error.to_string()))
    }

    fn read(&self, request: &ReplayRequest, bytes_max: usize) -> rusqlite::Result<ReplayPage> {
        let is_of_this_log = request.log_id.as_ref().is_none_or(|id| *id == self.log_id);
        let after = if is_of_this_log { request.after } else { 0 };
        // What is read is of one moment.
        let moment = self.connection.unchecked_transaction()?;
        let last: u64 = moment
            .prepare_cached(LAST)?
            .query_row([], |row| row.get(0))?;
        let mut first = moment.prepare_cached(FIRST)?;
        let first: Option<u64> = first.query_row([], |row| row.get(0)).optional()?;
        let mut filling = Filling::new(request, bytes_max, after);
        let mut statement = moment.prepare_cached(AFTER)?;
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![after, LOOKED_AT_MAX])?;
        let mut is_complete = false;
        loop {
            let Some(row) = rows.next()? else {
                is_complete = filling.looked_at < LOOKED_AT_MAX;
                break;
            };
            if !filling.take(row)? {
                break;
            }
        }
        Ok(ReplayPage {
            log_id: self.log_id.clone(),
            first: first.unwrap_or(last + 1),
            last,
            next: if is_complete { last } else { filling.next },
            is_complete,
            events: filling.events,
        })
    }
}

/// A page that is being filled.
struct Filling<'r> {
    topics: Option<&'r [Topic]>,
    limit: usize,
    bytes_max: usize,
    bytes: usize,
    looked_at: u64,
    next: u64,
    events: Vec<ReplayedEvent>,
}

impl<'r> Filling<'r> {
    fn new(request: &'r ReplayRequest, bytes_max: usize, after: u64) -> Self {
        let limit = request.limit.unwrap_or(ReplayRequest::LIMIT_DEFAULT);
        let limit = limit.clamp(1, ReplayRequest::LIMIT_MAX);
        let asked = request.bytes_max.and_then(|bytes| bytes.try_into().ok());
        Self {
            topics: request.topics.as_deref(),
            limit: usize::try_from(limit).unwrap_or(1),
            bytes_max: asked.unwrap_or(bytes_max).min(bytes_max),
            bytes: 0,
            looked_at: 0,
            next: after,
            events: Vec::new(),
        }
    }

    /// `false` if it has no room for this one.
    fn take(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let sequence: u64 = row.get(0)?;
        let topic = Topic(row.get(1)?);
        if self.topics.is_none_or(|topics| topics.contains(&topic)) {
            if self.events.len() == self.limit {
                return Ok(false);
            }
            let text = row.get_ref(2)?.as_str()?;
            // One that no page has room for is told, and its payload left out.
            let is_too_long = ENTRY_BYTES + text.len() > self.bytes_max;
            let event = ReplayedEvent {
                sequence,
                topic,
                payload: (!is_too_long).then(|| text.to_owned().into()),
            };
            let bytes = self.bytes + event.entry_bytes();
            if bytes > self.bytes_max && !self.events.is_empty() {
                return Ok(false);
            }
            self.bytes = bytes;
            self.events.push(event);
        }
        self.looked_at += 1;
        self.next = sequence;
        Ok(true)
    }
}
