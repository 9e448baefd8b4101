//! A database that fails.

use std::time::Duration;

use nanocore::db::{DatabaseError, DatabaseOptions};
use nanocore::runs::{RunError, RunFilter, RunManagerOptions, RunState, SubmitError};
use serde_json::Value;
use tracing::Level;

use crate::log::Log;
use crate::support::{Daemon, Home, chain, durable};

fn small() -> DatabaseOptions {
    DatabaseOptions {
        file_bytes_max: 400 << 10,
        ..DatabaseOptions::default()
    }
}

fn uncached() -> RunManagerOptions {
    RunManagerOptions {
        cache: None,
        ..RunManagerOptions::default()
    }
}

#[tokio::test]
async fn a_full_database_refuses_runs_and_takes_them_again() {
    let home = Home::new();
    let mut daemon = home.start_with(uncached(), small()).await;
    let mut large = chain("a", &["step"]);
    let filler = "x".repeat(1 << 20);
    large
        .params
        .insert("1.text".to_owned(), filler.as_str().into());
    let refused = daemon.runs.submit(large, None).await;
    assert!(
        matches!(
            refused,
            Err(SubmitError::Database(DatabaseError::Full { .. }))
        ),
        "{refused:?}"
    );
    let run = daemon.submit(chain("b", &["step"])).await.run_id;
    assert_eq!(daemon.finished(&run).await["status"], "complete");
    assert_eq!(
        daemon
            .runs
            .list(Default::default())
            .await
            .unwrap()
            .runs
            .len(),
        1
    );
    assert_eq!(daemon.runs.queue().waiting, []);
}

