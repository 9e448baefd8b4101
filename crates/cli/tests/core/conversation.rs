//! With the daemon: from `up` to `down`.

use std::path::Path;

use nodewire_testkit::{SdkVersion, python_server_folder};
use serde_json::{Value, json};

use super::place::{Place, Running, SERVER, done, line_with, until};

/// `words` → the JavaScript server → `shown`.
fn shouting() -> String {
    json!({"nodes": [
        {"id": 1, "name": "words", "uid": "text-input", "serverUid": "builtin"},
        {"id": 2, "name": "shout", "uid": "upper-case", "serverUid": SERVER, "params": {"suffix": "?"}},
        {"id": 3, "name": "shown", "uid": "viewer", "serverUid": "builtin"}],
     "links": [{"id": 1, "link": [1, "text", 2, "in"]}, {"id": 2, "link": [2, "text", 3, "value"]}]})
    .to_string()
}

/// A graph of one node of the JavaScript server.
pub(crate) fn single(uid: &str, params: &Value) -> String {
    json!({"nodes": [{"id": 1, "uid": uid, "serverUid": SERVER, "params": params}], "links": []})
        .to_string()
}

#[test]
fn a_python_server_from_registering_to_the_end() {
    let place = Place::new();
    python_server_folder(SdkVersion::V0_2_3, "new-python", &place.path("py")).unwrap();
    place.succeed(&["register", "py"]);
    let mut start = place.nanocore(&["start"]);
    start.env("NANOCORE_BIND", "127.0.0.1:0");
    let daemon = place.up_as(start);
    place.until_state("new-python", "ready");
    let status = place.succeed(&["status"]);
    assert!(
        status.contains("Python 0.2.3") && status.contains("ready"),
        "{status}"
    );
    assert!(place.succeed(&["list"]).contains("ready"));
    assert!(place.succeed(&["nodes"]).contains("echo"));

    let graph = place.file("graph.json", &json!({"nodes": [
        {"id": 1, "name": "words", "uid": "text-input", "serverUid": "builtin"},
        {"id": 2, "uid": "echo", "serverUid": "new-python", "params": []},
        {"id": 3, "name": "shown", "uid": "viewer", "serverUid": "builtin"}],
        "links": [{"id": 1, "link": [1, "text", 2, "text"]}, {"id": 2, "link": [2, "text", 3, "value"]}]}).to_string());
    let arguments = [
        "run",
        &graph,
        "--input",
        "words=hé",
        "--param",
        "2.prefix=> ",
    ];
    let run = done(&mut place.nanocore(&arguments));
    assert_eq!(
        (run.code, &*run.stdout),
        (Some(0), "shown.value: > hé\n"),
        "{run:?}"
    );

    let (logs, lines) = Running::with_lines(place.nodewire(&["logs", "new-python", "-f"]));
    line_with(&lines, "[NANOSERVER_READY]");
    let restarted = place.succeed(&["restart", "new-python"]);
    assert_eq!(restarted, "Python 0.2.3: ready\n");
    line_with(&lines, "[NANOSERVER_READY]");
    logs.signal("-INT");
    assert_eq!(logs.ended().code(), Some(130));

    assert_eq!(place.succeed(&["stop", "py"]), "Python 0.2.3: stopped\n");
    assert_eq!(
        place.succeed(&["start", "new-python"]),
        "Python 0.2.3: ready\n"
    );
    assert_eq!(place.succeed(&["down"]), "the daemon has ended\n");
    assert_eq!(daemon.ended().code(), Some(0));
    assert_eq!(place.done(&["status"]).code, Some(3));
}

