//! What is away: servers that do not answer or are not there, runs that wait for them, nodes that name none.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::conversation::single;
use super::place::{Place, Running, SERVER, until};

/// Answers as a daemon whose only server is this one; its address.
fn canned(servers: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .for_each(drop);
            let body = if request.contains("/servers ") {
                servers.to_string()
            } else {
                json!({"version": "1.2.3"}).to_string()
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            // A client that has gone wants no answer.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

// spec: nanograph 13.3
#[test]
fn a_server_that_does_not_answer_is_told_as_unresponsive() {
    let place = Place::with_server();
    let server = |is_unresponsive: bool| {
        json!({"servers": [{
            "serverUid": SERVER, "serverDisplayName": "Counting", "state": "ready", "unresponsive": is_unresponsive, "running": 1,
        }]})
    };
    let url = canned(server(true));
    let at = ["--url", &url, "--token", "x"];
    let status = place.done(&[&["status"], &at[..]].concat());
    assert!(status.stdout.contains("ready, unresponsive"), "{status:?}");
    let advice = format!("nodewire restart {SERVER}");
    assert!(status.stderr.contains(&advice), "{status:?}");
    let list = place.succeed(&[&["list"], &at[..]].concat());
    assert!(list.contains("ready, unresponsive"), "{list}");
    let list = place.json(&[&["list", "--json"], &at[..]].concat());
    assert_eq!(list[0]["unresponsive"], true, "{list}");
    let status = place.json(&[&["status", "--json"], &at[..]].concat());
    assert_eq!(status["servers"][0]["unresponsive"], true, "{status}");

    let url = canned(server(false));
    let status = place.done(&["status", "--url", &url, "--token", "x"]);
    assert!(!status.stdout.contains("unresponsive"), "{status:?}");
    let list = place.json(&["list", "--json"]);
    assert_eq!(list[0]["unresponsive"], Value::Null, "nobody knows: {list}");
}

#[test]
fn status_says_that_the_registry_cannot_be_used() {
    let place = Place::with_server();
    let _daemon = place.up();
    place.until_state(SERVER, "ready");
    assert!(place.done(&["status"]).stderr.is_empty());
    place.file("data/nodeservers.json", "[{");
    until("status says so", || {
        place.done(&["status"]).stderr.contains("nodeservers.json")
    });
    let status = place.json(&["status", "--json"]);
    assert!(status["registryProblem"].is_string(), "{status}");
    assert_eq!(status["servers"][0]["state"], "ready", "it goes on");
}

/// The daemon, with its server stopped.
fn without_its_server() -> (Place, Running) {
    let place = Place::with_server();
    let daemon = place.up();
    place.until_state(SERVER, "ready");
    place.succeed(&["stop", SERVER]);
    (place, daemon)
}

#[test]
fn a_run_waits_for_servers_on_wish_and_is_shown_with_what_it_lacks() {
    let (place, _daemon) = without_its_server();
    let graph = place.file(
        "graph.json",
        &json!({"nodes": [
            {"id": 1, "name": "words", "uid": "text-input", "serverUid": "builtin"},
            {"id": 2, "name": "shout", "uid": "upper-case", "serverUid": SERVER},
            {"id": 3, "name": "shown", "uid": "viewer", "serverUid": "builtin"}],
         "links": [{"id": 1, "link": [1, "text", 2, "in"]}, {"id": 2, "link": [2, "text", 3, "value"]}]})
        .to_string(),
    );
    let input = ["--input", "words=hi"];
    let refused = place.done(&[&["run", &graph, "--daemon"], &input[..]].concat());
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("--wait-servers"), "{refused:?}");

    let waits = ["run", &graph, "--daemon", "--wait-servers", "--detach"];
    let run = place.succeed(&[&waits, &input[..]].concat());
    let run = run.trim();
    until("the run waits for servers", || {
        place
            .succeed(&["queue"])
            .lines()
            .any(|line| line.contains(run) && line.contains("waiting for servers"))
    });
    let queue = place.succeed(&["queue"]);
    let line = queue.lines().find(|line| line.contains(run)).unwrap();
    assert!(
        queue.lines().next().unwrap().ends_with("MISSING"),
        "{queue}"
    );
    assert!(line.trim_end().ends_with("upper-case"), "{queue}");
    let queue = place.json(&["queue", "--json"]);
    assert_eq!(
        queue["waitingForServers"][0]["missing"],
        json!([{"uid": "upper-case", "serverUid": SERVER}])
    );

    let shown = place.succeed(&["runs", "show", run]);
    let lacks = format!("upper-case of server {SERVER}");
    assert!(
        shown.contains("queued, waiting for servers") && shown.contains(&lacks),
        "{shown}"
    );
    let node = |name: &str| {
        let line = shown.lines().find(|line| line.contains(name)).expect(name);
        line.split_whitespace().nth(2).unwrap().to_owned()
    };
    assert_eq!(
        ["words", "shout ", "shown"].map(node),
        ["pending", "missing", "pending"],
        "{shown}"
    );
    place.succeed(&["start", SERVER]);
    until("the run is complete", || {
        place.json(&["runs", "show", run, "--json"])["status"] == "complete"
    });
    assert!(!place.succeed(&["runs", "show", run]).contains("waits for"));
}

#[test]
fn a_run_that_is_followed_waits_for_servers_and_goes_on() {
    let (place, _daemon) = without_its_server();
    let counted = place.path("counted");
    let params = json!({"file": counted, "label": "x"});
    let graph = place.file("graph.json", &single("count", &params));
    let (run, lines) = Running::with_lines(place.nodewire(&[
        "run",
        &graph,
        "--daemon",
        "--wait-servers",
        "--json",
    ]));
    super::place::line_with(&lines, "run_waiting");
    place.succeed(&["start", SERVER]);
    super::place::line_with(&lines, "run_finished");
    assert_eq!(run.ended().code(), Some(0));
}

// spec: nanograph 14.1
#[test]
fn a_builtin_whose_server_is_not_named_runs_with_a_warning() {
    let place = Place::new();
    let graph = place.file(
        "graph.json",
        &json!({"nodes": [
            {"id": 1, "name": "words", "uid": "text-input"},
            {"id": 2, "name": "shown", "uid": "viewer"}],
         "links": [{"id": 1, "link": [1, "text", 2, "value"]}]})
        .to_string(),
    );
    let checked = place.done(&["validate", &graph]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.stderr.contains("server_substituted"), "{checked:?}");
    let _daemon = place.up();
    let run = ["run", &graph, "--input", "words=hi"];
    for on_daemon in [&[][..], &["--daemon"]] {
        let run = place.done(&[&run, on_daemon].concat());
        assert_eq!(
            (run.code, &*run.stdout),
            (Some(0), "shown.value: hi\n"),
            "{run:?}"
        );
        assert!(run.stderr.contains("\"builtin\""), "{run:?}");
    }
}
