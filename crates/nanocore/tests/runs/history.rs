//! What is known of runs afterwards, and for how long.

use nanocore::db::DatabaseOptions;
use nanocore::runs::{
    Overrides, Rerun, RunError, RunFilter, RunManagerOptions, RunRequest, RunState, SubmitError,
};
use nodewire_json::Json;
use serde_json::{Value, json};

use crate::support::{Home, chain};

#[tokio::test]
async fn a_page_begins_where_the_one_before_ended() {
    let home = Home::new();
    let mut daemon = home.start().await;
    let mut submitted = Vec::new();
    for text in ["a", "b", "c", "d", "e"] {
        let run = daemon.submit(chain(text, &["step"])).await.run_id;
        daemon.finished(&run).await;
        submitted.insert(0, run);
    }
    let mut listed = Vec::new();
    let mut filter = RunFilter {
        limit: Some(2),
        ..RunFilter::default()
    };
    loop {
        let page = daemon.runs.list(filter.clone()).await.unwrap();
        assert!(page.runs.len() <= 2);
        listed.extend(page.runs.into_iter().map(|run| run.run_id));
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, submitted);
    let queued = RunFilter {
        status: Some(RunState::Queued),
        ..RunFilter::default()
    };
    assert_eq!(daemon.runs.list(queued).await.unwrap().runs, []);
    let wrong = RunFilter {
        cursor: Some("next".to_owned()),
        ..RunFilter::default()
    };
    assert!(matches!(
        daemon.runs.list(wrong).await,
        Err(RunError::BadCursor { .. })
    ));
}

#[tokio::test]
async fn what_a_run_did_is_the_same_after_a_restart() {
    let home = Home::new();
    let mut daemon = home.start().await;
    home.world.fail("a.", Some("no dots, please"));
    let run = daemon
        .submit(chain("a", &["step", "step", "step"]))
        .await
        .run_id;
    assert_eq!(daemon.finished(&run).await["status"], "error");
    let before = daemon.record(&run).await;
    assert_eq!(
        before["counts"],
        json!({"complete": 2, "error": 1, "skipped": 2})
    );
    let failed = &before["nodes"][2];
    assert_eq!(failed["state"], "error");
    assert_eq!(
        failed["error"],
        json!({"code": "node_failed", "message": "no dots, please"})
    );
    assert_eq!(failed["attempts"], 1);
    assert_eq!(before["nodes"][3]["cause"], 3);
    assert_eq!(before["graph"]["meta"]["name"], "a");
    daemon
        .runs
        .shutdown(std::time::Duration::from_secs(60))
        .await;
    drop(daemon);
    let daemon = home.start().await;
    assert_eq!(daemon.record(&run).await, before);
}

#[tokio::test]
async fn a_large_value_is_told_by_its_size_and_read_at_its_node() {
    let home = Home::new();
    let mut daemon = home.start().await;
    let run = daemon.submit(chain("a", &["large"])).await.run_id;
    daemon.finished(&run).await;
    let href = format!("/api/v1/runs/{run}/nodes/2");
    let is_short = |value: &Value| {
        assert_eq!(value["truncated"], true, "{value}");
        assert_eq!(value["href"], href);
        assert!(value["size"].as_u64().unwrap() > 100_000);
    };
    is_short(&daemon.record(&run).await["nodes"][1]["outputs"]);
    let told = daemon
        .seen
        .iter()
        .find(|event| event["type"] == "node_complete" && event["nodeId"] == 2);
    is_short(&told.unwrap()["outputs"]);
    let node = daemon.runs.node(&run, 2).await.unwrap();
    assert!(node.outputs.unwrap().as_str().len() > 100_000);
    assert!(matches!(
        daemon.runs.node(&run, 99).await,
        Err(RunError::NodeNotFound { .. })
    ));
}