#[test]
fn two_daemons_on_one_folder_and_names_that_nobody_has() {
    let place = Place::with_server();
    let daemon = place.up();
    let second = place.done(&["up", "--bind", "127.0.0.1:0"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    let holder: Value =
        serde_json::from_slice(&std::fs::read(place.path("data/lock")).unwrap()).unwrap();
    let named = format!("process {}", holder["pid"]);
    assert!(second.stderr.contains(&named), "{second:?}");
    assert!(
        second.stderr.contains(holder["address"].as_str().unwrap()),
        "{second:?}"
    );

    let unknown: [&[&str]; 4] = [
        &["restart", "nobody"],
        &["logs", "nobody"],
        &["runs", "show", "00000000-0000-4000-8000-000000000000"],
        &["assets", "get", "00000000-0000-4000-8000-000000000000"],
    ];
    for arguments in unknown {
        let refused = place.done(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {refused:?}");
    }
    let refused = place.done(&["status", "--token", "wrong"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("--token"), "{refused:?}");
    // A flag wins over the variable, the variable over the file.
    place.file("data/config.json", r#"{"url": "http://127.0.0.1:1"}"#);
    assert_eq!(place.done(&["status"]).code, Some(3));
    let url = format!("http://{}", holder["address"].as_str().unwrap());
    let by_variable = done(place.nodewire(&["status"]).env("NANOCORE_URL", &url));
    assert_eq!(by_variable.code, Some(0), "{by_variable:?}");
    let by_flag = done(
        place
            .nodewire(&["status", "--url", &url])
            .env("NANOCORE_URL", "http://127.0.0.1:1"),
    );
    assert_eq!(by_flag.code, Some(0), "{by_flag:?}");
    std::fs::remove_file(place.path("data/config.json")).unwrap();
    drop(daemon);
}

#[test]
fn runs_are_submitted_followed_listed_and_repeated() {
    let place = Place::with_server();
    let _daemon = place.up();
    place.until_state(SERVER, "ready");
    let graph = place.file("graph.json", &shouting());

    let run = place.done(&[
        "run",
        &graph,
        "--daemon",
        "--durable",
        "--input",
        "words=hi",
    ]);
    assert_eq!(
        (run.code, &*run.stdout),
        (Some(0), "shown.value: HI?\n"),
        "{run:?}"
    );
    assert!(run.stderr.contains("shout: done in"), "{run:?}");
    let again = place.done(&["run", &graph, "--daemon", "--input", "words=hi"]);
    assert!(again.stderr.contains("shout: unchanged"), "{again:?}");

    let events = place.succeed(&[
        "run", &graph, "--daemon", "--json", "--cache", "off", "--input", "words=hi",
    ]);
    let events: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    assert_eq!(events.last().unwrap()["type"], "run_finished", "{events:?}");
    assert!(
        events
            .iter()
            .any(|event| event["type"] == "node_complete" && event["nodeId"] == 2),
        "{events:?}"
    );

    let detached = place.succeed(&[
        "run",
        &graph,
        "--daemon",
        "--detach",
        "--priority",
        "5",
        "--input",
        "words=x",
    ]);
    let run_id = detached.trim();
    until("the run is complete", || {
        place.json(&["runs", "show", run_id, "--json"])["status"] == "complete"
    });
    let listed = place.json(&["runs", "ls", "--json", "--limit", "2"]);
    assert_eq!(listed["runs"].as_array().unwrap().len(), 2);
    assert_eq!(listed["runs"][0]["runId"], run_id);
    assert!(place.succeed(&["runs", "show", run_id]).contains("shout"));
    assert!(place.succeed(&["runs", "ls"]).contains(run_id));
    let repeated = place.succeed(&["runs", "rerun", run_id]);
    assert_ne!(repeated.trim(), run_id);
    until("the repeated run is complete", || {
        place.json(&["runs", "show", repeated.trim(), "--json"])["status"] == "complete"
    });
    place.succeed(&["runs", "rm", run_id]);
    assert_eq!(place.done(&["runs", "show", run_id]).code, Some(2));
    assert!(place.succeed(&["queue"]).starts_with("RUN"));
}

#[test]
fn failed_and_invalid_runs_say_why() {
    let place = Place::with_server();
    let _daemon = place.up();
    place.until_state(SERVER, "ready");
    let graph = place.file(
        "graph.json",
        &single("fail", &json!({"message": "as asked"})),
    );
    let failed = place.done(&["run", &graph, "--daemon"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(
        failed.stderr.contains("node 1 failed") && failed.stderr.contains("as asked"),
        "{failed:?}"
    );

    let graph = place.file("graph.json", &single("no-such-node", &json!({})));
    let invalid = place.done(&["run", &graph, "--daemon"]);
    assert_eq!(invalid.code, Some(2), "{invalid:?}");
    assert!(invalid.stderr.contains("node_missing"), "{invalid:?}");

    let graph = place.file("graph.json", &single("sleep", &json!({"seconds": 600})));
    let slow = place.done(&["run", &graph, "--daemon", "--timeout", "0.2"]);
    assert_eq!(slow.code, Some(1), "{slow:?}");
    assert!(slow.stderr.contains("--timeout"), "{slow:?}");
    let runs = place.json(&["runs", "ls", "--json", "--status", "aborted"]);
    assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "{runs}");
}

#[test]
fn assets_go_in_and_come_out_whole() {
    let place = Place::with_server();
    let _daemon = place.up();
    let content = "é".repeat(100_000);
    let file = place.file("photo.png", &content);
    let hash = place.succeed(&["assets", "put", &file]);
    let hash = hash.trim();
    assert!(hash.starts_with("sha256:"), "{hash}");
    let listed = place.json(&["assets", "ls", "--json", "--type", "image"]);
    assert_eq!(listed[0]["name"], "photo.png");
    assert!(place.succeed(&["assets", "ls"]).contains("195.3 KiB"));
    let out = place.path("copy.png");
    place.succeed(&["assets", "get", hash, "--out", out.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), content);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions();
    assert_eq!(mode(&out), mode(Path::new(&file)));
    let uuid = listed[0]["uuid"].as_str().unwrap();
    assert_eq!(place.succeed(&["assets", "get", uuid]), content);

    let graph = place.file(
        "graph.json",
        &json!({"nodes": [
        {"id": 1, "name": "pics", "uid": "asset-input", "serverUid": "builtin"},
        {"id": 2, "name": "shown", "uid": "viewer", "serverUid": "builtin"}],
        "links": [{"id": 1, "link": [1, "asset", 2, "value"]}]})
        .to_string(),
    );
    let results = place.path("results");
    let input = format!("pics=@{file}");
    place.succeed(&[
        "run",
        &graph,
        "--daemon",
        "--input",
        &input,
        "--out",
        results.to_str().unwrap(),
    ]);
    assert_eq!(read(&results.join("photo.png")), content);

    assert_eq!(
        place.succeed(&["assets", "gc", "--older-than", "1h", "--dry-run"]),
        "would delete 0 assets, 0 B; 0 more are referred to\n"
    );
    let collected = place.json(&["assets", "gc", "--older-than", "0", "--json"]);
    assert_eq!(
        (&collected["deleted"], &collected["dryRun"]),
        (&json!(0), &json!(false)),
        "it is not ephemeral: {collected}"
    );
    let odd = place.done(&["assets", "gc", "--older-than", "soon"]);
    assert_eq!(odd.code, Some(2), "{odd:?}");

    place.succeed(&["assets", "rm", hash]);
    assert_eq!(place.done(&["assets", "get", hash]).code, Some(2));
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
