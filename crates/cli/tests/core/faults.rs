//! What is in the way of the daemon and its clients.

use std::fs::File;
use std::process::Stdio;

use serde_json::{Value, json};

use super::conversation::single;
use super::place::{Place, Running, SERVER, done, line_with, until};

#[test]
fn a_daemon_whose_log_cannot_be_written_goes_on() {
    let place = Place::with_server();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut up = place.nodewire(&["up", "-vv", "--bind", "127.0.0.1:0"]);
    up.stdout(Stdio::null()).stderr(full);
    let mut daemon = up.spawn().unwrap();
    until("the daemon answers", || {
        place.done(&["status"]).code == Some(0)
    });
    place.until_state(SERVER, "ready");
    let graph = place.file("graph.json", &single("sleep", &json!({"seconds": 0})));
    place.succeed(&["run", &graph, "--daemon"]);
    nodewire_testkit::signal(daemon.id(), "-TERM").unwrap();
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}

#[test]
fn a_durable_run_is_followed_to_a_daemon_at_another_address() {
    let place = Place::with_server();
    let daemon = place.up();
    place.until_state(SERVER, "ready");
    let graph = place.file("graph.json", &single("sleep", &json!({"seconds": 1})));
    let run = place.nodewire(&["run", &graph, "--daemon", "--durable", "--json"]);
    let (run, lines) = Running::with_lines(run);
    line_with(&lines, "\"dispatched\"");
    daemon.signal("-KILL");
    daemon.ended();
    let _again = place.up();
    assert_eq!(run.ended().code(), Some(0));
}

#[test]
fn a_run_that_was_over_before_it_was_stopped_is_kept() {
    let place = Place::with_server();
    let _daemon = place.up();
    place.until_state(SERVER, "ready");
    let graph = place.file("graph.json", &single("sleep", &json!({"seconds": 0})));
    for _ in 0..5 {
        let run = place.done(&["run", &graph, "--daemon", "--timeout", "0"]);
        let is_complete = run.stderr.contains("done in");
        assert_eq!(run.code, Some(i32::from(!is_complete)), "{run:?}");
    }
}

#[test]
fn the_doctor_tells_of_settings_that_cannot_be_read() {
    let place = Place::new();
    place.file("data/config.json", "{\"bind\": 5");
    let done = place.done(&["doctor", "--json"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let told: Value = serde_json::from_str(&done.stdout).expect(&done.stdout);
    assert!(told.to_string().contains("config.json"), "{told}");
}

#[test]
fn a_token_that_no_client_can_send_is_refused() {
    let place = Place::new();
    for command in [&["up"][..], &["status", "--url", "http://127.0.0.1:1"]] {
        let done = place.done(&[command, &["--token", "two\nlines"]].concat());
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.stderr.contains("control characters"), "{done:?}");
    }
}

/// As `${X:-}` in a compose file makes them.
#[test]
fn variables_that_are_empty_are_none_for_a_run_on_the_daemon() {
    let place = Place::with_server();
    let _daemon = place.up();
    place.until_state(SERVER, "ready");
    let graph = place.file("graph.json", &single("sleep", &json!({"seconds": 0})));
    let mut run = place.nodewire(&["run", &graph, "--daemon"]);
    for name in ["SERVER", "SERVERS", "ASSETS", "PYTHON", "SERVER_LOG_LEVEL"] {
        run.env(format!("NODEWIRE_{name}"), "");
    }
    let run = done(&mut run);
    assert_eq!(run.code, Some(0), "{run:?}");
}

#[test]
fn the_doctor_tells_of_a_token_that_cannot_be_used() {
    let place = Place::new();
    let mut doctor = place.nodewire(&["doctor", "--json"]);
    let done = done(doctor.env("NANOCORE_TOKEN", "two\nlines"));
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("control characters"), "{done:?}");
}