#[tokio::test]
async fn a_value_that_many_have_is_stored_once_and_goes_with_the_last() {
    let home = Home::new();
    let options = RunManagerOptions {
        cache: None,
        ..RunManagerOptions::default()
    };
    let mut daemon = home.start_with(options, DatabaseOptions::default()).await;
    let mut runs = Vec::new();
    for _ in 0..3 {
        let run = daemon.submit(chain("a", &["large"])).await.run_id;
        daemon.finished(&run).await;
        runs.push(run);
    }
    let large = "SELECT count(*) FROM blobs WHERE length(bytes) > 100000";
    let count = |sql: &'static str| {
        let db = daemon.db.clone();
        async move {
            let read = db
                .read(move |connection| connection.query_row(sql, [], |row| row.get::<_, i64>(0)));
            read.await.unwrap()
        }
    };
    // The output, and what the viewer shows of it.
    assert_eq!(count(large).await, 2);
    for run in &runs {
        daemon.runs.delete(run).await.unwrap();
        assert!(matches!(
            daemon.runs.get(run).await,
            Err(RunError::NotFound { .. })
        ));
    }
    assert_eq!(count("SELECT count(*) FROM blobs").await, 0);
    assert_eq!(count("SELECT count(*) FROM run_nodes").await, 0);
}

#[tokio::test]
async fn the_oldest_finished_runs_are_forgotten() {
    let home = Home::new();
    let options = RunManagerOptions {
        history_max: 2,
        ..RunManagerOptions::default()
    };
    let mut daemon = home.start_with(options, DatabaseOptions::default()).await;
    let mut runs = Vec::new();
    for text in ["a", "b", "c", "d"] {
        let run = daemon.submit(chain(text, &["step"])).await.run_id;
        daemon.finished(&run).await;
        runs.push(run);
    }
    let kept = daemon.runs.list(RunFilter::default()).await.unwrap().runs;
    let kept: Vec<&str> = kept.iter().map(|run| &*run.run_id).collect();
    assert_eq!(kept, [&*runs[3], &*runs[2]]);
    drop(daemon);
    let options = RunManagerOptions {
        history_bytes_max: 1,
        ..RunManagerOptions::default()
    };
    let mut daemon = home.start_with(options, DatabaseOptions::default()).await;
    let run = daemon.submit(chain("e", &["step"])).await.run_id;
    daemon.finished(&run).await;
    let kept = daemon.runs.list(RunFilter::default()).await.unwrap().runs;
    assert_eq!(kept.len(), 1, "the newest is kept, whatever its size");
    assert_eq!(kept[0].run_id, run);
}

#[tokio::test]
async fn a_rerun_from_the_failed_node_uses_what_completed() {
    let home = Home::new();
    let options = RunManagerOptions {
        cache: None,
        ..RunManagerOptions::default()
    };
    let mut daemon = home.start_with(options, DatabaseOptions::default()).await;
    home.world.fail("a..", Some("broken"));
    let run = daemon
        .submit(chain("a", &["step", "step", "step", "step"]))
        .await
        .run_id;
    assert_eq!(daemon.finished(&run).await["status"], "error");
    home.world.fail("a..", None);
    let from_failed = Rerun {
        from_failed: true,
        ..Rerun::default()
    };
    let again = daemon
        .runs
        .rerun(&run, from_failed.clone(), None)
        .await
        .unwrap()
        .run_id;
    assert_eq!(daemon.finished(&again).await["status"], "complete");
    assert_eq!(home.world.calls(), ["a", "a.", "a..", "a..", "a..."]);
    let record = daemon.record(&again).await;
    assert_eq!(record["rerunOf"], run);
    assert_eq!(record["nodes"][5]["inputs"], json!({"value": ["a...."]}));
    assert_eq!(record["nodes"][1]["outputs"], json!({"text": ["a."]}));
    let started = daemon
        .seen
        .iter()
        .find(|event| event["type"] == "run_started" && event["runId"] == again);
    assert_eq!(started.unwrap()["reused"], json!([2, 3]));

    // What an override changes runs again, with all that depends on it.
    let params = [("1.text".to_owned(), Json::from("b"))].into();
    let overrides = Overrides {
        params,
        ..Overrides::default()
    };
    let changed = Rerun {
        overrides,
        ..from_failed
    };
    let changed = daemon
        .runs
        .rerun(&again, changed, None)
        .await
        .unwrap()
        .run_id;
    assert_eq!(daemon.finished(&changed).await["status"], "complete");
    assert_eq!(home.world.calls()[5..], ["b", "b.", "b..", "b..."]);
    let nobody = daemon.runs.rerun("nobody", Rerun::default(), None).await;
    assert!(matches!(nobody, Err(SubmitError::NotFound { .. })));
}

