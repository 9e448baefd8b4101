//! Runs and a daemon that is killed.

use std::time::Duration;

use nanocore::db::DatabaseOptions;
use nanocore::runs::{Rerun, RunManagerOptions, RunRequest, RunState, SubmitError};
use nodewire_json::Json;
use serde_json::{Value, json};

use crate::support::{Home, chain, durable};

fn uncached() -> RunManagerOptions {
    RunManagerOptions {
        cache: None,
        abort_grace: Duration::ZERO,
        ..RunManagerOptions::default()
    }
}

#[tokio::test]
async fn a_durable_run_goes_on_where_it_was_killed() {
    let home = Home::new();
    let daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    let run = daemon
        .submit(durable(chain("a", &["step", "step", "hold", "step"])))
        .await
        .run_id;
    home.world.called("a..").await;
    daemon.kill().await;

    let mut daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    assert_eq!(daemon.runs.counters().resumed, 1);
    home.world.open("a..");
    assert_eq!(daemon.finished(&run).await["status"], "complete");
    // The step in progress was not recorded as finished, so that it runs again; the others do not.
    assert_eq!(home.world.calls(), ["a", "a.", "a..", "a..", "a..."]);
    let record = daemon.record(&run).await;
    assert_eq!(record["resumed"], 1);
    assert_eq!(record["counts"], json!({"complete": 6}));
    assert_eq!(record["nodes"][5]["inputs"], json!({"value": ["a...."]}));
    assert_eq!(record["nodes"][1]["inputs"], json!({"text": ["a"]}));
}

#[tokio::test]
async fn a_resumed_run_tells_its_first_start_and_the_time_since() {
    let home = Home::new();
    let daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    let run = daemon.submit(durable(chain("a", &["hold"]))).await.run_id;
    home.world.called("a").await;
    let first = daemon.record(&run).await["startedAt"].clone();
    assert!(first.is_string(), "{first}");
    daemon.kill().await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;

    // Also after it has waited for its servers.
    home.world.set_away(true);
    let mut daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    daemon.told("run_waiting", &run).await;
    assert_eq!(daemon.record(&run).await["startedAt"], first);
    home.world.open("a");
    home.world.set_away(false);
    let told = daemon.finished(&run).await;
    let record = daemon.record(&run).await;
    assert_eq!(record["startedAt"], first, "{record}");
    assert!(record["durationMs"].as_u64().unwrap() >= 1_500, "{record}");
    assert_eq!(told["durationMs"], record["durationMs"], "{told}");
}

