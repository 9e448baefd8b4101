//! Runs over the API: good and bad requests.

use serde_json::{Value, json};

use crate::support::{Setup, start, start_with, texts};

#[tokio::test]
async fn a_run_is_submitted_and_looked_at() {
    let setup = start().await;
    let request =
        json!({ "graph": texts("a"), "params": { "1.text": "b" }, "clientId": "c", "tags": ["t"] });
    let run_id = setup.submit(&request).await;
    let run = setup.finished(&run_id).await;
    assert_eq!(
        (&run["status"], &run["name"], &run["clientId"]),
        (&json!("complete"), &json!("Texts"), &json!("c"))
    );
    assert_eq!(run["graph"], request["graph"]);
    let node = setup
        .client
        .get(&format!("/api/v1/runs/{run_id}/nodes/2"))
        .await;
    assert_eq!(node.json()["inputs"], json!({"value": ["b"]}));
    for path in ["nodes/9", "nodes/x"] {
        let answer = setup
            .client
            .get(&format!("/api/v1/runs/{run_id}/{path}"))
            .await;
        assert!([400, 404].contains(&answer.status), "{path}");
    }
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_graph_that_cannot_run_is_refused_with_everything_wrong() {
    let setup = start().await;
    let mut graph = texts("a");
    graph["links"][0]["link"][3] = "nowhere".into();
    let request = json!({ "graph": graph });
    let refused = setup.post("/api/v1/runs", &request).await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (422, "invalid_graph")
    );
    let problems = refused.json()["problems"].clone();
    assert_eq!(problems[0]["code"], "unknown_port", "{problems}");
    let checked = setup.post("/api/v1/validate", &request).await;
    assert_eq!(
        (checked.status, &checked.json()["problems"]),
        (200, &problems)
    );
    let good = setup
        .post(
            "/api/v1/validate",
            &json!({ "graph": texts("a"), "targets": [1] }),
        )
        .await;
    assert_eq!(good.json()["nodes"], json!([1]));
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn bad_requests_are_refused() {
    let setup = start_with(|options| options.api.body_bytes_max = 10_000).await;
    for (body, status) in [
        ("{", 400),
        ("[]", 400),
        (r#"{"grap": {}}"#, 400),
        (r#"{"graph": {"nodes": []}, "priority": 5000}"#, 400),
        (r#"{"graph": {"nodes": []}, "params": {"x": 1}}"#, 400),
    ] {
        let answer = setup
            .client
            .send("POST", "/api/v1/runs", &[], body.as_bytes())
            .await;
        assert_eq!(answer.status, status, "{body}: {}", answer.json());
        assert_eq!(answer.error_code(), "bad_request", "{body}");
    }
    for path in ["/api/v1/runs", "/api/v1/validate"] {
        let empty = setup.post(path, &json!({})).await;
        assert_eq!(empty.status, 400, "{path}");
        let message = empty.json()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.contains("graph: is missing"), "{path}: {message}");
    }
    let long = json!({ "graph": texts(&"x".repeat(20_000)) });
    let refused = setup.post("/api/v1/runs", &long).await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (413, "too_large")
    );
    for query in ["status=odd", "limit=x", "cursor=nonsense"] {
        let answer = setup.client.get(&format!("/api/v1/runs?{query}")).await;
        assert_eq!(answer.error_code(), "bad_request", "{query}");
    }
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_database_without_room_or_in_use_is_told_as_such() {
    let setup = start_with(|options| {
        options.database.busy_timeout_ms = 1;
        options.database.file_bytes_max = 1 << 20;
    })
    .await;
    let large = json!({ "graph": texts(&"x".repeat(2 << 20)) });
    let full = setup.post("/api/v1/runs", &large).await;
    assert_eq!(
        (full.status, full.error_code().as_str()),
        (507, "storage_full")
    );

    let path = setup.daemon.data_folder().join("nanocore.db");
    let other = rusqlite::Connection::open(path).unwrap();
    // The daemon's own writes go on beside us.
    other.busy_timeout(crate::support::LIMIT).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let busy = setup
        .post("/api/v1/runs", &json!({ "graph": texts("a") }))
        .await;
    assert_eq!((busy.status, busy.error_code().as_str()), (503, "busy"));
    assert_eq!(busy.headers["retry-after"], "1");
    other.execute_batch("ROLLBACK").unwrap();
    let run_id = setup.submit(&json!({ "graph": texts("a") })).await;
    setup.finished(&run_id).await;
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_run_that_is_not_there_is_not_found() {
    let setup = start().await;
    let id = "00000000-0000-4000-8000-000000000000";
    for (method, path) in [
        ("GET", ""),
        ("GET", "/nodes/1"),
        ("GET", "/events"),
        ("POST", "/abort"),
        ("POST", "/rerun"),
        ("DELETE", ""),
    ] {
        let path = format!("/api/v1/runs/{id}{path}");
        let answer = setup.client.send(method, &path, &[], b"").await;
        assert_eq!(answer.error_code(), "not_found", "{method} {path}");
    }
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn the_same_key_gives_the_same_run() {
    let setup = start().await;
    let submit = async |text: &str, key: &str| {
        let body = json!({ "graph": texts(text) }).to_string();
        let headers = [("Idempotency-Key", key)];
        setup
            .client
            .send("POST", "/api/v1/runs", &headers, body.as_bytes())
            .await
    };
    let first = submit("a", "k").await.json();
    assert_eq!(submit("a", "k").await.json(), first);
    let other = submit("b", "k").await;
    assert_eq!(
        (other.status, other.error_code().as_str()),
        (409, "key_reused")
    );
    assert_ne!(submit("a", "l").await.json()["runId"], first["runId"]);
    assert_eq!(submit("a", "").await.error_code(), "bad_request");
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn history_has_pages_and_can_be_filtered_rerun_and_forgotten() {
    let setup = start().await;
    let mut ids = Vec::new();
    for text in ["a", "b", "c"] {
        let id = setup.submit(&json!({ "graph": texts(text) })).await;
        setup.finished(&id).await;
        ids.push(id);
    }
    let page = setup
        .client
        .get("/api/v1/runs?limit=2&status=complete")
        .await
        .json();
    assert_eq!(listed(&page), [&*ids[2], &*ids[1]]);
    let cursor = page["nextCursor"].as_str().unwrap();
    let rest = setup
        .client
        .get(&format!("/api/v1/runs?limit=2&cursor={cursor}"))
        .await
        .json();
    assert_eq!(listed(&rest), [&*ids[0]]);
    assert!(rest.get("nextCursor").is_none());

    let path = format!("/api/v1/runs/{}/rerun", ids[0]);
    let again = setup
        .post(&path, &json!({"from": "failed", "params": {"1.text": "z"}}))
        .await;
    assert_eq!(again.status, 202, "{}", again.json());
    let again = again.json()["runId"].as_str().unwrap().to_owned();
    assert_eq!(setup.finished(&again).await["rerunOf"], ids[0].as_str());
    let node = setup
        .client
        .get(&format!("/api/v1/runs/{again}/nodes/2"))
        .await
        .json();
    assert_eq!(node["inputs"], json!({"value": ["z"]}));

    let path = format!("/api/v1/runs/{}", ids[1]);
    assert_eq!(
        setup.client.send("DELETE", &path, &[], b"").await.status,
        204
    );
    assert_eq!(setup.client.get(&path).await.status, 404);
    setup.daemon.shutdown().await;
}

fn listed(page: &Value) -> Vec<&str> {
    let runs = page["runs"].as_array().unwrap();
    runs.iter()
        .map(|run| run["runId"].as_str().unwrap())
        .collect()
}

/// A run that goes on until it is stopped.
pub(crate) async fn busy(setup: &Setup) -> String {
    let path = "/api/v1/servers/counting-server";
    setup
        .client
        .send("POST", &format!("{path}/start"), &[], b"")
        .await;
    setup.until(path, |server| server["state"] == "ready").await;
    let graph = json!({"nodes": [{ "id": 1, "uid": "sleep", "serverUid": "counting-server",
        "params": [{ "name": "seconds", "type": "number", "value": 600 }] }]});
    let run_id = setup.submit(&json!({ "graph": graph })).await;
    let path = format!("/api/v1/runs/{run_id}");
    setup.until(&path, |run| run["status"] == "running").await;
    run_id
}

#[tokio::test]
async fn the_queue_is_seen_and_changed_and_a_run_aborted() {
    let setup = start_with(|options| {
        options.runs.active_max = 1;
        crate::support::register_javascript(options);
    })
    .await;
    let running = busy(&setup).await;
    let first = setup.submit(&json!({ "graph": texts("a") })).await;
    let front = setup
        .submit(&json!({ "graph": texts("b"), "priority": 10 }))
        .await;
    let queue = setup.client.get("/api/v1/queue").await.json();
    assert_eq!(queue["running"][0]["runId"], running.as_str());
    assert_eq!(queue["waiting"][0]["runId"], front.as_str());
    assert_eq!(queue["waiting"][1]["runId"], first.as_str());

    let refused = setup
        .client
        .send("DELETE", &format!("/api/v1/runs/{running}"), &[], b"")
        .await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (409, "active")
    );
    let changed = setup
        .post("/api/v1/queue", &json!({ "delete": [&front, "nobody"] }))
        .await;
    assert_eq!(changed.json()["removed"], json!([&front]));
    assert_eq!(changed.json()["notWaiting"], json!(["nobody"]));
    let changed = setup.post("/api/v1/queue", &json!({ "clear": true })).await;
    assert_eq!(changed.json()["removed"], json!([&first]));
    assert_eq!(setup.finished(&first).await["status"], "aborted");
    let unknown = setup.post("/api/v1/queue", &json!({ "clean": true })).await;
    assert_eq!(unknown.error_code(), "bad_request");

    let path = format!("/api/v1/runs/{running}/abort");
    assert_eq!(setup.post(&path, &json!({})).await.status, 202);
    assert_eq!(setup.finished(&running).await["status"], "aborted");
    let again = setup.post(&path, &json!({})).await;
    assert_eq!(
        (again.status, &again.json()["wasFinished"]),
        (202, &json!(true))
    );
    let metrics = setup.client.get("/metrics").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(
        metrics.contains("nanocore_runs_aborted_total 3"),
        "{metrics}"
    );
    setup.daemon.shutdown().await;
}

#[tokio::test]
async fn a_rerun_is_checked_and_happens_once_as_a_submission_does() {
    let setup = start().await;
    let id = setup
        .submit(&json!({ "graph": texts("a"), "clientId": "editor" }))
        .await;
    // At once: it may not have begun.
    let node = setup
        .client
        .get(&format!("/api/v1/runs/{id}/nodes/2"))
        .await;
    assert_eq!((node.status, &node.json()["uid"]), (200, &json!("viewer")));
    setup.finished(&id).await;
    let path = format!("/api/v1/runs/{id}/rerun");
    let wrong = setup.post(&path, &json!({ "prioirty": 3 })).await;
    assert_eq!(wrong.status, 400);
    let message = wrong.json()["error"]["message"].clone();
    assert!(message.as_str().unwrap().contains("prioirty"), "{message}");
    let again = async |body: &str| {
        let headers = [("Idempotency-Key", "k")];
        setup
            .client
            .send("POST", &path, &headers, body.as_bytes())
            .await
    };
    let first = again("{}").await.json();
    assert_eq!(again("{}").await.json()["runId"], first["runId"]);
    assert_eq!(again(r#"{"priority": 1}"#).await.error_code(), "key_reused");
    let page = setup.client.get("/api/v1/runs?clientId=editor").await;
    assert_eq!(page.json()["runs"].as_array().unwrap().len(), 2);
    let page = setup.client.get("/api/v1/runs?clientId=other").await;
    assert_eq!(page.json()["runs"], json!([]));
    let mut graph = texts("a");
    graph["links"][0]["link"][3] = "nowhere".into();
    let refused = setup.post("/api/v1/runs", &json!({ "graph": graph })).await;
    let message = refused.json()["error"]["message"].clone();
    assert_eq!(message, "the graph cannot run: 1 problem");
    setup.daemon.shutdown().await;
}