#[test]
fn a_rerun_is_read_from_the_body_of_a_request() {
    let rerun: Rerun = serde_json::from_value(json!({"from": "failed", "priority": 3})).unwrap();
    assert!(rerun.from_failed);
    assert_eq!(rerun.overrides.priority, Some(3));
    let rerun: Rerun = serde_json::from_str("{}").unwrap();
    assert_eq!(rerun, Rerun::default());
    let text = r#"{"params": {"2.prefix": "x", "3.list": [1, 2]}}"#;
    let rerun: Rerun = serde_json::from_str(text).unwrap();
    assert_eq!(rerun.overrides.params["3.list"].as_str(), "[1,2]");
}

#[test]
fn a_rerun_with_an_unknown_member_is_refused_with_its_name() {
    let wrong = serde_json::from_value::<Rerun>(json!({"from": "failed", "prioirty": 3}));
    assert!(wrong.unwrap_err().to_string().contains("prioirty"));
}

#[tokio::test]
async fn how_long_a_run_took_is_the_time_between_its_start_and_its_end() {
    let home = Home::new();
    let mut daemon = home.start().await;
    let run = daemon.submit(chain("a", &["step"])).await.run_id;
    daemon.finished(&run).await;
    let rerun = Rerun {
        from_failed: true,
        ..Rerun::default()
    };
    let again = daemon.runs.rerun(&run, rerun, None).await.unwrap().run_id;
    // Nothing is left to be executed, which takes its time all the same.
    let told = daemon.finished(&again).await;
    let summary = daemon.runs.get(&again).await.unwrap().summary;
    let between = summary.finished_at.unwrap().0 - summary.started_at.unwrap().0;
    let took = i64::try_from(summary.duration_ms.unwrap()).unwrap();
    assert!(took >= between, "{took} of {between}");
    assert_eq!(told["durationMs"], took);
}

#[tokio::test]
async fn a_rerun_with_a_key_happens_once() {
    let home = Home::new();
    let mut daemon = home.start().await;
    let run = daemon.submit(chain("a", &["step"])).await.run_id;
    daemon.finished(&run).await;
    let again = |rerun: Rerun| {
        let runs = daemon.runs.clone();
        let run = run.clone();
        async move { runs.rerun(&run, rerun, Some("key".to_owned())).await }
    };
    let first = again(Rerun::default()).await.unwrap();
    let second = again(Rerun::default()).await.unwrap();
    assert_eq!(first.run_id, second.run_id);
    assert!(second.is_known && !first.is_known);
    let other = Rerun {
        from_failed: true,
        ..Rerun::default()
    };
    assert!(matches!(
        again(other).await,
        Err(SubmitError::KeyReused { .. })
    ));
    daemon.finished(&first.run_id).await;
    // The first answer stands although the run that was repeated is gone.
    daemon.runs.delete(&run).await.unwrap();
    let runs = daemon.runs.clone();
    let third = runs.rerun(&run, Rerun::default(), Some("key".to_owned()));
    assert_eq!(third.await.unwrap().run_id, first.run_id);
}

#[tokio::test]
async fn a_planned_node_is_pending_from_the_submission_on() {
    let home = Home::new();
    let options = RunManagerOptions {
        active_max: 1,
        ..RunManagerOptions::default()
    };
    let daemon = home.start_with(options, DatabaseOptions::default()).await;
    daemon.submit(chain("a", &["hold"])).await;
    home.world.called("a").await;
    let run = daemon.submit(chain("b", &["step"])).await.run_id;
    let node = daemon.runs.node(&run, 2).await.unwrap();
    assert_eq!((&*node.state, &*node.uid), ("pending", "step"));
    let missing = daemon.runs.node(&run, 9).await;
    assert!(
        matches!(missing, Err(RunError::NodeNotFound { node_id: 9, .. })),
        "{missing:?}"
    );
    home.world.open("a");
}

