//! Whatever is submitted, aborted and deleted in whatever order: each run ends once, and history and events agree.

use std::collections::HashMap;

use nanocore::db::DatabaseOptions;
use nanocore::runs::{RunError, RunFilter, RunManagerOptions, RunRequest};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{Daemon, Home, chain};

#[derive(Debug, Clone)]
enum Act {
    Submit {
        hold: bool,
        priority: i32,
        durable: bool,
    },
    Abort(usize),
    Delete(usize),
    Open(usize),
    Yield,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (any::<bool>(), -1..2, any::<bool>())
            .prop_map(|(hold, priority, durable)| Act::Submit { hold, priority, durable }),
        2 => (0..12_usize).prop_map(Act::Abort),
        2 => (0..12_usize).prop_map(Act::Delete),
        2 => (0..12_usize).prop_map(Act::Open),
        1 => Just(Act::Yield),
    ];
    proptest::collection::vec(act, 1..25)
}

async fn play(acts: Vec<Act>) {
    let home = Home::new();
    let options = RunManagerOptions {
        active_max: 2,
        cache: None,
        ..RunManagerOptions::default()
    };
    let mut daemon = home.start_with(options, DatabaseOptions::default()).await;
    let mut runs: Vec<String> = Vec::new();
    let mut deleted = Vec::new();
    for act in acts {
        match act {
            Act::Submit {
                hold,
                priority,
                durable,
            } => {
                let kinds: &[&str] = if hold { &["step", "hold"] } else { &["step"] };
                let request = chain(&format!("r{}", runs.len()), kinds);
                let request = RunRequest {
                    priority,
                    durable,
                    ..request
                };
                runs.push(daemon.submit(request).await.run_id);
            }
            Act::Abort(number) => {
                if let Some(run) = runs.get(number) {
                    match daemon.runs.abort(run).await {
                        Ok(_) => {}
                        Err(RunError::NotFound { .. }) => assert!(deleted.contains(run)),
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            Act::Delete(number) => {
                if let Some(run) = runs.get(number) {
                    match daemon.runs.delete(run).await {
                        Ok(()) => deleted.push(run.clone()),
                        Err(RunError::NotFound { .. }) => assert!(deleted.contains(run)),
                        Err(RunError::Active { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            Act::Open(number) => home.world.open(&format!("r{number}.")),
            Act::Yield => tokio::task::yield_now().await,
        }
    }
    for number in 0..runs.len() {
        home.world.open(&format!("r{number}."));
    }
    for run in &runs {
        daemon.finished(run).await;
    }
    daemon.drain().await;
    agree(&daemon, &runs, &deleted).await;
}

async fn agree(daemon: &Daemon, runs: &[String], deleted: &[String]) {
    let mut ends = HashMap::<&str, Vec<&Value>>::new();
    for event in daemon
        .seen
        .iter()
        .filter(|event| event["type"] == "run_finished")
    {
        ends.entry(event["runId"].as_str().unwrap())
            .or_default()
            .push(event);
    }
    let kept = daemon.runs.list(RunFilter::default()).await.unwrap().runs;
    assert_eq!(kept.len() + deleted.len(), runs.len());
    for run in runs {
        let ends = &ends[&**run];
        assert_eq!(ends.len(), 1, "{ends:?}");
        let words = daemon.words(run);
        assert_eq!(words.first().unwrap(), "run_queued", "{words:?}");
        assert_eq!(words.last().unwrap(), "run_finished", "{words:?}");
        let Some(kept) = kept.iter().find(|kept| kept.run_id == *run) else {
            assert!(deleted.contains(run));
            continue;
        };
        assert_eq!(kept.status.as_str(), ends[0]["status"]);
        let record = daemon.record(run).await;
        for node in record["nodes"].as_array().unwrap() {
            let told =
                |event: &&Value| event["runId"] == **run && event["nodeId"] == node["nodeId"];
            let completed = daemon
                .seen
                .iter()
                .filter(told)
                .filter(|event| event["type"] == "node_complete");
            let expected = usize::from(node["state"] == "complete");
            assert_eq!(completed.count(), expected, "{node}");
        }
    }
    let queue = daemon.runs.queue();
    assert!(
        queue.running.is_empty() && queue.waiting.is_empty(),
        "{queue:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn each_run_ends_once_and_history_agrees_with_events(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(play(acts));
    }
}
