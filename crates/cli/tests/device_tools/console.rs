//! `nodewire device console` at a pipe.

use nodewire_testkit::AutotrainerVersion;
use serde_json::{Value, json};

use crate::support::{App, Done, Home, NOBODY, Running, to_python};

#[test]
fn lines_of_a_pipe_are_commands() {
    let home = Home::new();
    let answers = json!({"EMERGENCY_STOP": {"after_ms": 100, "data": {"x": 1}}});
    let answers = home.file("answers.json", &answers.to_string());
    let app = App::start(
        &home,
        &[
            "--answers",
            answers.to_str().unwrap(),
            "--heartbeat-interval",
            "0.05",
        ],
    );
    let console = ["console", "--json", "--level-wait", "60"];
    let lines = "start\n\nEMERGENCY_STOP\ncustom 7 {\"a\": 1}\n400\n raw {\"command\":300,\"nonce\":5}\nquit\nstop\n";
    let done = Done::of(&mut app.to(&home, &console), lines).succeeds();
    let objects = done.objects();
    let told: Vec<_> = objects
        .iter()
        .map(|object| (&object["type"], &object["command"]))
        .collect();
    let told = json!(told);
    // The empty line repeats; the late result is waited for, before the end or at it.
    for expected in [
        json!(["answer", "START_ACQUISITION"]),
        json!(["answer", "EMERGENCY_STOP"]),
        json!(["answer", "custom 7"]),
        json!(["answer", "GET_STATUS"]),
        json!(["result", "EMERGENCY_STOP"]),
        json!(["raw", null]),
    ] {
        let count = told
            .as_array()
            .unwrap()
            .iter()
            .filter(|each| **each == expected)
            .count();
        let times = if expected[1] == "START_ACQUISITION" {
            2
        } else {
            1
        };
        assert_eq!(count, times, "{expected} in {told}");
    }
    assert_eq!(objects.len(), 7, "{told}");
    let raw = objects
        .iter()
        .find(|object| object["type"] == "raw")
        .unwrap();
    let reply: Value = serde_json::from_str(raw["reply"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&reply["nonce"], &reply["command"]),
        (&json!(5), &json!(300))
    );
}

#[test]
fn a_command_that_failed_is_the_exit_status() {
    let home = Home::new();
    let answers = home.file(
        "answers.json",
        r#"{"*": {"result": 400, "error_message": "no"}}"#,
    );
    let app = App::start(&home, &["--answers", answers.to_str().unwrap()]);
    let console =
        |lines: &str| Done::of(&mut app.to(&home, &["console", "--level", "0.12.0"]), lines);
    let done = console("start\nfly\nstatus {\n").fails(1, "3 commands failed");
    assert!(done.stdout.contains("FAILED: no"), "{done:?}");
    assert!(
        !done.stdout.contains('\u{1b}') && !done.stderr.contains('\u{1b}'),
        "{done:?}"
    );
    console("fly\n").fails(1, "1 command failed");
    console("").succeeds();
    let help = console("?\n").succeeds();
    assert!(help.stdout.contains("custom N"), "{help:?}");
    let arguments = ["console", "--command-port", NOBODY, "--timeout", "0.2"];
    Done::of(&mut home.device(&arguments), "status\n").fails(1, "cannot be reached");
}

#[test]
fn a_number_without_a_name_is_sent_as_is_told() {
    let home = Home::new();
    let app = App::start(&home, &[]);
    let console = |lines: &str| Done::of(&mut app.to(&home, &["console", "--json"]), lines);
    let refused = console("-5\n").fails(1, "no command has the number -5; `raw ");
    let raw = refused.stderr.split('`').nth(1).unwrap();
    console(raw).succeeds();
    app.running
        .out
        .object("request", |request| request["rawCommand"] == -5);
}

#[test]
fn devices_of_both_releases_are_commanded() {
    for version in AutotrainerVersion::ALL {
        let home = Home::new();
        // Without heartbeats: one of 0.9.11 can take the topic of a result, which is then lost (Q4).
        let mut service = home.python(version, 3600.0);
        let mut console = to_python(
            &home,
            &service,
            &["console", "--json", "--level", version.as_str()],
        );
        let lines = "start\nstop\nconfiguration\nstatus\nEMERGENCY_STOP {\"mode\": \"later\"}\n";
        let objects = Done::of(&mut console, lines).succeeds().objects();
        let answers = objects.iter().filter(|object| object["type"] == "answer");
        assert_eq!(answers.count(), 5);
        let result = objects.iter().find(|object| object["type"] == "result");
        assert_eq!(result.unwrap()["data"]["finalValue"], 3);
        let seen = home.runtime.block_on(service.seen(5)).unwrap();
        let commands: Vec<_> = seen
            .iter()
            .map(|seen| seen["command"].as_str().unwrap())
            .collect();
        let expected = [
            "START_ACQUISITION",
            "STOP_ACQUISITION",
            "GET_CONFIGURATION",
            "GET_STATUS",
            "EMERGENCY_STOP",
        ];
        assert_eq!(commands, expected);
        home.runtime.block_on(service.stop()).unwrap();
    }
}

#[test]
fn what_is_published_is_shown_at_a_pipe_if_wanted() {
    let home = Home::new();
    let mut app = App::start(&home, &["--heartbeat-interval", "0.05"]);
    let live = ["console", "--json", "--live", "--heartbeats"];
    let mut console = Running::start(&mut app.to(&home, &live));
    console.out.object("heartbeat", |_| true);
    app.running.enter("repeat 100000 every 5 tunnelEnter\n");
    console
        .out
        .object("event", |event| event["kind"] == "tunnelEnter");
    console.enter("status\n");
    console
        .out
        .object("answer", |answer| answer["positive"] == true);
    assert_eq!(console.wait().code(), Some(0));
}