#[tokio::test]
async fn other_runs_are_recorded_as_interrupted_and_those_that_waited_run() {
    let home = Home::new();
    let options = RunManagerOptions {
        active_max: 1,
        ..uncached()
    };
    let daemon = home.start_with(options, DatabaseOptions::default()).await;
    let running = daemon.submit(chain("a", &["hold"])).await.run_id;
    home.world.called("a").await;
    let waiting = daemon.submit(chain("b", &["step"])).await.run_id;
    daemon.kill().await;

    let mut daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    assert_eq!(daemon.finished(&running).await["status"], "interrupted");
    assert_eq!(daemon.finished(&waiting).await["status"], "complete");
    let record = daemon.record(&running).await;
    assert_eq!(record["status"], "interrupted");
    // Nothing was written of its nodes, so nobody knows whether they ran.
    let nodes = record["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3, "{record}");
    for node in nodes {
        assert_eq!(node["state"], "aborted", "{record}");
        assert_eq!(node["unconfirmed"], true, "{record}");
    }
    let node = daemon.runs.node(&running, 2).await.unwrap();
    assert_eq!((&*node.state, &*node.uid), ("aborted", "hold"));
    assert_eq!(home.world.calls(), ["a", "b"]);
}

#[tokio::test]
async fn with_the_option_every_run_is_resumed() {
    let home = Home::new();
    let options = || RunManagerOptions {
        resume: true,
        ..uncached()
    };
    let daemon = home.start_with(options(), DatabaseOptions::default()).await;
    let run = daemon.submit(chain("a", &["step", "hold"])).await.run_id;
    home.world.called("a.").await;
    daemon.kill().await;
    let mut daemon = home.start_with(options(), DatabaseOptions::default()).await;
    home.world.open("a.");
    assert_eq!(daemon.finished(&run).await["status"], "complete");
    assert_eq!(home.world.calls(), ["a", "a.", "a."]);
}

#[tokio::test]
async fn a_run_that_never_gets_through_is_given_up() {
    let home = Home::new();
    let options = || RunManagerOptions {
        resumes_max: 1,
        ..uncached()
    };
    let daemon = home.start_with(options(), DatabaseOptions::default()).await;
    let run = daemon.submit(durable(chain("a", &["hold"]))).await.run_id;
    home.world.called("a").await;
    daemon.kill().await;
    let mut daemon = home.start_with(options(), DatabaseOptions::default()).await;
    // It runs again when the database says so.
    while daemon.runs.get(&run).await.unwrap().summary.status != RunState::Running {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    daemon.drain().await;
    daemon.kill().await;
    let mut daemon = home.start_with(options(), DatabaseOptions::default()).await;
    assert_eq!(daemon.finished(&run).await["status"], "interrupted");
}

#[tokio::test]
async fn a_shutdown_leaves_durable_runs_to_the_next_process() {
    let home = Home::new();
    let mut daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    let kept = daemon
        .submit(durable(chain("a", &["step", "hold"])))
        .await
        .run_id;
    let other = daemon.submit(chain("b", &["hold"])).await.run_id;
    home.world.called("a.").await;
    home.world.called("b").await;
    daemon.runs.shutdown(Duration::from_secs(60)).await;
    assert_eq!(daemon.finished(&other).await["status"], "interrupted");
    daemon.drain().await;
    assert!(!daemon.words(&kept).contains(&"run_finished".to_owned()));
    let refused = daemon.runs.submit(chain("c", &["step"]), None).await;
    assert!(matches!(refused, Err(SubmitError::Stopping)));
    drop(daemon);

    let mut daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    home.world.open("a.");
    assert_eq!(daemon.finished(&kept).await["status"], "complete");
    assert_eq!(home.world.calls_of("a"), 1);
    assert_eq!(daemon.record(&other).await["status"], "interrupted");
}

#[tokio::test]
async fn fifty_steps_and_a_kill_at_every_fifth() {
    let home = Home::new();
    let kinds: Vec<&str> = (0..50)
        .map(|step| if step % 5 == 4 { "hold" } else { "step" })
        .collect();
    let value = |step: usize| format!("a{}", ".".repeat(step));
    let daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    let run = daemon.submit(durable(chain("a", &kinds))).await.run_id;
    let mut daemon = Some(daemon);
    for step in (4..50).step_by(5) {
        home.world.called(&value(step)).await;
        daemon.take().unwrap().kill().await;
        home.world.open(&value(step));
        daemon = Some(
            home.start_with(uncached(), DatabaseOptions::default())
                .await,
        );
    }
    let mut daemon = daemon.unwrap();
    assert_eq!(daemon.finished(&run).await["status"], "complete");
    for step in 0..50 {
        // Those in progress when the daemon was killed were not recorded as finished.
        let times = if step % 5 == 4 { 2 } else { 1 };
        assert_eq!(home.world.calls_of(&value(step)), times, "step {step}");
    }
}

/// `text-input` -> `hold` that must not be executed twice -> `viewer`.
fn once(text: &str) -> RunRequest {
    let mut request = durable(chain(text, &["hold"]));
    let mut graph: Value = request.graph.decode().unwrap();
    graph["nodes"][1]["exec"] = json!({"idempotent": false});
    request.graph = Json::from(graph);
    request
}

#[tokio::test]
async fn a_step_that_must_not_run_twice_is_lost_with_the_daemon() {
    let home = Home::new();
    let daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    let run = daemon.submit(once("a")).await.run_id;
    home.world.called("a").await;
    let sent = "SELECT state FROM run_nodes WHERE node_id = 2";
    let on_disk = rusqlite::Connection::open(home.db_path()).unwrap();
    let state: String = on_disk.query_row(sent, [], |row| row.get(0)).unwrap();
    assert_eq!(state, "dispatched", "before it is sent");
    drop(on_disk);
    daemon.kill().await;

    let mut daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    home.world.open("a");
    assert_eq!(daemon.finished(&run).await["status"], "error");
    assert_eq!(home.world.calls(), ["a"]);
    let record = daemon.record(&run).await;
    assert_eq!(record["nodes"][1]["state"], "error", "{record}");
    assert_eq!(record["nodes"][1]["error"]["code"], "server_lost");
    assert_eq!(record["nodes"][1]["attempts"], 1);
    assert_eq!(record["nodes"][2]["state"], "skipped");

    // Who wants it again says so.
    let from_failed = Rerun {
        from_failed: true,
        ..Rerun::default()
    };
    let again = daemon
        .runs
        .rerun(&run, from_failed, None)
        .await
        .unwrap()
        .run_id;
    assert_eq!(daemon.finished(&again).await["status"], "complete");
    assert_eq!(home.world.calls(), ["a", "a"]);
}

#[tokio::test]
async fn a_finished_step_that_must_not_run_twice_is_used_again() {
    let home = Home::new();
    let daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    let mut request = durable(chain("a", &["step", "hold"]));
    let mut graph: Value = request.graph.decode().unwrap();
    graph["nodes"][1]["exec"] = json!({"idempotent": false});
    request.graph = Json::from(graph);
    let run = daemon.submit(request).await.run_id;
    home.world.called("a.").await;
    daemon.kill().await;
    let mut daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    home.world.open("a.");
    assert_eq!(daemon.finished(&run).await["status"], "complete");
    assert_eq!(home.world.calls(), ["a", "a.", "a."]);
}

#[tokio::test]
async fn a_step_that_must_not_run_twice_and_cannot_be_noted_is_not_sent() {
    let home = Home::new();
    let mut daemon = home
        .start_with(uncached(), DatabaseOptions::default())
        .await;
    let refuse = "CREATE TRIGGER refused BEFORE INSERT ON run_nodes WHEN new.state = 'dispatched' \
                  BEGIN SELECT RAISE(FAIL, 'on purpose'); END";
    let trigger = daemon
        .db
        .write(move |connection| connection.execute_batch(refuse));
    trigger.await.unwrap();
    let run = daemon.submit(once("b")).await.run_id;
    assert_eq!(daemon.finished(&run).await["status"], "error");
    let record = daemon.record(&run).await;
    assert_eq!(record["nodes"][1]["error"]["code"], "step_not_logged");
    assert_eq!(home.world.calls_of("b"), 0);
}
