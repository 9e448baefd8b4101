//! Which assets something refers to: kept runs, cached results, and what running nodes have just made.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;

use super::super::Api;
use crate::assets::{AssetId, ContentHash, Entry};
use crate::db::DatabaseError;
use crate::refusal::ApiError;
use crate::runs::{NodeRecord, RunError};

/// What the two names of an asset have before the part that says which. spec: nanograph 10.1
const HASH_PREFIX: &str = "sha256:";
const HASH_CHARS: usize = HASH_PREFIX.len() + 64;
const URI_PART: &str = "asset";
const UUID_CHARS: usize = 36;

/// A page of the database ends with the row that goes beyond one of these.
const PAGE_ROWS: usize = 256;
const PAGE_BYTES: usize = 4 << 20;

/// All that is kept, by ascending number.
const KEPT: [&str; 2] = [
    "SELECT id, bytes FROM blobs WHERE id > ?1 ORDER BY id",
    "SELECT run, CAST(request AS BLOB) FROM run_requests WHERE run > ?1 ORDER BY run",
];

/// What runs have that were there while the rest was looked through: their values may have come into its gaps.
const RECENT: [&str; 3] = [
    "SELECT 0, b.bytes FROM runs r JOIN blobs b ON b.id = r.graph
     WHERE r.status IN ('queued', 'running') OR r.finished_at >= ?1",
    "SELECT 0, CAST(q.request AS BLOB) FROM runs r JOIN run_requests q ON q.run = r.seq
     WHERE r.status IN ('queued', 'running') OR r.finished_at >= ?1",
    "SELECT 0, b.bytes FROM runs r JOIN run_nodes n ON n.run = r.seq JOIN blobs b ON b.id IN (n.outputs, n.inputs)
     WHERE r.status IN ('queued', 'running') OR r.finished_at >= ?1",
];

/// Assets that may be deleted, and those among them that something names.
#[derive(Debug, Default)]
pub(super) struct Named {
    candidates: HashMap<AssetId, ContentHash>,
    named: HashSet<ContentHash>,
}

impl Named {
    /// Looks for the names of these assets wherever the daemon keeps values. The database is read page by page, so that
    /// nothing else waits for it, and its log can be cleared in between.
    pub(super) async fn among(api: &Api, candidates: &[Arc<Entry>]) -> Result<Self, ApiError> {
        let begun = Timestamp::now().as_millisecond();
        let mut names = Self::new(candidates);
        // A value goes from a running node into the database: in this order, it is seen in one of the two.
        names.read_running(api).await?;
        for query in KEPT {
            names = names.read_pages(api, query).await?;
        }
        names.read_running(api).await?;
        for query in RECENT {
            let read = api.database.read(move |connection| {
                names.read_rows(connection, query, begun, usize::MAX)?;
                Ok(names)
            });
            names = read.await.map_err(failed)?;
        }
        Ok(names)
    }

    pub(super) fn contains(&self, entry: &Entry) -> bool {
        self.named.contains(&entry.hash)
    }

    fn new(candidates: &[Arc<Entry>]) -> Self {
        let ids = |entry: &Arc<Entry>| {
            [AssetId::Uuid(entry.uuid), AssetId::Hash(entry.hash)].map(|id| (id, entry.hash))
        };
        Self {
            candidates: candidates.iter().flat_map(ids).collect(),
            named: HashSet::new(),
        }
    }

    /// What the nodes of runs have said, sent or made that nothing has kept yet.
    async fn read_running(&mut self, api: &Api) -> Result<(), ApiError> {
        for run in api.runs.queue().running {
            let record = found(api.runs.get(&run.run_id).await)?;
            for node in record.map(|record| record.nodes).unwrap_or_default() {
                // The record of the run has only short values.
                let node = found(api.runs.node(&run.run_id, node.node_id).await)?;
                node.iter().for_each(|node| self.read_node(node));
            }
        }
        Ok(())
    }

    fn read_node(&mut self, node: &NodeRecord) {
        let values = [&node.outputs, &node.inputs, &node.last_status];
        for value in values.into_iter().flatten() {
            self.read_text(value.as_str());
        }
    }

    async fn read_pages(mut self, api: &Api, query: &'static str) -> Result<Self, ApiError> {
        let mut after = Some(0);
        while let Some(from) = after {
            let read = api.database.read(move |connection| {
                let last = self.read_rows(connection, query, from, PAGE_ROWS)?;
                Ok((self, last))
            });
            (self, after) = read.await.map_err(failed)?;
        }
        Ok(self)
    }

    /// Reads a page; the number of its last row, or `None` if there was nothing.
    fn read_rows(
        &mut self,
        connection: &Connection,
        query: &str,
        from: i64,
        rows_max: usize,
    ) -> rusqlite::Result<Option<i64>> {
        let mut statement = connection.prepare_cached(query)?;
        let mut rows = statement.query([from])?;
        let (mut last, mut count, mut size) = (None, 0, 0);
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(1)?.as_blob()?;
            self.read_text(&String::from_utf8_lossy(bytes));
            last = Some(row.get(0)?);
            count += 1;
            size += bytes.len();
            if count >= rows_max || (rows_max < usize::MAX && size >= PAGE_BYTES) {
                break;
            }
        }
        Ok(last)
    }

    fn read_text(&mut self, text: &str) {
        for id in named_in(text) {
            self.named.extend(self.candidates.get(&id));
        }
    }
}

/// `None` if it was forgotten meanwhile, with all it named.
fn found<T>(answer: Result<T, RunError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error @ RunError::Database(_)) => Err(ApiError::internal(&error)),
        Err(_) => Ok(None),
    }
}

fn failed(error: DatabaseError) -> ApiError {
    ApiError::internal(&error)
}

fn named_in(text: &str) -> impl Iterator<Item = AssetId> + '_ {
    let hashes = text
        .match_indices(HASH_PREFIX)
        .filter_map(|(at, _)| text.get(at..at + HASH_CHARS)?.parse().ok());
    let uuids = text.match_indices(URI_PART).filter_map(|(at, _)| {
        let rest = text.get(at + URI_PART.len()..)?;
        // JSON may have a slash with a backslash before it.
        let uuid = rest.trim_start_matches(['\\', '/']);
        uuid.get(..UUID_CHARS)?.parse().ok()
    });
    hashes.chain(uuids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_are_found_wherever_they_stand() {
        let hash = format!("sha256:{}", "0a".repeat(32));
        let uuid = "00000000-0000-4000-8000-000000000001";
        let text = format!(
            r#"{{"a": ["é{hash}"], "b": "nanocore:\/\/x\/asset\/{uuid}", "c": "asset/none", "d": "sha256:0"}}"#
        );
        let found: HashSet<_> = named_in(&text).collect();
        let expected = [hash.parse().unwrap(), uuid.parse().unwrap()];
        assert_eq!(found, HashSet::from(expected));
    }

    #[test]
    fn pages_end_at_their_limit_and_go_on_behind_it() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, bytes BLOB);")
            .unwrap();
        for size in [1, PAGE_BYTES, 1, 1, 1] {
            connection
                .execute("INSERT INTO t (bytes) VALUES (zeroblob(?1))", [size])
                .unwrap();
        }
        let query = "SELECT id, bytes FROM t WHERE id > ?1 ORDER BY id";
        let mut names = Named::default();
        let mut page = |from| names.read_rows(&connection, query, from, 2).unwrap();
        assert_eq!(
            [page(0), page(2), page(4), page(5)],
            [Some(2), Some(4), Some(5), None]
        );
    }
}
