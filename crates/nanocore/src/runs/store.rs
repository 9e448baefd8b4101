//! The rows of runs and their nodes. Everything here is called inside a transaction.

mod history;
mod nodes;
mod submission;

pub(super) use history::{
    Filled, Filter, Kept, forget_oldest, list, prune, record, record_node, state_of,
};
pub(super) use nodes::{attempt, finished, forget, keep, save, sent};
pub(super) use submission::{
    Begun, Inserted, Known, NewRun, Rerun, begin, find_key, insert, put_back, recover,
};

use rusqlite::{Connection, params};

use super::record::{NodeRecord, RunState, Time};

/// How a run ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) state: RunState,
    pub(super) at: Time,
    pub(super) duration_ms: Option<u64>,
    /// An object.
    pub(super) counts: Option<String>,
    pub(super) reason: Option<String>,
}

/// Writes down how a run ended, and its nodes.
pub(super) fn finish(
    connection: &Connection,
    seq: i64,
    end: &End,
    nodes: &[(usize, NodeRecord)],
) -> rusqlite::Result<()> {
    let mut bytes = 0;
    for (place, node) in nodes {
        bytes += save(connection, seq, *place, node)?;
    }
    let update = "UPDATE runs SET status = ?2, finished_at = ?3, duration_ms = ?4, counts = ?5, reason = ?6, \
                  bytes = bytes + ?7 WHERE seq = ?1";
    connection.prepare_cached(update)?.execute(params![
        seq,
        end.state.as_str(),
        end.at.0,
        end.duration_ms,
        end.counts,
        end.reason,
        bytes
    ])?;
    Ok(())
}

/// Forgets a run; whether it was there.
pub(super) fn delete(connection: &Connection, run_id: &str) -> rusqlite::Result<bool> {
    let deleted = connection
        .prepare_cached("DELETE FROM runs WHERE id = ?1")?
        .execute([run_id])?;
    Ok(deleted > 0)
}
