//! Who is next, what is refused, what is taken out.

use nanocore::db::DatabaseOptions;
use nanocore::runs::{QueueChange, RunError, RunManagerOptions, RunRequest, RunState, SubmitError};
use nodewire_json::Json;
use serde_json::json;

use crate::support::{Daemon, Home, chain};

async fn one_at_a_time(home: &Home, waiting_max: usize) -> Daemon {
    let options = RunManagerOptions {
        active_max: 1,
        waiting_max,
        ..RunManagerOptions::default()
    };
    home.start_with(options, DatabaseOptions::default()).await
}

#[tokio::test]
async fn a_run_is_told_from_the_queue_to_its_end_in_order() {
    let home = Home::new();
    let mut daemon = home.start().await;
    let submitted = daemon.submit(chain("a", &["step"])).await;
    assert_eq!(submitted.position, 0);
    let end = daemon.finished(&submitted.run_id).await;
    assert_eq!(end["status"], "complete");
    assert_eq!(end["counts"], json!({"complete": 3}));
    let words = daemon.words(&submitted.run_id);
    assert_eq!(words.first().unwrap(), "run_queued");
    assert_eq!(words[1], "run_started");
    assert_eq!(words.last().unwrap(), "run_finished");
    let record = daemon.record(&submitted.run_id).await;
    assert_eq!(record["status"], "complete");
    assert_eq!(record["nodes"][2]["inputs"], json!({"value": ["a."]}));
    assert_eq!(record["nodes"][1]["outputs"], json!({"text": ["a."]}));
}

#[tokio::test]
async fn higher_priorities_go_first_and_equal_ones_in_order() {
    let home = Home::new();
    let mut daemon = one_at_a_time(&home, 10).await;
    daemon.submit(chain("first", &["hold"])).await;
    home.world.called("first").await;
    let mut last = String::new();
    for (text, priority, position) in [
        ("a", 0, 0),
        ("b", 5, 0),
        ("c", 0, 2),
        ("d", 5, 1),
        ("e", -1, 4),
    ] {
        let request = RunRequest {
            priority,
            ..chain(text, &["step"])
        };
        let submitted = daemon.submit(request).await;
        assert_eq!(submitted.position, position, "{text}");
        if text == "e" {
            last = submitted.run_id;
        }
    }
    let queue = daemon.runs.queue();
    assert_eq!(queue.running.len(), 1);
    let priorities: Vec<i32> = queue.waiting.iter().map(|run| run.priority).collect();
    assert_eq!(priorities, [5, 5, 0, 0, -1]);
    home.world.open("first");
    daemon.finished(&last).await;
    assert_eq!(home.world.calls(), ["first", "b", "d", "a", "c", "e"]);
}

#[tokio::test]
async fn a_full_queue_refuses_and_takes_again() {
    let home = Home::new();
    let daemon = one_at_a_time(&home, 1).await;
    daemon.submit(chain("first", &["hold"])).await;
    home.world.called("first").await;
    let waiting = daemon.submit(chain("second", &["step"])).await;
    let refused = daemon.runs.submit(chain("third", &["step"]), None).await;
    assert!(
        matches!(refused, Err(SubmitError::QueueFull { waiting_max: 1 })),
        "{refused:?}"
    );
    assert_eq!(daemon.runs.counters().refused, 1);
    daemon.runs.abort(&waiting.run_id).await.unwrap();
    daemon.submit(chain("third", &["step"])).await;
}

#[tokio::test]
async fn what_waits_is_aborted_at_once_and_what_runs_is_stopped() {
    let home = Home::new();
    let mut daemon = one_at_a_time(&home, 10).await;
    let running = daemon.submit(chain("first", &["hold"])).await.run_id;
    home.world.called("first").await;
    let waiting = daemon.submit(chain("second", &["step"])).await.run_id;
    let aborted = daemon.runs.abort(&waiting).await.unwrap();
    assert_eq!(
        (aborted.status, aborted.was_finished),
        (RunState::Aborted, false)
    );
    assert_eq!(daemon.finished(&waiting).await["status"], "aborted");
    let again = daemon.runs.abort(&waiting).await.unwrap();
    assert_eq!(
        (again.status, again.was_finished),
        (RunState::Aborted, true)
    );

    assert!(matches!(
        daemon.runs.delete(&running).await,
        Err(RunError::Active { .. })
    ));
    let aborted = daemon.runs.abort(&running).await.unwrap();
    assert_eq!(
        (aborted.status, aborted.was_finished),
        (RunState::Running, false)
    );
    home.world.open("first");
    assert_eq!(daemon.finished(&running).await["status"], "aborted");
    assert_eq!(home.world.calls(), ["first"]);
    assert!(matches!(
        daemon.runs.abort("nobody").await,
        Err(RunError::NotFound { .. })
    ));
}

