//! Runs whose node servers are not there, and runs that break the program.

use std::time::Duration;

use nanocore::db::DatabaseOptions;
use nanocore::runs::{RunManagerOptions, RunRequest, RunState, SubmitError};
use nodewire_json::Json;
use serde_json::{Value, json};
use tracing::Level;

use crate::log::Log;
use crate::support::{Daemon, Home, chain, durable};

fn one_place(offers_wait: Duration) -> RunManagerOptions {
    RunManagerOptions {
        active_max: 1,
        offers_wait,
        cache: None,
        ..RunManagerOptions::default()
    }
}

async fn start(home: &Home, offers_wait: Duration) -> Daemon {
    home.start_with(one_place(offers_wait), DatabaseOptions::default())
        .await
}

fn waiting(request: RunRequest) -> RunRequest {
    RunRequest {
        wait_servers: true,
        ..request
    }
}

/// `chain` without nodes of a server.
fn local(text: &str) -> RunRequest {
    chain(text, &[])
}

const LONG: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_run_that_waits_for_servers_holds_no_place_and_comes_first_when_they_are_there() {
    let home = Home::new();
    home.world.set_away(true);
    let mut daemon = start(&home, LONG).await;
    let low = daemon.submit(waiting(chain("low", &["step"]))).await.run_id;
    let high = RunRequest {
        priority: 5,
        ..waiting(chain("high", &["step"]))
    };
    let high = daemon.submit(high).await.run_id;
    daemon.told("run_waiting", &low).await;
    daemon.told("run_waiting", &high).await;
    // Others run past them.
    let other = daemon.submit(local("other")).await.run_id;
    assert_eq!(daemon.finished(&other).await["status"], "complete");

    let queue = serde_json::to_value(daemon.runs.queue()).unwrap();
    let lacks = &queue["waitingForServers"];
    assert_eq!(lacks[0]["runId"], *high, "{queue}");
    assert_eq!(lacks[1]["runId"], *low, "{queue}");
    let missing = json!([{"uid": "step", "serverUid": "test"}]);
    assert_eq!(lacks[0]["missing"], missing);
    assert_eq!(queue["running"], json!([]));
    let record = daemon.record(&low).await;
    assert_eq!(record["status"], "queued");
    assert_eq!(record["waitingFor"]["missing"], missing);
    assert!(record["waitingFor"]["until"].is_string(), "{record}");
    assert!(record.get("startedAt").is_none(), "{record}");
    let states = |record: &Value| -> Vec<(u64, String)> {
        let nodes = record["nodes"].as_array().unwrap().iter();
        nodes
            .map(|node| {
                let state = node["state"].as_str().unwrap();
                (node["nodeId"].as_u64().unwrap(), state.to_owned())
            })
            .collect()
    };
    let state = |id: u64, state: &str| (id, state.to_owned());
    let planned = [
        state(1, "pending"),
        state(2, "missing"),
        state(3, "pending"),
    ];
    assert_eq!(states(&record), planned, "{record}");
    let node = daemon.runs.node(&low, 2).await.unwrap();
    assert_eq!((&*node.uid, &*node.state), ("step", "missing"));

    home.world.set_away(false);
    for run in [&low, &high] {
        assert_eq!(daemon.finished(run).await["status"], "complete");
    }
    assert_eq!(home.world.calls(), ["high", "low"]);
    assert!(daemon.record(&low).await.get("waitingFor").is_none());
}

#[tokio::test]
async fn a_durable_run_waits_without_limit_also_after_a_kill_and_others_do_not() {
    let home = Home::new();
    let daemon = start(&home, Duration::ZERO).await;
    let kept = durable(chain("kept", &["step", "hold"]));
    let kept = daemon.submit(kept).await.run_id;
    home.world.called("kept.").await;
    daemon.kill().await;

    home.world.set_away(true);
    let mut daemon = start(&home, Duration::ZERO).await;
    daemon.told("run_waiting", &kept).await;
    let record = daemon.record(&kept).await;
    assert!(record["waitingFor"].get("until").is_none(), "{record}");
    // What was done before is told beside what is still to be done.
    let nodes = &record["nodes"];
    assert_eq!(nodes[1]["state"], "complete", "{record}");
    assert_eq!(nodes[1]["outputs"], json!({"text": ["kept."]}));
    assert_eq!(nodes[2]["uid"], "hold", "{record}");
    assert_eq!(nodes[3]["state"], "pending", "{record}");
    let other = daemon.submit(waiting(chain("other", &["step"]))).await;
    let end = daemon.finished(&other.run_id).await;
    assert_eq!(end["status"], "error");
    let reason = daemon.record(&other.run_id).await["reason"].to_string();
    assert!(reason.contains("step"), "{reason}");

    home.world.open("kept.");
    home.world.set_away(false);
    assert_eq!(daemon.finished(&kept).await["status"], "complete");
    assert_eq!(home.world.calls_of("kept"), 1);
}

#[tokio::test]
async fn the_wait_for_servers_ends_with_its_time() {
    let home = Home::new();
    home.world.set_away(true);
    let mut daemon = start(&home, Duration::from_millis(50)).await;
    let run = daemon.submit(waiting(chain("a", &["step"]))).await.run_id;
    assert_eq!(daemon.finished(&run).await["status"], "error");
    assert!(daemon.words(&run).contains(&"run_waiting".to_owned()));
    assert_eq!(home.world.calls(), [""; 0]);
}