#[tokio::test]
async fn runs_of_one_client_are_listed() {
    let home = Home::new();
    let mut daemon = home.start().await;
    let mut ids = Vec::new();
    for client in ["a", "b", "a"] {
        let request = RunRequest {
            client_id: Some(client.to_owned()),
            ..chain("x", &["step"])
        };
        let run = daemon.submit(request).await.run_id;
        daemon.finished(&run).await;
        ids.push(run);
    }
    let of = |status, client: &str| RunFilter {
        status,
        client_id: Some(client.to_owned()),
        ..RunFilter::default()
    };
    let found = daemon.runs.list(of(None, "a")).await.unwrap().runs;
    let found: Vec<_> = found.iter().map(|run| &run.run_id).collect();
    assert_eq!(found, [&ids[2], &ids[0]]);
    let complete = of(Some(RunState::Complete), "b");
    assert_eq!(daemon.runs.list(complete).await.unwrap().runs.len(), 1);
    let failed = of(Some(RunState::Error), "b");
    assert_eq!(daemon.runs.list(failed).await.unwrap().runs, []);
}

#[tokio::test]
async fn the_budget_counts_requests_and_nodes_too() {
    let home = Home::new();
    let mut daemon = home.start().await;
    let filler = "x".repeat(50_000);
    let mut request = chain("a", &["step"]);
    // Large in the request only: the node that would use it is no target.
    request.params.insert("1.text".to_owned(), "b".into());
    request.tags = vec!["t".repeat(200); 10];
    request
        .values
        .insert("2.text".to_owned(), Json::from(json!([filler])));
    request.targets = vec![1];
    let run = daemon.submit(request).await.run_id;
    daemon.finished(&run).await;
    let bytes = daemon.db.read(|connection| {
        connection.query_row("SELECT bytes FROM runs", [], |row| row.get::<_, i64>(0))
    });
    assert!(bytes.await.unwrap() > 52_000);
}

#[tokio::test]
async fn a_file_of_the_first_release_is_brought_up_to_date() {
    let home = Home::new();
    let old = rusqlite::Connection::open(home.db_path()).unwrap();
    let tables = include_str!("../../src/db/migrations/0001_runs.sql");
    old.execute_batch(tables).unwrap();
    let graph = r#"{"nodes": [{"id": 1, "uid": "text-input", "serverUid": "builtin"}]}"#;
    old.execute(
        "INSERT INTO blobs (id, hash, refs, bytes) VALUES (1, x'00', 1, CAST(?1 AS BLOB))",
        [graph],
    )
    .unwrap();
    old.execute_batch(
        r#"INSERT INTO runs (id, status, priority, durable, idempotency_key, request_hash, graph, request, answer,
                             submitted_at, bytes)
           VALUES ('old', 'complete', 0, 0, 'key', x'00', 1, '{"tags":["kept"]}', '{"position":7}', 1, 60);
           INSERT INTO run_nodes (run, node_id, place, uid, state, attempts) VALUES (1, 1, 0, 'text-input', 'complete', 0);
           PRAGMA application_id = 0x6e774e43;
           PRAGMA user_version = 1;"#,
    )
    .unwrap();
    drop(old);

    let daemon = home.start().await;
    let record = daemon.record("old").await;
    assert_eq!(record["options"]["tags"], json!(["kept"]));
    assert_eq!(
        record["graph"],
        serde_json::from_str::<Value>(graph).unwrap()
    );
    assert_eq!(record["nodes"][0]["state"], "complete");
    let row = daemon.db.read(|connection| {
        let row = "SELECT bytes, answer FROM runs JOIN run_requests ON run = seq";
        connection.query_row(row, [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })
    });
    let (bytes, answer) = row.await.unwrap();
    assert!(bytes > 60 + 512, "{bytes}");
    assert_eq!(answer, r#"{"position":7}"#);
    daemon.runs.delete("old").await.unwrap();
    let left = daemon.db.read(|connection| {
        let all = "SELECT (SELECT count(*) FROM run_requests) + (SELECT count(*) FROM blobs)";
        connection.query_row(all, [], |row| row.get::<_, i64>(0))
    });
    assert_eq!(left.await.unwrap(), 0);
}
