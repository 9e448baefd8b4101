//! Nodes of a run.

use nodewire_json::Json;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::db::blobs;
use crate::runs::record::{NodeRecord, Time};

/// What a node's row costs beside its texts and its values, about.
const NODE_ROW_BYTES: u64 = 256;
/// A longer status is not kept.
const STATUS_BYTES_MAX: usize = 64 << 10;

/// What a row has, with the numbers of its values.
pub(super) const COLUMNS: &str = "node_id, uid, name, state, attempts, server_uid, started_at, ended_at, duration_ms, \
     error, failures, cause, unconfirmed, cached, last_status, outputs, inputs";

const SAVE: &str = "INSERT INTO run_nodes (run, place, node_id, uid, name, state, attempts, server_uid, started_at, \
     ended_at, duration_ms, error, failures, cause, unconfirmed, cached, last_status, outputs, inputs) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) \
     ON CONFLICT (run, node_id) DO UPDATE SET place = excluded.place, uid = excluded.uid, name = excluded.name, \
     state = excluded.state, attempts = excluded.attempts, server_uid = excluded.server_uid, \
     started_at = excluded.started_at, ended_at = excluded.ended_at, duration_ms = excluded.duration_ms, \
     error = excluded.error, failures = excluded.failures, cause = excluded.cause, \
     unconfirmed = excluded.unconfirmed, cached = excluded.cached, last_status = excluded.last_status, \
     outputs = excluded.outputs, inputs = excluded.inputs";