#[tokio::test]
async fn a_step_that_cannot_be_kept_fails_its_node_with_the_reason() {
    let home = Home::new();
    let mut daemon = home.start_with(uncached(), small()).await;
    let kinds = ["large"; 5];
    // Each output is another one, so that none is stored already.
    let mut request = durable(chain("a", &kinds));
    request.timeout = Some(3_600.0);
    let filled = fill(&daemon).await;
    let run = daemon.submit(request).await.run_id;
    loop {
        daemon.drain().await;
        if daemon
            .seen
            .iter()
            .any(|event| event["type"] == "node_error" && event["runId"] == *run)
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The end may have to wait for room, and is kept then.
    free(&daemon, filled).await;
    let end = daemon.finished(&run).await;
    assert_eq!(end["status"], "error", "{end}");
    let record = until_kept(&daemon, &run).await;
    assert_eq!(
        record["nodes"][1]["error"]["code"], "step_not_logged",
        "{record}"
    );
    assert_eq!(record["nodes"][2]["state"], "skipped");
}

/// Waits until the end of a run is on disk; its record.
async fn until_kept(daemon: &Daemon, run: &str) -> Value {
    let kept = async {
        loop {
            let record = daemon.record(run).await;
            if record.get("notKept").is_none() {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let kept = tokio::time::timeout(Duration::from_secs(60), kept).await;
    kept.expect("the end is on disk")
}

/// A run that has ended in a database without room for its end, as it was told.
async fn unkept(daemon: &mut Daemon, home: &Home) -> (String, usize) {
    // Three outputs of it are more than `fill` leaves, and fit into an empty file.
    let text = "x".repeat(30_000);
    let run = daemon.submit(chain(&text, &["hold"])).await.run_id;
    home.world.called(&text).await;
    let filled = fill(daemon).await;
    home.world.open(&text);
    let end = daemon.finished(&run).await;
    assert_eq!(end["status"], "complete", "{end}");
    assert_eq!(end["counts"]["complete"], 3, "{end}");
    assert!(end["notKept"].as_str().unwrap().contains("limit"), "{end}");
    (run, filled)
}

#[tokio::test]
async fn an_end_that_cannot_be_written_is_told_at_once_and_written_when_there_is_room() {
    let home = Home::new();
    let mut daemon = home.start_with(uncached(), small()).await;
    let (run, filled) = unkept(&mut daemon, &home).await;
    // Nobody who asks finds it running.
    let record = daemon.record(&run).await;
    assert_eq!(record["status"], "complete", "{record}");
    assert!(record["notKept"].as_str().unwrap().contains("limit"));
    assert!(record["nodes"][1]["outputs"].is_object(), "{record}");
    let listed = daemon.runs.list(RunFilter::default()).await.unwrap().runs;
    assert_eq!(listed[0].status, RunState::Complete);
    assert!(listed[0].not_kept.is_some());
    assert_eq!(daemon.runs.queue().running, []);
    assert!(daemon.runs.abort(&run).await.unwrap().was_finished);
    let deleted = daemon.runs.delete(&run).await;
    assert!(
        matches!(deleted, Err(RunError::Database(DatabaseError::Full { .. }))),
        "{deleted:?}"
    );
    let unkept = daemon.runs.unkept().unwrap();
    assert_eq!(unkept.runs, 1);
    free(&daemon, filled).await;
    let record = until_kept(&daemon, &run).await;
    assert_eq!(record["status"], "complete", "{record}");
    assert!(record["nodes"][1]["outputs"].is_object(), "{record}");
    while daemon.runs.unkept().is_some() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let counters = daemon.runs.counters();
    assert_eq!((counters.complete, counters.not_kept), (1, 0));
    daemon.drain().await;
    let ends = daemon.words(&run);
    let ends = ends.iter().filter(|word| *word == "run_finished").count();
    assert_eq!(ends, 1, "it is told once");
}

#[tokio::test]
async fn an_end_that_waits_for_room_is_one_error_in_the_log() {
    let home = Home::new();
    let mut daemon = home.start_with(uncached(), small()).await;
    let log = Log::begin();
    let (run, filled) = unkept(&mut daemon, &home).await;
    let retries = || log.with("the end of a run cannot be written");
    while retries().len() < 6 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    free(&daemon, filled).await;
    until_kept(&daemon, &run).await;
    let levels: Vec<_> = retries().into_iter().map(|(level, _)| level).collect();
    let (first, others) = levels.split_first().unwrap();
    assert_eq!(*first, Level::ERROR);
    assert!(others.iter().all(|level| *level == Level::DEBUG));
    let written = log.with("the end of a run is on disk now");
    assert!(
        matches!(&*written, [(Level::INFO, line)] if line.contains(&*run)),
        "{written:?}"
    );
}

#[tokio::test]
async fn a_shutdown_writes_what_finds_room_of_an_end() {
    let home = Home::new();
    let mut daemon = home.start_with(uncached(), small()).await;
    let (run, _) = unkept(&mut daemon, &home).await;
    daemon.runs.shutdown(Duration::from_secs(60)).await;
    daemon.db.close().await;
    drop(daemon);
    let daemon = home.start_with(uncached(), small()).await;
    let record = daemon.record(&run).await;
    assert_eq!(record["status"], "complete", "{record}");
    let reason = record["reason"].as_str().unwrap();
    assert!(reason.contains("could not be kept"), "{record}");
    assert_eq!(record["nodes"][1]["state"], "complete", "{record}");
    assert!(record["nodes"][1].get("outputs").is_none(), "{record}");
}

#[tokio::test]
async fn nothing_is_forgotten_for_what_finds_no_room_all_the_same() {
    let home = Home::new();
    let mut daemon = home.start_with(uncached(), small()).await;
    let mut runs = Vec::new();
    for text in ["a", "b", "c", "d"] {
        let run = daemon.submit(chain(text, &["step"])).await.run_id;
        daemon.finished(&run).await;
        runs.insert(0, run);
    }
    let large = "x".repeat(1 << 20);
    let refused = daemon.runs.submit(chain(&large, &["step"]), None).await;
    assert!(
        matches!(
            refused,
            Err(SubmitError::Database(DatabaseError::Full { .. }))
        ),
        "{refused:?}"
    );
    let kept = daemon.runs.list(RunFilter::default()).await.unwrap().runs;
    let kept: Vec<String> = kept.into_iter().map(|run| run.run_id).collect();
    assert_eq!(kept, runs);
}

/// Leaves less room than a large value needs, and more than a run does.
async fn fill(daemon: &Daemon) -> usize {
    let mut filled = 0;
    loop {
        let write = daemon.db.write(|connection| {
            connection.execute_batch("CREATE TABLE IF NOT EXISTS filler (bytes BLOB)")?;
            connection
                .execute("INSERT INTO filler VALUES (zeroblob(20000))", [])
                .map(drop)
        });
        match write.await {
            Ok(()) => filled += 1,
            Err(DatabaseError::Full { .. }) => break,
            Err(other) => panic!("{other}"),
        }
    }
    let room = |connection: &rusqlite::Connection| {
        let last = "DELETE FROM filler WHERE rowid > (SELECT max(rowid) - 2 FROM filler)";
        connection.execute(last, []).map(drop)
    };
    daemon.db.write(room).await.unwrap();
    filled
}

async fn free(daemon: &Daemon, filled: usize) {
    assert!(filled > 2);
    let free =
        |connection: &rusqlite::Connection| connection.execute("DELETE FROM filler", []).map(drop);
    daemon.db.write(free).await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_written_any_more_is_told_with_the_end() {
    let home = Home::new();
    let mut daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    let run = daemon.submit(chain("a", &["hold"])).await.run_id;
    home.world.called("a").await;
    daemon.db.close().await;
    home.world.open("a");
    let end = daemon.finished(&run).await;
    assert!(end["notKept"].as_str().unwrap().contains("closed"), "{end}");
    assert_eq!(daemon.runs.counters().not_kept, 1);
    let refused = daemon.runs.submit(chain("b", &["step"]), None).await;
    assert!(
        matches!(refused, Err(SubmitError::Database(DatabaseError::Closed))),
        "{refused:?}"
    );
    // Reading still works, and tells what is on disk.
    assert!(!matches!(
        daemon.runs.get(&run).await,
        Err(RunError::Database(_))
    ));
}

#[tokio::test]
async fn where_the_database_is_full_the_oldest_finished_runs_make_room() {
    let home = Home::new();
    let mut daemon = home.start_with(uncached(), small()).await;
    let mut runs = Vec::new();
    // More than the file holds.
    for number in 0..12 {
        let text = format!("{number}{}", "x".repeat(50_000));
        let run = daemon.submit(chain(&text, &["step"])).await.run_id;
        let end = daemon.finished(&run).await;
        assert_eq!(end["status"], "complete", "{end}");
        assert!(end.get("notKept").is_none(), "{end}");
        runs.push(run);
    }
    let kept = daemon.runs.list(Default::default()).await.unwrap().runs;
    assert!(kept.len() < runs.len(), "{}", kept.len());
    assert_eq!(Some(&kept[0].run_id), runs.last());
}
