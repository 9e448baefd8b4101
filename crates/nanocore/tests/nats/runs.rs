//! Runs over both instances of a service, and over what is left of it.

use nanocore::runs::{RunRequest, SubmitError};
use nanocore::supervisor::ServerState;
use nats_broker::Broker;
use nodewire_json::Json;
use nodewire_testkit::NatsServer;
use serde_json::json;

use crate::support::{SERVER, Scene, done_by, many, until};

/// So many at once that both instances get some, but for one time in eight million.
const STEPS: usize = 24;

/// Both instances do some of a run; then one is killed while steps are under way on both, and the other does them all.
async fn shared_and_killed(url: &str, killed: &str, left: &str) {
    let scene = Scene::on(url).await;
    let mut instances = [
        ("one", scene.instance("one")),
        ("two", scene.instance("two")),
    ];
    scene.instances(2).await;

    let run = scene.submit(&many("work", 4 * STEPS)).await;
    let record = scene.finished(&run).await;
    assert_eq!(record["status"], "complete", "{record:#}");
    let (one, two) = (done_by(&record, "one"), done_by(&record, "two"));
    assert!(one > 0 && two > 0, "one did {one}, two did {two}");
    assert_eq!(one + two, 4 * STEPS);

    let run = scene.submit(&many("gate", STEPS)).await;
    scene.noted("one-held").await;
    scene.noted("two-held").await;
    for (name, process) in &instances {
        if *name == killed {
            process.signal("KILL").unwrap();
        }
    }
    scene.instances(1).await;
    until("its steps are lost", || {
        scene.server().nats.unwrap().counts.lost > 0
    })
    .await;
    std::fs::write(scene.file("open"), "").unwrap();
    let record = scene.finished(&run).await;
    assert_eq!(record["status"], "complete", "{record:#}");
    assert_eq!(done_by(&record, left), STEPS, "{record:#}");
    let nodes = record["nodes"].as_array().unwrap();
    let again = nodes.iter().filter(|node| node["attempts"] == 2).count();
    assert!(again > 0, "some were lost: {record:#}");
    assert!(
        instances
            .iter_mut()
            .any(|(_, process)| process.is_running())
    );
    scene.end().await;
}

#[tokio::test]
async fn two_instances_share_a_run_and_the_second_survives_the_first_on_nats_server() {
    let nats = NatsServer::start().await.unwrap();
    shared_and_killed(&nats.url(), "one", "two").await;
}

#[tokio::test]
async fn two_instances_share_a_run_and_the_first_survives_the_second_on_the_embedded_broker() {
    let broker = Broker::builder()
        .user_password("nodewire", "secret")
        .start()
        .await
        .unwrap();
    let url = format!("nats://nodewire:secret@{}", broker.addr());
    shared_and_killed(&url, "two", "one").await;
}

#[tokio::test]
async fn a_stop_reaches_the_handler() {
    let broker = Broker::builder().start().await.unwrap();
    let scene = Scene::on(&broker.url()).await;
    let _instance = scene.instance("one");
    scene.instances(1).await;
    let run = scene.submit(&["hold"]).await;
    scene.noted("one-held").await;
    scene.daemon.runs().abort(&run).await.unwrap();
    scene.noted("one-cancelled").await;
    let record = scene.finished(&run).await;
    assert_eq!(record["status"], "aborted", "{record:#}");
    assert_eq!(record["nodes"][0]["state"], "aborted", "{record:#}");
    until("nothing is outstanding", || scene.server().running == 0).await;
    scene.end().await;
}

#[tokio::test]
async fn a_time_limit_ends_the_step_on_its_server_too() {
    let broker = Broker::builder().start().await.unwrap();
    let scene = Scene::on(&broker.url()).await;
    let _instance = scene.instance("one");
    scene.instances(1).await;
    let hold = json!({"id": 1, "uid": "hold", "serverUid": SERVER, "exec": {"timeout": 0.5}});
    let run = scene
        .submit_graph(json!({"nodes": [hold], "links": []}))
        .await;
    let record = scene.finished(&run).await;
    assert_eq!(record["nodes"][0]["error"]["code"], "timeout", "{record:#}");
    scene.noted("one-cancelled").await;
    scene.end().await;
}

#[tokio::test]
async fn references_to_assets_and_the_trace_go_with_a_step() {
    let broker = Broker::builder().start().await.unwrap();
    let scene = Scene::on(&broker.url()).await;
    let _instance = scene.instance("one");
    scene.instances(1).await;
    let reference = format!("sha256:{}", "0".repeat(64));
    let about = json!({"id": 1, "uid": "about", "serverUid": SERVER});
    let text = json!({"id": 2, "uid": "text-input", "serverUid": "builtin",
                      "params": [{"name": "text", "value": reference}]});
    let link = json!({"id": 1, "link": [2, "text", 1, "image"]});
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let graph = json!({"nodes": [text, about], "links": [link]});
    let request = json!({"graph": graph, "types": "off", "traceparent": parent});
    let request: RunRequest = serde_json::from_value(request).unwrap();
    let submitted = scene.daemon.runs().submit(request, None).await.unwrap();
    let record = scene.finished(&submitted.run_id).await;
    assert_eq!(record["status"], "complete", "{record:#}");
    let nodes = record["nodes"].as_array().unwrap();
    let about = nodes.iter().find(|node| node["uid"] == "about").unwrap();
    let told = &about["outputs"]["about"];
    assert_eq!(told[1], reference, "{record:#}");
    let trace = told[0].as_str().unwrap();
    assert!(
        trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"),
        "{trace}"
    );
    scene.end().await;
}

#[tokio::test]
async fn a_service_without_instances_is_away_until_one_comes() {
    let broker = Broker::builder().start().await.unwrap();
    let scene = Scene::on(&broker.url()).await;
    until("that is told", || {
        scene.server().last_error.is_some_and(|error| {
            error
                .message
                .contains("no instance of the service \"workers\" answers on nats://")
        })
    })
    .await;
    let graph = json!({"nodes": [{"id": 1, "uid": "work", "serverUid": SERVER}], "links": []});
    let request = RunRequest::new(Json::from(graph));
    let refused = scene.daemon.runs().submit(request, None).await.unwrap_err();
    assert!(matches!(refused, SubmitError::Invalid { .. }), "{refused}");

    let instance = scene.instance("one");
    scene.instances(1).await;
    let run = scene.submit(&["gate"]).await;
    scene.noted("one-held").await;
    instance.signal("KILL").unwrap();
    scene.instances(0).await;
    until("it is away", || {
        scene.server().state == ServerState::Disconnected
    })
    .await;
    std::fs::write(scene.file("open"), "").unwrap();
    let _second = scene.instance("two");
    let record = scene.finished(&run).await;
    assert_eq!(record["status"], "complete", "{record:#}");
    assert_eq!(done_by(&record, "two"), 1, "{record:#}");
    scene.end().await;
}
