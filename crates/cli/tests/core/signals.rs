//! Ctrl-C.

use serde_json::json;

use super::conversation::single;
use super::place::{Place, Running, SERVER, line_with};

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
