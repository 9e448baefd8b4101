//! `nodewire device app`: its lines, settings and end.

use serde_json::json;

use crate::support::{App, Done, Home, Running};

#[test]
fn a_script_is_done_line_by_line() {
    let home = Home::new();
    let script = "\
# events
app_launch
tunnelEn
77 {\"some_key\": 1}

stop the door
repeat 3 every 1 tunnelExit
property 1 gain 2.5 1
publish 78 a text
wait 1
counts
";
    let script = home.file("script", script);
    let script = script.to_str().unwrap();
    let app = [
        "app",
        "--event-port",
        "0",
        "--command-port",
        "0",
        "--json",
        "--script",
        script,
    ];
    let objects = home.run(&app).succeeds().objects();
    let published = objects
        .iter()
        .filter(|object| object["type"] == "published");
    let published: Vec<_> = published
        .map(|event| (event["kindNumber"].as_i64(), event["topic"].clone()))
        .collect();
    let event = |kind: i64| (Some(kind), json!("EVENT"));
    assert_eq!(
        published,
        [
            event(201),
            event(1101),
            event(77),
            (Some(101), json!("EMERGENCY")),
            event(101),
            event(1102),
            event(1102),
            event(1102),
            (None, json!("PROPERTY_CHANGE")),
            (None, json!("78")),
            // What was launched terminates.
            event(202),
        ]
    );
    let own = objects
        .iter()
        .find(|object| object["kindNumber"] == 77)
        .unwrap();
    assert_eq!(own["context"], json!({"someKey": 1}));
    let counts = objects
        .iter()
        .find(|object| object["type"] == "counts")
        .unwrap();
    for name in [
        "dropped",
        "logNotKept",
        "replaysRefused",
        "lateResultsGivenUp",
        "repliesGone",
    ] {
        assert_eq!(counts[name], 0, "{name}: {counts}");
    }
    assert_eq!(counts["eventConnections"]["refused"], 0, "{counts}");
    // All of it was sent, but nothing else: the first heartbeat comes later, or not at all.
    let stopped = objects.last().unwrap();
    assert_eq!(stopped["type"], "stopped");
    assert!(stopped["sent"].as_u64() >= Some(11), "{stopped}");
}

#[test]
fn a_wrong_line_ends_a_script_unless_told_otherwise() {
    let home = Home::new();
    let app = ["app", "--event-port", "0", "--command-port", "0"];
    let lines = "app_launch\nfly away\ntunnelEnter\n";
    let done = Done::of(&mut home.device(&app), lines);
    let done = done.fails(2, "line 2: unknown event");
    assert!(!done.stdout.contains("tunnelEnter"), "{done:?}");
    let keep_going = [&app[..], &["--keep-going"]].concat();
    let done = Done::of(&mut home.device(&keep_going), lines);
    let done = done.fails(1, "1 line was wrong");
    assert!(done.stdout.contains("tunnelEnter"), "{done:?}");
    // That it stays, and a signal ends it, makes them no better.
    let mut staying = App::start(&home, &["--keep-going"]);
    staying.running.enter(lines);
    staying.running.err.with("line 2: unknown event");
    staying
        .running
        .out
        .object("published", |event| event["kind"] == "tunnelEnter");
    staying.running.signal("-TERM");
    staying.running.err.with("1 line was wrong");
    assert_eq!(staying.running.wait().code(), Some(1));
    // A context that does not fit is published, and told.
    let done = Done::of(&mut home.device(&app), "trialStarted {\"x\": 1}\n").succeeds();
    assert!(done.stderr.contains("warning"), "{done:?}");
}

#[test]
fn a_signal_ends_it_and_what_was_launched_terminates() {
    for signal in ["-INT", "-TERM"] {
        let home = Home::new();
        let mut app = App::start(&home, &[]);
        app.running.enter("app_launch\n");
        app.running
            .out
            .object("published", |event| event["kind"] == "applicationLaunched");
        app.running.signal(signal);
        app.running.out.object("published", |event| {
            event["kind"] == "applicationTerminating"
        });
        app.running
            .out
            .object("stopped", |stopped| stopped["sent"].as_u64() >= Some(2));
        assert_eq!(app.running.wait().code(), Some(0));
    }
}

#[test]
fn a_flag_goes_before_a_variable_and_that_before_the_file() {
    let home = Home::new();
    let rpc = json!({"rpc": {"identifier": "from-the-file", "subscriber_port": 1, "command_port": 1,
        "heartbeat_interval": 0.05}});
    let config = home.file("config.json", &rpc.to_string());
    let mut command = home.device(&["app", "--json", "--stay", "--command-port", "0"]);
    command
        .env("NODEWIRE_DEVICE_CONFIG", &config)
        .env("NODEWIRE_DEVICE_EVENT_PORT", "0")
        .env("NODEWIRE_DEVICE_COMMAND_PORT", "1")
        .env("NODEWIRE_DEVICE_LEVEL", "0.9.13");
    let app = Running::start(&mut command);
    let started = app.out.object("started", |_| true);
    assert_eq!(started["level"], "0.9.11");
    let port = started["eventAddresses"][0]
        .as_str()
        .unwrap()
        .rsplit_once(':')
        .unwrap()
        .1;
    let listen = ["listen", "--topic", "HEARTBEAT", "--count", "1", "--json"];
    let mut listen = home.device(&listen);
    listen
        .env("NODEWIRE_DEVICE_HOST", "127.0.0.1")
        .env("NODEWIRE_DEVICE_EVENT_PORT", port);
    let heartbeat = Done::of(&mut listen, "").succeeds();
    let heartbeat = heartbeat
        .objects()
        .into_iter()
        .find(|object| object["type"] == "heartbeat");
    let heartbeat = heartbeat.unwrap();
    assert_eq!(heartbeat["identifier"], "from-the-file");
    assert!(
        heartbeat["version"]
            .as_str()
            .unwrap()
            .starts_with("0.9.11+")
    );

    home.file("off.json", r#"{"rpc": {"enable": false}}"#);
    home.run(&["app", "--config", "off.json"])
        .fails(2, "wants no service");
    home.file("odd.json", r#"{"rpc": {"heartbeat_interval": -1}}"#);
    home.run(&["app", "--config", "odd.json"])
        .fails(2, "no time");
    home.file("bad.json", "{");
    home.run(&["app", "--config", "bad.json"])
        .fails(2, "bad.json");
    for list in [
        "[]",
        r#"{"rpc": []}"#,
        r#"{"rpc": 1}"#,
        r#"{"telemetry": [true]}"#,
    ] {
        home.file("list.json", list);
        for command in ["app", "replay"] {
            home.run(&[command, "--config", "list.json"])
                .fails(2, "no JSON object");
        }
    }
}

#[test]
fn answers_that_cannot_be_are_told_before_it_starts() {
    let home = Home::new();
    for (answers, told) in [
        (json!({"fly": {}}), "fly"),
        (json!({"GET_STATUS": ["SUCCESS"]}), "no JSON object"),
        (json!({"GET_STATUS": {"result": "MAYBE"}}), "MAYBE"),
        (json!({"GET_STATUS": {"reply": 1}}), "unknown field"),
        (json!({"custom x": {}}), "a number"),
        (
            json!({"-5": {}}),
            "no command has the number -5; USER_DEFINED answers all that have no name",
        ),
        (
            json!({"GET_STATUS": {"exec": "true", "timeout_s": -1}}),
            "timeout_s",
        ),
    ] {
        home.file("answers.json", &answers.to_string());
        home.run(&["app", "--answers", "answers.json"])
            .fails(2, told);
    }
}

#[test]
fn two_answers_for_one_command_are_refused() {
    let home = Home::new();
    for (answers, told) in [
        (
            r#"{"start": {"data": "A"}, "START_ACQUISITION": {"data": "B"}}"#,
            r#""start" and "START_ACQUISITION" are two answers for START_ACQUISITION"#,
        ),
        (
            r#"{"400": {}, "GET_STATUS": {}}"#,
            "two answers for GET_STATUS",
        ),
        (
            r#"{"get-st": {}, "status": {}}"#,
            "two answers for GET_STATUS",
        ),
        (
            r#"{"custom 7": {}, "custom 07": {}}"#,
            "two answers for custom 7",
        ),
        (
            r#"{"stop": {}, "stop": {}}"#,
            "two answers for STOP_ACQUISITION",
        ),
        (r#"{"*": {}, "stop": {}, "*": {}}"#, "two answers for *"),
    ] {
        home.file("answers.json", answers);
        home.run(&["app", "--answers", "answers.json"])
            .fails(2, told);
    }
    // A command of the application's own is not all of them.
    let each = r#"{"custom 7": {"data": 7}, "USER_DEFINED": {"data": 0}, "*": {"data": 1}}"#;
    home.file("answers.json", each);
    let app = App::start(&home, &["--answers", "answers.json"]);
    for (custom, data) in [("7", "7\n"), ("8", "0\n")] {
        let done = app.call(&home, &["--custom", custom]).succeeds();
        assert_eq!(done.stdout, data);
    }
    let unnamed = app.call(&home, &["--number", "-5"]).succeeds();
    assert_eq!(unnamed.stdout, "0\n");
}

#[test]
fn the_first_answer_that_cannot_be_is_told() {
    let home = Home::new();
    let answers = r#"{"fly": {}, "swim": {}, "run": {}, "GET_STATUS": {}, "400": {}}"#;
    home.file("answers.json", answers);
    let lists = r#"{"fly": [], "swim": [], "run": [], "GET_STATUS": [], "400": []}"#;
    home.file("lists.json", lists);
    for file in ["answers.json", "lists.json"] {
        for _ in 0..4 {
            home.run(&["app", "--answers", file])
                .fails(2, &format!("{file}: fly: "));
        }
    }
}

#[test]
fn a_port_that_is_taken_is_told() {
    let home = Home::new();
    let app = App::start(&home, &[]);
    let second = [
        "app",
        "--event-port",
        "0",
        "--command-port",
        &app.command_port,
    ];
    home.run(&second).fails(3, "in use");
}