/// Writes a node down, in place of what stood there; values that are there already are not written again. Its size.
pub(in crate::runs) fn save(
    connection: &Connection,
    run: i64,
    place: usize,
    node: &NodeRecord,
) -> rusqlite::Result<u64> {
    let values = "SELECT outputs, inputs FROM run_nodes WHERE run = ?1 AND node_id = ?2";
    let there: Option<(Option<i64>, Option<i64>)> = connection
        .prepare_cached(values)?
        .query_row(params![run, node.node_id.cast_signed()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let (outputs, inputs) = there.unwrap_or_default();
    let value = |there: Option<i64>, value: &Option<Json>| match (there, value) {
        (Some(there), _) => Ok(Some(there)),
        (None, Some(value)) => blobs::put(connection, value.as_str().as_bytes()).map(Some),
        (None, None) => Ok(None),
    };
    let (outputs, inputs) = (value(outputs, &node.outputs)?, value(inputs, &node.inputs)?);
    let status = text(&node.last_status).filter(|status| status.len() <= STATUS_BYTES_MAX);
    let failures = (!node.failures.is_empty()).then(|| Json::array(&node.failures));
    connection.prepare_cached(SAVE)?.execute(params![
        run,
        i64::try_from(place).unwrap_or(i64::MAX),
        node.node_id.cast_signed(),
        node.uid,
        node.name,
        node.state,
        node.attempts,
        node.server_uid,
        node.started_at.map(|at| at.0),
        node.ended_at.map(|at| at.0),
        node.duration_ms,
        text(&node.error),
        text(&failures),
        node.cause.map(u64::cast_signed),
        node.unconfirmed,
        node.cached,
        status,
        outputs,
        inputs
    ])?;
    let values = [&node.outputs, &node.inputs, &node.error, &failures].map(text);
    let names = [Some(&*node.uid), node.name.as_deref(), status];
    let lengths = values.into_iter().chain(names).flatten().map(str::len);
    Ok(NODE_ROW_BYTES + lengths.sum::<usize>() as u64)
}

fn text(value: &Option<Json>) -> Option<&str> {
    value.as_ref().map(Json::as_str)
}

/// Notes that an attempt of a node begins.
pub(in crate::runs) fn attempt(
    connection: &Connection,
    run: i64,
    place: usize,
    node: &NodeRecord,
) -> rusqlite::Result<()> {
    let insert = "INSERT INTO run_nodes (run, node_id, place, uid, name, state, attempts, started_at) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                  ON CONFLICT (run, node_id) DO UPDATE SET state = excluded.state, attempts = excluded.attempts \
                  WHERE outputs IS NULL";
    connection.prepare_cached(insert)?.execute(params![
        run,
        node.node_id.cast_signed(),
        i64::try_from(place).unwrap_or(i64::MAX),
        node.uid,
        node.name,
        node.state,
        node.attempts,
        node.started_at.map(|at| at.0)
    ])?;
    Ok(())
}

/// The nodes of a run that have outputs, with these.
pub(in crate::runs) fn finished(
    connection: &Connection,
    run: i64,
) -> rusqlite::Result<Vec<NodeRecord>> {
    let select = format!(
        "SELECT {COLUMNS} FROM run_nodes WHERE run = ?1 AND outputs IS NOT NULL \
         AND state IN ('complete', 'cached') ORDER BY place"
    );
    let mut statement = connection.prepare_cached(&select)?;
    let rows = statement.query_map([run], read)?;
    let mut nodes = Vec::new();
    for row in rows {
        let (mut node, outputs, inputs) = row?;
        node.outputs = value(connection, outputs)?;
        node.inputs = value(connection, inputs)?;
        nodes.push(node);
    }
    Ok(nodes)
}

/// The nodes of a run that were sent to a server, and of which nothing more is known.
pub(in crate::runs) fn sent(
    connection: &Connection,
    run: i64,
) -> rusqlite::Result<Vec<NodeRecord>> {
    let select = format!(
        "SELECT {COLUMNS} FROM run_nodes WHERE run = ?1 AND outputs IS NULL AND state = 'dispatched' ORDER BY place"
    );
    let mut statement = connection.prepare_cached(&select)?;
    let rows = statement.query_map([run], read)?;
    rows.map(|row| Ok(row?.0)).collect()
}

/// Gives a node of one run to another one, with its values.
pub(in crate::runs) fn keep(
    connection: &Connection,
    from: &str,
    run: i64,
    node_id: u64,
) -> rusqlite::Result<()> {
    let copy = format!(
        "INSERT INTO run_nodes (run, place, {COLUMNS}) SELECT ?2, place, {COLUMNS} FROM run_nodes \
         WHERE run = (SELECT seq FROM runs WHERE id = ?1) AND node_id = ?3"
    );
    connection
        .prepare_cached(&copy)?
        .execute(params![from, run, node_id.cast_signed()])?;
    for column in ["outputs", "inputs"] {
        let count = format!(
            "UPDATE blobs SET refs = refs + 1 WHERE id = (SELECT {column} FROM run_nodes WHERE run = ?1 AND node_id = ?2)"
        );
        connection
            .prepare_cached(&count)?
            .execute(params![run, node_id.cast_signed()])?;
    }
    Ok(())
}

/// Forgets a node and its values.
pub(in crate::runs) fn forget(
    connection: &Connection,
    run: i64,
    node_id: u64,
) -> rusqlite::Result<()> {
    let delete = "DELETE FROM run_nodes WHERE run = ?1 AND node_id = ?2";
    let mut statement = connection.prepare_cached(delete)?;
    statement
        .execute(params![run, node_id.cast_signed()])
        .map(drop)
}

/// A row of [`COLUMNS`]: the record without its values, and where these are.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<(NodeRecord, Option<i64>, Option<i64>)> {
    let failures = json(row, "failures")?.and_then(|list| list.elements());
    let time = |name| row.get::<_, Option<i64>>(name).map(|at| at.map(Time));
    let record = NodeRecord {
        node_id: row.get::<_, i64>("node_id")?.cast_unsigned(),
        uid: row.get("uid")?,
        name: row.get("name")?,
        state: row.get("state")?,
        attempts: row.get("attempts")?,
        server_uid: row.get("server_uid")?,
        started_at: time("started_at")?,
        ended_at: time("ended_at")?,
        duration_ms: row.get("duration_ms")?,
        error: json(row, "error")?,
        failures: failures.unwrap_or_default(),
        cause: row.get::<_, Option<i64>>("cause")?.map(i64::cast_unsigned),
        unconfirmed: row.get("unconfirmed")?,
        cached: row.get("cached")?,
        last_status: json(row, "last_status")?,
        inputs: None,
        outputs: None,
    };
    Ok((record, row.get("outputs")?, row.get("inputs")?))
}

fn json(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Json>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.and_then(|text| Json::parse(text).ok()))
}

/// A value by its number.
pub(super) fn value(connection: &Connection, id: Option<i64>) -> rusqlite::Result<Option<Json>> {
    let Some(id) = id else {
        return Ok(None);
    };
    let text = blobs::text(connection, id)?;
    Ok(text.and_then(|text| Json::parse(text).ok()))
}
