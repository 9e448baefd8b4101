//! What has to go.

use rusqlite::{Connection, params};

use super::EventLogOptions;
use super::store::Totals;

/// Looked at in one transaction, beyond what must go for the counts: old events go little by little.
const AGED_MAX: u64 = 4096;

const OLDEST: &str =
    "SELECT sequence, octet_length(payload), stored_at FROM events ORDER BY sequence";
const DELETE: &str = "DELETE FROM events WHERE sequence <= ?1";

/// Deletes the oldest until the limits are kept. spec: none, our own
pub(super) fn prune(
    connection: &Connection,
    totals: &mut Totals,
    options: &EventLogOptions,
    now: f64,
) -> rusqlite::Result<()> {
    let mut up_to = None;
    let mut left = *totals;
    let mut aged = 0;
    let mut oldest = connection.prepare_cached(OLDEST)?;
    let mut rows = oldest.query([])?;
    while let Some(row) = rows.next()? {
        let (sequence, bytes, stored_at): (u64, u64, f64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let is_over =
            left.events > options.events_max || left.payload_bytes > options.payload_bytes_max;
        let is_old = stored_at + seconds(options.age_max_s) < now && aged < AGED_MAX;
        if !is_over && !is_old {
            break;
        }
        aged += u64::from(!is_over);
        left.events = left.events.saturating_sub(1);
        left.payload_bytes = left.payload_bytes.saturating_sub(bytes);
        up_to = Some(sequence);
    }
    drop(rows);
    if let Some(sequence) = up_to {
        let mut delete = connection.prepare_cached(DELETE)?;
        delete.execute(params![sequence])?;
        *totals = left;
    }
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no age is so long that a second more or less is to be seen"
)]
const fn seconds(age_s: u64) -> f64 {
    age_s as f64
}
