//! Runs on their way into the queue and out of it.

use std::collections::HashSet;
use std::sync::Arc;

use nodewire_json::Json;
use rusqlite::{Connection, OptionalExtension, params};

use super::{finished, keep, sent};
use crate::db::blobs;
use crate::runs::record::{NodeRecord, RunState, Time};

/// What a run's row costs beside its request and its values, about.
const RUN_ROW_BYTES: u64 = 512;

/// A run to be written down.
#[derive(Debug)]
pub(in crate::runs) struct NewRun {
    pub(in crate::runs) run_id: Arc<str>,
    pub(in crate::runs) priority: i32,
    pub(in crate::runs) durable: bool,
    pub(in crate::runs) idempotency_key: Option<String>,
    pub(in crate::runs) request_hash: [u8; 32],
    pub(in crate::runs) graph: Json,
    /// The request without the graph.
    pub(in crate::runs) options: Json,
    pub(in crate::runs) name: Option<String>,
    pub(in crate::runs) client_id: Option<String>,
    pub(in crate::runs) rerun: Option<Rerun>,
    /// What the submitter is told: given again to whoever comes with the same key.
    pub(in crate::runs) answer: Json,
    pub(in crate::runs) submitted_at: Time,
}

/// What a run repeats.
#[derive(Debug, Clone, Default)]
pub(in crate::runs) struct Rerun {
    pub(in crate::runs) run_id: String,
    /// Nodes whose outputs are taken over.
    pub(in crate::runs) keep: HashSet<u64>,
}

/// What became of a [`NewRun`].
pub(in crate::runs) enum Inserted {
    New {
        seq: i64,
    },
    /// Its key was used before.
    Known(Known),
}

/// A run that came with a key.
pub(in crate::runs) struct Known {
    pub(in crate::runs) run_id: String,
    pub(in crate::runs) request_hash: Vec<u8>,
    pub(in crate::runs) answer: String,
}

/// The run that was submitted with this key.
pub(in crate::runs) fn find_key(
    connection: &Connection,
    key: &str,
) -> rusqlite::Result<Option<Known>> {
    let select = "SELECT id, request_hash, answer FROM runs JOIN run_requests ON run = seq \
                  WHERE idempotency_key = ?1";
    let known = |row: &rusqlite::Row<'_>| {
        Ok(Known {
            run_id: row.get(0)?,
            request_hash: row.get(1)?,
            answer: row.get(2)?,
        })
    };
    connection
        .prepare_cached(select)?
        .query_row([key], known)
        .optional()
}

/// Writes a run down as queued.
pub(in crate::runs) fn insert(connection: &Connection, run: &NewRun) -> rusqlite::Result<Inserted> {
    if let Some(key) = &run.idempotency_key
        && let Some(known) = find_key(connection, key)?
    {
        return Ok(Inserted::Known(known));
    }
    let texts = [&run.graph, &run.options, &run.answer].map(|text| text.as_str().len());
    let bytes = RUN_ROW_BYTES + texts.iter().sum::<usize>() as u64;
    let graph = blobs::put(connection, run.graph.as_str().as_bytes())?;
    let insert = "INSERT INTO runs (id, status, priority, durable, idempotency_key, request_hash, graph, \
                  name, client_id, rerun_of, submitted_at, bytes) \
                  VALUES (?1, 'queued', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) RETURNING seq";
    let seq = connection.prepare_cached(insert)?.query_row(
        params![
            &*run.run_id,
            run.priority,
            run.durable,
            run.idempotency_key,
            &run.request_hash[..],
            graph,
            run.name,
            run.client_id,
            run.rerun.as_ref().map(|rerun| &rerun.run_id),
            run.submitted_at.0,
            bytes
        ],
        |row| row.get(0),
    )?;
    let request = "INSERT INTO run_requests (run, request, answer) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(request)?.execute(params![
        seq,
        run.options.as_str(),
        run.answer.as_str()
    ])?;
    if let Some(rerun) = &run.rerun {
        for node_id in &rerun.keep {
            keep(connection, &rerun.run_id, seq, *node_id)?;
        }
    }
    Ok(Inserted::New { seq })
}

