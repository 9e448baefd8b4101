//! Runs as they are read again, and how long they are kept.

use nodewire_json::Json;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::nodes::{COLUMNS, read, value};
use crate::db::blobs;
use crate::runs::record::{NodeRecord, RunState, RunSummary, Time};

const SUMMARY: &str = "seq, id, status, name, priority, durable, client_id, rerun_of, submitted_at, started_at, \
     finished_at, duration_ms, counts, reason, resumed";

fn summary_of(row: &Row<'_>) -> rusqlite::Result<RunSummary> {
    let time = |name| row.get::<_, Option<i64>>(name).map(|at| at.map(Time));
    let status: String = row.get("status")?;
    let counts: Option<String> = row.get("counts")?;
    Ok(RunSummary {
        run_id: row.get("id")?,
        // Nothing else is ever written.
        status: RunState::from_word(&status).unwrap_or(RunState::Error),
        name: row.get("name")?,
        priority: row.get("priority")?,
        durable: row.get("durable")?,
        client_id: row.get("client_id")?,
        rerun_of: row.get("rerun_of")?,
        submitted_at: Time(row.get("submitted_at")?),
        started_at: time("started_at")?,
        finished_at: time("finished_at")?,
        duration_ms: row.get("duration_ms")?,
        counts: counts.and_then(|counts| Json::parse(counts).ok()),
        reason: row.get("reason")?,
        resumed: row.get("resumed")?,
        not_kept: None,
    })
}

/// Which rows a list has.
#[derive(Debug, Clone)]
pub(in crate::runs) struct Filter {
    pub(in crate::runs) status: Option<RunState>,
    /// Only those of this submitter.
    pub(in crate::runs) client_id: Option<String>,
    /// Only older ones than this.
    pub(in crate::runs) before: i64,
    pub(in crate::runs) limit: usize,
}

/// Summaries, newest first, each with its number.
pub(in crate::runs) fn list(
    connection: &Connection,
    filter: &Filter,
) -> rusqlite::Result<Vec<(i64, RunSummary)>> {
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    let one = |row: &Row<'_>| Ok((row.get("seq")?, summary_of(row)?));
    let status = filter.status.map(RunState::as_str);
    // What is not asked for is not compared, so that an index serves.
    let is_status = status.map_or("?3 IS NULL", |_| "status = ?3");
    let client = filter.client_id.as_deref();
    let is_client = client.map_or("?4 IS NULL", |_| "client_id = ?4");
    let select = format!(
        "SELECT {SUMMARY} FROM runs WHERE seq < ?1 AND {is_status} AND {is_client} ORDER BY seq DESC LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&select)?;
    let rows = statement.query_map(params![filter.before, limit, status, client], one)?;
    rows.collect()
}

/// A run's state, if there is such a run.
pub(in crate::runs) fn state_of(
    connection: &Connection,
    run_id: &str,
) -> rusqlite::Result<Option<RunState>> {
    Ok(summary(connection, run_id)?.map(|(_, summary)| summary.status))
}

/// A run's summary and number, if there is such a run.
pub(in crate::runs) fn summary(
    connection: &Connection,
    run_id: &str,
) -> rusqlite::Result<Option<(i64, RunSummary)>> {
    let select = format!("SELECT {SUMMARY} FROM runs WHERE id = ?1");
    let mut statement = connection.prepare_cached(&select)?;
    let one = |row: &Row<'_>| Ok((row.get("seq")?, summary_of(row)?));
    statement.query_row([run_id], one).optional()
}

/// A run as it is kept, without its nodes.
pub(in crate::runs) struct Kept {
    pub(in crate::runs) seq: i64,
    pub(in crate::runs) summary: RunSummary,
    pub(in crate::runs) graph: Json,
    pub(in crate::runs) options: Json,
}

/// All about a run but its nodes.
pub(in crate::runs) fn record(
    connection: &Connection,
    run_id: &str,
) -> rusqlite::Result<Option<Kept>> {
    let Some((seq, summary)) = summary(connection, run_id)? else {
        return Ok(None);
    };
    let select = "SELECT graph, request FROM runs JOIN run_requests ON run = seq WHERE seq = ?1";
    let mut statement = connection.prepare_cached(select)?;
    let (graph, options): (i64, String) =
        statement.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Some(Kept {
        seq,
        summary,
        graph: value(connection, Some(graph))?.unwrap_or_default(),
        options: Json::parse(options).unwrap_or_default(),
    }))
}