#[tokio::test]
async fn a_run_that_waits_for_servers_can_be_aborted_and_counts_as_waiting() {
    let home = Home::new();
    home.world.set_away(true);
    let options = RunManagerOptions {
        waiting_max: 1,
        ..one_place(LONG)
    };
    let mut daemon = home.start_with(options, DatabaseOptions::default()).await;
    let refused = daemon.runs.submit(chain("a", &["step"]), None).await;
    assert!(
        matches!(refused, Err(SubmitError::Invalid { .. })),
        "only with the option: {refused:?}"
    );
    let message = refused.unwrap_err().to_string();
    assert!(
        message.contains("`waitServers`") && message.contains("--wait-servers"),
        "{message}"
    );
    let mut cut = chain("a", &["step"]);
    cut.graph = Json::from(
        json!({"nodes": [{"id": 1, "uid": "step"}, {"id": 1, "uid": "step"}], "links": []}),
    );
    let refused = daemon.runs.submit(cut, None).await.unwrap_err();
    assert!(
        !refused.to_string().contains("waitServers"),
        "waiting would not help: {refused}"
    );
    let run = daemon.submit(waiting(chain("a", &["step"]))).await;
    let warning = serde_json::to_value(&run.warnings).unwrap();
    assert_eq!(warning[0]["code"], "node_missing");
    assert_eq!(warning[0]["level"], "warning");
    let run = run.run_id;
    daemon.told("run_waiting", &run).await;
    let refused = daemon.runs.submit(local("b"), None).await;
    assert!(
        matches!(refused, Err(SubmitError::QueueFull { waiting_max: 1 })),
        "{refused:?}"
    );
    let aborted = daemon.runs.abort(&run).await.unwrap();
    assert_eq!(aborted.status, RunState::Aborted);
    assert_eq!(daemon.finished(&run).await["status"], "aborted");
    let next = daemon.submit(local("b")).await.run_id;
    assert_eq!(daemon.finished(&next).await["status"], "complete");
}

#[tokio::test]
async fn a_run_that_breaks_the_program_fails_alone_and_gives_its_place_back() {
    let home = Home::new();
    let mut daemon = start(&home, LONG).await;
    let first = daemon.submit(chain("first", &["hold"])).await.run_id;
    home.world.called("first").await;
    let run = daemon.submit(chain("a", &["step"])).await.run_id;
    home.world.break_lookups(true);
    home.world.open("first");
    daemon.finished(&first).await;
    assert_eq!(daemon.finished(&run).await["status"], "error");
    home.world.break_lookups(false);
    let reason = daemon.record(&run).await["reason"].to_string();
    assert!(reason.contains("internal"), "{reason}");
    assert_eq!(daemon.runs.counters().panicked, 1);
    let next = daemon.submit(chain("b", &["step"])).await.run_id;
    assert_eq!(daemon.finished(&next).await["status"], "complete");
}

/// Two runs whose turn it is, and a connection that keeps the database from them.
#[tokio::test]
async fn a_run_that_cannot_begin_says_why_and_can_be_stopped() {
    let home = Home::new();
    home.world.set_away(true);
    let database = DatabaseOptions {
        busy_timeout_ms: 1,
        ..DatabaseOptions::default()
    };
    let mut daemon = home
        .start_with(RunManagerOptions::default(), database)
        .await;
    let goes_on = daemon.submit(waiting(chain("a", &["step"]))).await.run_id;
    let stopped = daemon.submit(waiting(chain("b", &["step"]))).await.run_id;
    daemon.told("run_waiting", &goes_on).await;
    daemon.told("run_waiting", &stopped).await;
    let other = rusqlite::Connection::open(home.db_path()).unwrap();
    other.busy_timeout(Duration::from_secs(60)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let log = Log::begin();
    home.world.set_away(false);
    for run in [&goes_on, &stopped] {
        let held = daemon.told("run_held", run).await;
        assert!(held["reason"].as_str().unwrap().contains("busy"), "{held}");
    }
    daemon.runs.abort(&stopped).await.unwrap();
    let end = daemon.finished(&stopped).await;
    assert_eq!(end["status"], "aborted", "{end}");
    assert!(end["notKept"].as_str().unwrap().contains("busy"), "{end}");
    assert_eq!(daemon.record(&stopped).await["status"], "aborted");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(daemon.finished(&goes_on).await["status"], "complete");
    assert_eq!(home.world.calls(), ["a"]);
    let held = daemon.words(&goes_on);
    let held = held.iter().filter(|word| *word == "run_held").count();
    assert_eq!(held, 1, "it is told once");
    let of_run = |part| {
        let lines = log.with(part).into_iter();
        let lines = lines.filter(|(_, line)| line.contains(&*goes_on));
        lines.map(|(level, _)| level).collect::<Vec<_>>()
    };
    let tried = of_run("a run cannot begin");
    let errors = tried.iter().filter(|level| **level == Level::ERROR).count();
    assert!(errors == 1 && tried.len() > 1, "{tried:?}");
    assert_eq!(of_run("a run begins now"), [Level::INFO]);
}
