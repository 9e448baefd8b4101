use std::fs;

use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use super::Store;
use crate::event_log::{EventLogError, EventLogOptions, Record};
use crate::replay::{ENTRY_BYTES, ReplayRequest};
use crate::topic::Topic;

fn options(folder: &TempDir) -> EventLogOptions {
    EventLogOptions {
        lock_wait_ms: 20,
        ..EventLogOptions::at(folder.path().join("events.db"))
    }
}

fn record(sequence: u64) -> Record {
    let payload = format!(r#"{{"kind": 201, "when": 1.5, "index": 7, "sequence": {sequence}}}"#);
    Record {
        sequence,
        topic: Topic::EVENT,
        payload: payload.into(),
    }
}

fn records(sequences: impl IntoIterator<Item = u64>) -> Vec<Record> {
    sequences.into_iter().map(record).collect()
}

fn sequences(store: &Store, request: &ReplayRequest) -> Vec<u64> {
    let page = store.reader().unwrap().page(request, 1 << 19).unwrap();
    page.events.iter().map(|event| event.sequence).collect()
}

#[test]
fn what_was_kept_is_there_after_it_was_opened_again() {
    let folder = TempDir::new().unwrap();
    let options = options(&folder);
    let mut store = Store::open(&options).unwrap();
    store.keep(&records(1..=3), 10.0).unwrap();
    let before = store.status();
    assert_eq!((before.last, before.events), (3, 3));
    drop(store);
    let mut store = Store::open(&options).unwrap();
    assert_eq!(store.status(), before);
    store.keep(&records(4..=4), 11.0).unwrap();
    let page = store
        .reader()
        .unwrap()
        .page(&ReplayRequest::default(), 1 << 19)
        .unwrap();
    assert_eq!((page.first, page.last, page.next), (1, 4, 4));
    assert!(page.is_complete);
    assert_eq!(page.log_id, before.log_id);
    assert_eq!(page.events[3].payload, Some(record(4).payload));
    // For whoever looks into it with other means.
    let looked: (i64, f64, i64, f64) = Connection::open(&options.path)
        .unwrap()
        .query_row(
            r#"SELECT kind, "when", "index", stored_at FROM events WHERE sequence = 4"#,
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap();
    assert_eq!(looked, (201, 1.5, 7, 11.0));
}

#[test]
fn pages_are_bounded_and_follow_each_other() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(&options(&folder)).unwrap();
    store.keep(&records(1..=1200), 0.0).unwrap();
    let reader = store.reader().unwrap();
    let page = |request: &ReplayRequest, bytes_max| {
        let page = reader.page(request, bytes_max).unwrap();
        (page.events.len(), page.next, page.is_complete)
    };
    let after = |after| ReplayRequest {
        after,
        ..ReplayRequest::default()
    };
    assert_eq!(page(&after(0), 1 << 20), (500, 500, false));
    assert_eq!(page(&after(700), 1 << 20), (500, 1200, true));
    assert_eq!(page(&after(1200), 1 << 20), (0, 1200, true));
    assert_eq!(page(&after(u64::MAX), 1 << 20), (0, 1200, true));
    let many = ReplayRequest {
        limit: Some(u64::MAX),
        ..after(0)
    };
    assert_eq!(page(&many, 1 << 20), (1000, 1000, false));
    let two = 2 * (ENTRY_BYTES + record(1).payload.len());
    assert_eq!(page(&after(0), two), (2, 2, false));
    // One that no page has room for is told without its payload.
    let short = reader.page(&after(0), 50).unwrap();
    assert_eq!((short.events.len(), short.next), (1, 1));
    assert_eq!(short.events[0].payload, None);
    let of_others = ReplayRequest {
        topics: Some(vec![Topic::COMMAND_RESULT]),
        ..after(0)
    };
    assert_eq!(page(&of_others, 1 << 20), (0, 1200, true));
    let of_another_log = ReplayRequest {
        log_id: Some("other".to_owned()),
        limit: Some(1),
        ..after(1000)
    };
    assert_eq!(page(&of_another_log, 1 << 20), (1, 1, false));
}

#[test]
fn the_oldest_go_by_count_by_bytes_and_by_age() {
    let folder = TempDir::new().unwrap();
    let all = ReplayRequest::default();
    let mut options = EventLogOptions {
        events_max: 5,
        ..options(&folder)
    };
    let mut store = Store::open(&options).unwrap();
    store.keep(&records(1..=7), 0.0).unwrap();
    assert_eq!(sequences(&store, &all), [3, 4, 5, 6, 7]);
    drop(store);
    options.payload_bytes_max = 2 * record(1).payload.len() as u64;
    let mut store = Store::open(&options).unwrap();
    store.keep(&records([8]), 100.0).unwrap();
    assert_eq!(sequences(&store, &all), [7, 8]);
    drop(store);
    options.age_max_s = 50;
    let mut store = Store::open(&options).unwrap();
    store.keep(&records([9]), 149.0).unwrap();
    assert_eq!(sequences(&store, &all), [8, 9]);
    store.keep(&[], 200.0).unwrap();
    // The numbers go on although nothing is left of them.
    assert_eq!((store.status().events, store.status().last), (0, 9));
    let page = store.reader().unwrap().page(&all, 1 << 19).unwrap();
    assert_eq!((page.first, page.last, page.next), (10, 9, 9));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn totals_are_those_of_the_rows(
        batches in prop::collection::vec(0..40_u64, 1..12),
        events_max in 1..60_u64,
        payload_bytes_max in 1..4000_u64,
    ) {
        let folder = TempDir::new().unwrap();
        let options = EventLogOptions { events_max, payload_bytes_max, ..options(&folder) };
        let mut store = Store::open(&options).unwrap();
        let mut next = 1;
        for count in batches {
            store.keep(&records(next..next + count), 0.0).unwrap();
            next += count;
            let rows: (u64, u64, u64) = store.connection.query_row(
                "SELECT count(*), coalesce(sum(octet_length(payload)), 0), coalesce(max(sequence), 0) FROM events",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            ).unwrap();
            let status = store.status();
            prop_assert_eq!((rows.0, rows.1), (status.events, status.payload_bytes));
            prop_assert!(rows.0 <= events_max && rows.1 <= payload_bytes_max);
            prop_assert_eq!(status.last, next - 1);
            prop_assert!(rows.2 == next - 1 || rows.0 == 0);
        }
    }
}

#[test]
fn what_is_no_log_of_ours_is_refused_and_not_touched() {
    let folder = TempDir::new().unwrap();
    let options = options(&folder);
    fs::write(
        &options.path,
        "not a database, but long enough to be read as one".repeat(100),
    )
    .unwrap();
    let before = fs::read(&options.path).unwrap();
    let refused = Store::open(&options).unwrap_err();
    assert!(
        matches!(refused, EventLogError::Damaged { .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("move it away"));
    assert_eq!(fs::read(&options.path).unwrap(), before);

    fs::remove_file(&options.path).unwrap();
    let foreign = Connection::open(&options.path).unwrap();
    foreign.execute_batch("CREATE TABLE mine (x)").unwrap();
    let refused = Store::open(&options).unwrap_err();
    assert!(
        matches!(refused, EventLogError::Foreign { .. }),
        "{refused:?}"
    );
    drop(foreign);

    fs::remove_file(&options.path).unwrap();
    drop(Store::open(&options).unwrap());
    let newer = Connection::open(&options.path).unwrap();
    newer.pragma_update(None, "user_version", 2).unwrap();
    let refused = Store::open(&options).unwrap_err();
    let is_newer = matches!(
        refused,
        EventLogError::Newer {
            version: 2,
            version_max: 1,
            ..
        }
    );
    assert!(is_newer, "{refused:?}");

    let nowhere = EventLogOptions::at(folder.path().join("missing/events.db"));
    let refused = Store::open(&nowhere).unwrap_err();
    assert!(matches!(refused, EventLogError::Open { .. }), "{refused:?}");
}

#[test]
fn there_is_one_writer() {
    let folder = TempDir::new().unwrap();
    let options = options(&folder);
    let store = Store::open(&options).unwrap();
    let refused = Store::open(&options).unwrap_err();
    assert!(
        matches!(refused, EventLogError::InUse { .. }),
        "{refused:?}"
    );
    store.close();
    Store::open(&options).unwrap();
}

#[test]
fn a_file_that_may_not_grow_fails_and_keeps_what_it_has() {
    let folder = TempDir::new().unwrap();
    let options = EventLogOptions {
        file_bytes_max: 64 << 10,
        ..options(&folder)
    };
    let mut store = Store::open(&options).unwrap();
    let mut kept = 0;
    let failure = loop {
        match store.keep(&records(kept + 1..=kept + 50), 0.0) {
            Ok(()) => kept += 50,
            Err(failure) => break failure,
        }
    };
    assert!(failure.to_string().contains("full"), "{failure}");
    assert!(kept > 0);
    let status = store.status();
    assert_eq!((status.last, status.events), (kept, kept));
    assert!(status.failure.is_some());
    drop(store);
    // With more room it goes on.
    let options = EventLogOptions {
        file_bytes_max: 1 << 20,
        ..options
    };
    let mut store = Store::open(&options).unwrap();
    store.keep(&records(kept + 1..=kept + 50), 0.0).unwrap();
    assert_eq!(store.status().failure, None);
}

#[test]
fn a_file_that_another_holds_fails_until_it_is_free() {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(&options(&folder)).unwrap();
    let other = Connection::open(&store.options.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let failure = store.keep(&records([1]), 0.0).unwrap_err();
    assert!(failure.to_string().contains("locked"), "{failure}");
    // Replays are none of the other's business.
    assert!(sequences(&store, &ReplayRequest::default()).is_empty());
    other.execute_batch("COMMIT").unwrap();
    store.keep(&records([2]), 0.0).unwrap();
    assert_eq!(store.status().failure, None);
    assert_eq!(sequences(&store, &ReplayRequest::default()), [2]);
}