/// Which values of a run are read with it.
pub(in crate::runs) struct Filled<'f> {
    /// Called with the id of the node and the size of the value: what stands for it, or `None` to read it.
    pub(in crate::runs) short: &'f mut dyn FnMut(u64, usize) -> Option<Json>,
}

impl Filled<'_> {
    /// A run's nodes, in file order.
    pub(in crate::runs) fn nodes(
        &mut self,
        connection: &Connection,
        run: i64,
    ) -> rusqlite::Result<Vec<NodeRecord>> {
        let select = format!("SELECT {COLUMNS} FROM run_nodes WHERE run = ?1 ORDER BY place");
        let mut statement = connection.prepare_cached(&select)?;
        let rows = statement.query_map([run], read)?;
        let mut nodes = Vec::new();
        for row in rows {
            let (mut node, outputs, inputs) = row?;
            node.outputs = self.value(connection, node.node_id, outputs)?;
            node.inputs = self.value(connection, node.node_id, inputs)?;
            nodes.push(node);
        }
        Ok(nodes)
    }

    fn value(
        &mut self,
        connection: &Connection,
        node_id: u64,
        id: Option<i64>,
    ) -> rusqlite::Result<Option<Json>> {
        let Some(number) = id else {
            return Ok(None);
        };
        let size = blobs::size(connection, number)?;
        match (self.short)(node_id, size) {
            Some(short) => Ok(Some(short)),
            None => value(connection, id),
        }
    }
}

/// A node of a run, with all its values.
pub(in crate::runs) fn record_node(
    connection: &Connection,
    run_id: &str,
    node_id: u64,
) -> rusqlite::Result<Option<NodeRecord>> {
    let select = format!(
        "SELECT {COLUMNS} FROM run_nodes WHERE run = (SELECT seq FROM runs WHERE id = ?1) AND node_id = ?2"
    );
    let mut statement = connection.prepare_cached(&select)?;
    let row = statement.query_row(params![run_id, node_id.cast_signed()], read);
    let Some((mut node, outputs, inputs)) = row.optional()? else {
        return Ok(None);
    };
    node.outputs = value(connection, outputs)?;
    node.inputs = value(connection, inputs)?;
    Ok(Some(node))
}

/// Looked at before the rest is left to the next time.
const PRUNED_MAX: i64 = 200;

/// Forgets the oldest finished runs, whatever the limits, but for the one with the id `spared`; how many there were.
pub(in crate::runs) fn forget_oldest(
    connection: &Connection,
    runs: usize,
    spared: &str,
) -> rusqlite::Result<usize> {
    let delete = "DELETE FROM runs WHERE seq IN (SELECT seq FROM runs \
                  WHERE status NOT IN ('queued', 'running') AND id <> ?2 ORDER BY seq LIMIT ?1)";
    let mut statement = connection.prepare_cached(delete)?;
    statement.execute(params![i64::try_from(runs).unwrap_or(i64::MAX), spared])
}

/// Forgets the oldest finished runs until the limits are kept; never the one with the number `newest`.
pub(in crate::runs) fn prune(
    connection: &Connection,
    newest: i64,
    runs_max: usize,
    bytes_max: u64,
) -> rusqlite::Result<()> {
    const FINISHED: &str = "status NOT IN ('queued', 'running')";
    let totals = format!("SELECT count(*), coalesce(sum(bytes), 0) FROM runs WHERE {FINISHED}");
    let (mut runs, mut bytes): (u64, u64) = connection
        .prepare_cached(&totals)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let is_over = |runs: u64, bytes: u64| runs > runs_max as u64 || bytes > bytes_max;
    if !is_over(runs, bytes) {
        return Ok(());
    }
    let oldest =
        format!("SELECT seq, bytes FROM runs WHERE {FINISHED} AND seq <> ?1 ORDER BY seq LIMIT ?2");
    let mut statement = connection.prepare_cached(&oldest)?;
    let oldest: Vec<(i64, u64)> = statement
        .query_map(params![newest, PRUNED_MAX], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (seq, size) in oldest {
        if !is_over(runs, bytes) {
            break;
        }
        connection
            .prepare_cached("DELETE FROM runs WHERE seq = ?1")?
            .execute([seq])?;
        runs -= 1;
        bytes = bytes.saturating_sub(size);
    }
    Ok(())
}