/// What is needed to execute a run.
pub(in crate::runs) struct Begun {
    pub(in crate::runs) graph: String,
    pub(in crate::runs) options: String,
    pub(in crate::runs) durable: bool,
    /// When it began first, maybe in an earlier process.
    pub(in crate::runs) started_at: Time,
    /// Nodes that were executed already.
    pub(in crate::runs) finished: Vec<NodeRecord>,
    /// Nodes that were being executed when the process ended.
    pub(in crate::runs) sent: Vec<NodeRecord>,
}

/// Writes down that a queued run begins; `None` if it is not queued any more.
pub(in crate::runs) fn begin(
    connection: &Connection,
    seq: i64,
    at: Time,
) -> rusqlite::Result<Option<Begun>> {
    let update = "UPDATE runs SET status = 'running', started_at = coalesce(started_at, ?2) \
                  WHERE seq = ?1 AND status = 'queued' RETURNING graph, durable, started_at";
    let begun: Option<(i64, bool, i64)> = connection
        .prepare_cached(update)?
        .query_row(params![seq, at.0], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((graph, durable, started_at)) = begun else {
        return Ok(None);
    };
    let request = "SELECT request FROM run_requests WHERE run = ?1";
    let mut statement = connection.prepare_cached(request)?;
    let options = statement.query_row([seq], |row| row.get(0))?;
    Ok(Some(Begun {
        graph: blobs::text(connection, graph)?.unwrap_or_default(),
        options,
        durable,
        started_at: Time(started_at),
        finished: finished(connection, seq)?,
        sent: sent(connection, seq)?,
    }))
}

/// Writes down that a run waits again, of which this process has executed nothing.
pub(in crate::runs) fn put_back(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    let update = "UPDATE runs SET status = 'queued', started_at = CASE WHEN resumed > 0 THEN started_at END \
                  WHERE seq = ?1 AND status = 'running'";
    connection.prepare_cached(update)?.execute([seq]).map(drop)
}

/// A run that waits.
pub(in crate::runs) struct Waiting {
    pub(in crate::runs) run_id: String,
    pub(in crate::runs) seq: i64,
    pub(in crate::runs) priority: i32,
    /// It was being executed when the process ended.
    pub(in crate::runs) is_resumed: bool,
}

const INTERRUPT: &str = "UPDATE runs SET status = 'interrupted', finished_at = ?1, reason = ?2, \
     bytes = bytes + (SELECT coalesce(sum(length(bytes)), 0) FROM blobs, run_nodes \
                      WHERE run = seq AND blobs.id IN (outputs, inputs)) \
     WHERE status = 'running' RETURNING id, seq";

/// Puts in order what a process left that ended in the middle: the runs that are interrupted now, and those that wait.
pub(in crate::runs) fn recover(
    connection: &Connection,
    resume: bool,
    resumes_max: u32,
    at: Time,
) -> rusqlite::Result<(Vec<String>, Vec<Waiting>)> {
    let resumed = "UPDATE runs SET status = 'queued', resumed = resumed + 1 \
                   WHERE status = 'running' AND (durable OR ?1) AND resumed < ?2 RETURNING seq";
    let mut statement = connection.prepare(resumed)?;
    let resumed: HashSet<i64> = statement
        .query_map(params![resume, resumes_max], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let reason = "the daemon ended while it was being executed";
    let mut statement = connection.prepare(INTERRUPT)?;
    let interrupted: Vec<(String, i64)> = statement
        .query_map(params![at.0, reason], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let broken_off = "UPDATE run_nodes SET state = 'aborted', unconfirmed = 1 WHERE run = ?1 \
                      AND state NOT IN ('complete', 'cached', 'error', 'aborted', 'skipped')";
    for (_, seq) in &interrupted {
        connection.execute(broken_off, [seq])?;
    }
    let waiting = "SELECT id, seq, priority FROM runs WHERE status = ?1 ORDER BY seq";
    let mut statement = connection.prepare(waiting)?;
    let waiting = statement.query_map([RunState::Queued.as_str()], |row| {
        let seq = row.get(1)?;
        Ok(Waiting {
            run_id: row.get(0)?,
            seq,
            priority: row.get(2)?,
            is_resumed: resumed.contains(&seq),
        })
    })?;
    let waiting = waiting.collect::<rusqlite::Result<_>>()?;
    Ok((interrupted.into_iter().map(|(id, _)| id).collect(), waiting))
}