#[tokio::test]
async fn the_queue_is_cleared_and_single_runs_are_taken_out() {
    let home = Home::new();
    let mut daemon = one_at_a_time(&home, 10).await;
    daemon.submit(chain("first", &["hold"])).await;
    home.world.called("first").await;
    let a = daemon.submit(chain("a", &["step"])).await.run_id;
    let b = daemon.submit(chain("b", &["step"])).await.run_id;
    let delete = vec![a.clone(), "nobody".to_owned()];
    let changed = daemon
        .runs
        .change_queue(QueueChange {
            clear: false,
            delete,
        })
        .await
        .unwrap();
    assert_eq!(
        (changed.removed, changed.not_waiting),
        (vec![a.clone()], vec!["nobody".to_owned()])
    );
    let cleared = daemon.runs.change_queue(QueueChange {
        clear: true,
        delete: Vec::new(),
    });
    assert_eq!(cleared.await.unwrap().removed, std::slice::from_ref(&b));
    assert!(daemon.runs.queue().waiting.is_empty());
    for run in [&a, &b] {
        assert_eq!(daemon.finished(run).await["status"], "aborted");
    }
}

#[tokio::test]
async fn a_graph_that_cannot_run_is_refused_with_everything_that_is_wrong() {
    let home = Home::new();
    let daemon = home.start().await;
    let graph = json!({"nodes": [{"id": 1, "uid": "nowhere"}, {"id": 2, "uid": "step", "serverUid": "test"}],
                       "links": [{"id": 1, "link": [1, "x", 2, "txt"]}]});
    let request = RunRequest::new(Json::from(graph));
    let validation = daemon.runs.validate(&request).unwrap();
    assert_eq!(validation.nodes, [1, 2]);
    let refused = daemon.runs.submit(request, None).await.unwrap_err();
    let SubmitError::Invalid { problems } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(problems, validation.problems);
    let codes: Vec<&str> = problems
        .iter()
        .map(|problem| problem.code.as_str())
        .collect();
    assert!(
        codes.contains(&"node_missing") && codes.contains(&"unknown_port"),
        "{codes:?}"
    );
    assert_eq!(daemon.runs.list(Default::default()).await.unwrap().runs, []);
}

#[tokio::test]
async fn parameters_values_and_targets_of_a_request_count() {
    let home = Home::new();
    let mut daemon = home.start().await;
    let mut request = chain("a", &["step", "step"]);
    request.params.insert("1.text".to_owned(), Json::from("b"));
    request.targets = vec![2];
    assert_eq!(daemon.runs.validate(&request).unwrap().nodes, [1, 2]);
    let run = daemon.submit(request).await.run_id;
    daemon.finished(&run).await;
    assert_eq!(home.world.calls(), ["b"]);
    for (path, list) in [("9.text", "[1]"), ("text", "[1]"), ("2.text", "1")] {
        let mut request = chain("a", &["step"]);
        request
            .values
            .insert(path.to_owned(), Json::parse(list).unwrap());
        let refused = daemon.runs.submit(request, None).await;
        assert!(
            matches!(refused, Err(SubmitError::BadRequest { .. })),
            "{path}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_no_second_run() {
    let home = Home::new();
    let daemon = home.start().await;
    let key = || Some("key-1".to_owned());
    let submit = || daemon.runs.submit(chain("a", &["step"]), key());
    let answers = futures_util::future::join_all([submit(), submit(), submit()]).await;
    let first = answers[0].as_ref().unwrap();
    for answer in &answers {
        assert_eq!(answer.as_ref().unwrap().run_id, first.run_id);
    }
    let other = daemon.runs.submit(chain("b", &["step"]), key()).await;
    assert!(matches!(other, Err(SubmitError::KeyReused { run_id }) if run_id == first.run_id));
    drop(daemon);
    let daemon = home.start().await;
    let again = daemon
        .runs
        .submit(chain("a", &["step"]), key())
        .await
        .unwrap();
    assert_eq!((&again.run_id, again.is_known), (&first.run_id, true));
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
}
