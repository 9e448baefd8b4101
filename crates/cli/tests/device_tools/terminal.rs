//! The prompts at a pseudo-terminal.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{App, Home, Running};

/// A command at a terminal of its own, which `script` (of util-linux) makes.
fn at_terminal(home: &Home, command: &Command) -> Running {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut script = home.command(
        "script",
        "-qefc",
        &[&format!("exec {}", words.join(" ")), "/dev/null"],
    );
    Running::start(script.env("TERM", "xterm").env("SHELL", "/bin/sh"))
}

#[test]
fn the_console_has_completion_history_and_live_events() {
    let home = Home::new();
    let mut app = App::start(&home, &["--heartbeat-interval", "0.05"]);
    let mut console = at_terminal(&home, &app.to(&home, &["console", "--level-wait", "60"]));
    console.out.with("? for help");
    // Completed by a tab; twice, so that the second comes from the history.
    console.enter("statu\t\r");
    app.running
        .out
        .object("request", |request| request["command"] == "GET_STATUS");
    console.out.with("SUCCESS");
    console.enter("GET_CONF\t\r");
    app.running.out.object("request", |request| {
        request["command"] == "GET_CONFIGURATION"
    });
    console.out.with("inferenceModel");
    console.enter("\u{1b}[A\u{1b}[A\r");
    app.running
        .out
        .object("request", |request| request["command"] == "GET_STATUS");
    // An empty line is the one before.
    console.enter("\r");
    app.running
        .out
        .object("request", |request| request["command"] == "GET_STATUS");
    // What is published comes above the prompt.
    app.running.enter("repeat 100000 every 20 tunnelEnter\n");
    console.out.with("tunnelEnter (1101)");
    console.enter("nonsense\r");
    console.out.with("unknown command");
    console.enter("q\r");
    assert_eq!(console.wait().code(), Some(0));

    let history = home
        .path()
        .join(".local/state/nodewire/device-console-history");
    let lines = std::fs::read_to_string(&history).unwrap();
    for line in ["status", "GET_CONFIGURATION", "nonsense"] {
        assert!(lines.lines().any(|kept| kept == line), "{line} in {lines}");
    }
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&history), 0o600);
    assert_eq!(mode(history.parent().unwrap()), 0o700);
}

#[test]
fn the_history_is_there_next_time_and_not_where_nobody_wants_it() {
    let home = Home::new();
    let app = App::start(&home, &[]);
    for (line, keys) in [
        ("GET_CONFIGURATION", "configuration\r"),
        ("GET_CONFIGURATION", "\u{1b}[A\u{1b}[A\r"),
    ] {
        let mut console = at_terminal(&home, &app.to(&home, &["console"]));
        console.out.with("? for help");
        console.enter(keys);
        app.running
            .out
            .object("request", |request| request["command"] == line);
        console.out.with("SUCCESS");
        console.enter("q\r");
        assert_eq!(console.wait().code(), Some(0));
    }
    let other = Home::new();
    let mut console = at_terminal(&other, &app.to(&other, &["console", "--no-history"]));
    console.out.with("? for help");
    console.enter("status\r");
    console.out.with("SUCCESS");
    // Ctrl-C at the prompt.
    console.enter("\u{3}");
    console.err.rest();
    assert_eq!(console.wait().code(), Some(130));
    assert!(!other.path().join(".local").exists());
}

#[test]
fn a_device_has_a_prompt_too() {
    let home = Home::new();
    let app = home.device(&["app", "--event-port", "0", "--command-port", "0"]);
    let mut app = at_terminal(&home, &app);
    app.out.with("a device of version");
    app.enter("fly\r");
    app.out.with("unknown event");
    app.enter("app_l\t\r");
    app.out.with("published");
    // An empty line is the one before.
    app.enter("\r");
    app.out.with("published");
    app.enter("\u{3}");
    app.out.with("applicationTerminating (202)");
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn the_view_is_drawn_in_place() {
    let home = Home::new();
    let mut app = App::start(&home, &["--heartbeat-interval", "0.05"]);
    let mut watch = at_terminal(&home, &app.to(&home, &["watch"]));
    watch.out.with("present");
    watch.out.with("training MANUAL");
    app.running
        .enter("alarmChanged {\"alarm_id\": 301, \"is_active\": true, \"is_enabled\": true}\n");
    app.running.enter("repeat 100000 every 20 tunnelEnter\n");
    watch.out.with("tunnelEnter");
    watch.enter("\u{3}");
    assert_eq!(watch.wait().code(), Some(0));
}
