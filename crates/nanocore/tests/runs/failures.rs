//! A database that fails.

use std::time::Duration;

use nanocore::db::{DatabaseError, DatabaseOptions};
use nanocore::runs::{RunError, RunManagerOptions, SubmitError};

use crate::support::{Home, chain, durable};

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
    // The end waits for room, and is kept then.
    free(&daemon, filled).await;
    let end = daemon.finished(&run).await;
    assert_eq!(end["status"], "error", "{end}");
    assert!(end.get("notKept").is_none(), "{end}");
    let record = daemon.record(&run).await;
    assert_eq!(
        record["nodes"][1]["error"]["code"], "step_not_logged",
        "{record}"
    );
    assert_eq!(record["nodes"][2]["state"], "skipped");
}

/// Leaves less room than a large value needs, and more than a run does.
async fn fill(daemon: &crate::support::Daemon) -> usize {
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

async fn free(daemon: &crate::support::Daemon, filled: usize) {
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
