//! Ctrl-C.

use serde_json::{Value, json};

use super::conversation::single;
use super::place::{Place, Running, SERVER, line_with, until};

#[test]
fn ctrl_c_stops_a_run_on_the_daemon() {
    let place = Place::with_server();
    let _daemon = place.up();
    place.until_state(SERVER, "ready");
    let graph = place.file("graph.json", &single("sleep", &json!({"seconds": 600})));
    let (run, lines) = Running::with_lines(place.nodewire(&["run", &graph, "--daemon", "--json"]));
    line_with(&lines, "\"dispatched\"");
    run.signal("-INT");
    assert_eq!(run.ended().code(), Some(130));
    let runs = place.json(&["runs", "ls", "--json"]);
    assert_eq!(runs["runs"][0]["status"], "aborted", "{runs}");
}

#[test]
fn the_first_ctrl_c_ends_the_daemon_in_order() {
    let place = Place::with_server();
    let daemon = place.up();
    place.until_state(SERVER, "ready");
    let pid = place.server(SERVER)["pid"].as_u64().unwrap();
    daemon.signal("-INT");
    assert_eq!(daemon.ended().code(), Some(0));
    assert!(
        !std::path::Path::new(&format!("/proc/{pid}")).exists(),
        "its server has ended with it"
    );
}

#[test]
fn the_second_ctrl_c_ends_the_daemon_at_once() {
    let place = Place::with_server();
    let registry = place.path("data/nodeservers.json");
    let mut entries: Value = serde_json::from_slice(&std::fs::read(&registry).unwrap()).unwrap();
    // A server that only SIGKILL ends, which comes after 15 s.
    let stubborn = "trap '' INT TERM; node main.js; while :; do sleep 1; done";
    entries[0]["command"] = json!(["sh", "-c", stubborn]);
    std::fs::write(&registry, entries.to_string()).unwrap();
    let daemon = place.up();
    place.until_state(SERVER, "ready");
    let pid = place.server(SERVER)["pid"].as_u64().unwrap();
    daemon.signal("-INT");
    until("it is ending", || daemon.log().contains("Ctrl-C again"));
    daemon.signal("-INT");
    assert_eq!(daemon.ended().code(), Some(130));
    until("its server is killed", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        !stat.is_ok_and(|stat| !stat.contains(") Z"))
    });
}

#[test]
fn a_daemon_that_does_not_react_is_killed_if_that_is_wanted() {
    let place = Place::new();
    let daemon = place.up();
    daemon.signal("-STOP");
    let waited = place.done(&["down", "--timeout", "1"]);
    assert_eq!(waited.code, Some(3), "{waited:?}");
    assert!(waited.stderr.contains("--force"), "{waited:?}");
    let killed = place.done(&["down", "--timeout", "1", "--force"]);
    assert_eq!(killed.code, Some(0), "{killed:?}");
    assert!(killed.stdout.contains("was killed"), "{killed:?}");
    assert_eq!(daemon.ended().code(), None, "by a signal");
}

#[test]
fn disabled_servers_stay_registered_and_rest() {
    let place = Place::with_server();
    let _daemon = place.up();
    place.until_state(SERVER, "ready");
    place.succeed(&["disable", SERVER]);
    place.until_state(SERVER, "stopped");
    let list = place.json(&["list", "--json"]);
    assert_eq!(list[0]["enabled"], false, "{list}");
    place.succeed(&["enable", SERVER]);
    place.until_state(SERVER, "ready");
    assert_eq!(place.done(&["disable", "nobody"]).code, Some(2));
}
