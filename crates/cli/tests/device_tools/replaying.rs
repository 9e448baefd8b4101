//! What a device keeps: `app --events-db`, `replay`, `listen --since`.

use nodewire_testkit::AutotrainerVersion;
use serde_json::{Value, json};

use crate::support::{App, Done, Home, NOBODY, Running, to_python};

const LEVEL: [&str; 2] = ["--level", "0.12.0"];

fn sequences(objects: &[Value]) -> Vec<u64> {
    let events = objects.iter().filter(|object| object["type"] == "event");
    events
        .map(|event| event["sequence"].as_u64().unwrap())
        .collect()
}

fn keeping(home: &Home) -> App {
    App::start(home, &["--events-db", "events.db"])
}

#[test]
fn what_was_published_while_nobody_listened_is_replayed_after_a_restart_too() {
    let home = Home::new();
    let mut app = keeping(&home);
    app.running
        .enter("app_launch\nrepeat 3 every 1 tunnelEnter\nstop the door\n");
    app.running.out.object("published", |event| {
        event["kind"] == "emergencyStop" && event["topic"] == "EVENT"
    });
    app.running.signal("-TERM");
    app.running.out.object("stopped", |_| true);
    drop(app);

    let mut app = keeping(&home);
    app.running.enter("tunnelExit\n");
    app.running
        .out
        .object("published", |event| event["kind"] == "tunnelExit");
    let replay = |arguments: &[&str]| {
        let arguments = [&["replay", "--json"], arguments, &LEVEL[..]].concat();
        Done::of(&mut app.to(&home, &arguments), "")
            .succeeds()
            .objects()
    };
    // What is published is kept a moment later.
    let mut all = replay(&[]);
    while sequences(&all).last().is_none_or(|last| *last < 7) {
        all = replay(&[]);
    }
    // With what was published at the end; an emergency once.
    assert_eq!(sequences(&all), [1, 2, 3, 4, 5, 6, 7]);
    let kinds: Vec<_> = all
        .iter()
        .filter_map(|object| object["kind"].as_str())
        .collect();
    assert_eq!(kinds[0], "applicationLaunched");
    assert_eq!(
        kinds[4..],
        ["emergencyStop", "applicationTerminating", "tunnelExit"]
    );
    let position = all.last().unwrap();
    assert_eq!(
        (&position["type"], &position["after"]),
        (&json!("position"), &json!(7))
    );
    assert_eq!(sequences(&replay(&["--after", "5"])), [6, 7]);
    assert_eq!(
        sequences(&replay(&["--kind", "tunnelEnter", "--count", "2"])),
        [2, 3]
    );
    let other_log = ["--after", "5", "--log-id", "of another"];
    assert_eq!(sequences(&replay(&other_log)), [1, 2, 3, 4, 5, 6, 7]);

    let text = Done::of(
        &mut app.to(&home, &[&["replay", "--after", "6"], &LEVEL[..]].concat()),
        "",
    );
    assert!(text.stdout.starts_with("7 "), "{text:?}");
    let second = [
        "app",
        "--events-db",
        "events.db",
        "--event-port",
        "0",
        "--command-port",
        "0",
    ];
    home.run(&second).fails(3, "running");
}

#[test]
fn listening_begins_with_what_was_missed() {
    let home = Home::new();
    let mut app = keeping(&home);
    app.running.enter("repeat 3 every 1 tunnelEnter\n");
    for _ in 0..3 {
        app.running.out.object("published", |_| true);
    }
    let listen = ["listen", "--json", "--topic", "EVENT", "--since", "1"];
    let listening = Running::start(&mut app.to(&home, &listen));
    for sequence in [2, 3] {
        let event = listening.out.object("event", |_| true);
        assert_eq!(event["sequence"], sequence);
    }
    // And goes on with what comes.
    app.running.enter("tunnelExit\n");
    let event = listening.out.object("event", |_| true);
    assert_eq!(
        (&event["kind"], &event["sequence"]),
        (&json!("tunnelExit"), &json!(4))
    );
    listening.signal("-TERM");
    let position = listening.out.object("position", |_| true);
    assert_eq!(position["sequence"], 4);
    assert_eq!(listening.wait().code(), Some(0));

    app.running.enter("tunnelEnter\n");
    let since = format!("{}:4", position["logId"].as_str().unwrap());
    let listen = [
        "listen", "--json", "--topic", "EVENT", "--count", "1", "--since", &since,
    ];
    let objects = Done::of(&mut app.to(&home, &listen), "")
        .succeeds()
        .objects();
    assert_eq!(sequences(&objects), [5]);
    home.run(&["listen", "--since", "then"]).fails(2, "oldest");
}

#[test]
fn a_device_that_keeps_nothing_says_so() {
    let home = Home::new();
    let app = App::start(&home, &["--no-sequence"]);
    for arguments in [&["replay"][..], &["listen", "--since", "oldest"]] {
        Done::of(&mut app.to(&home, arguments), "").fails(1, "keeps no events");
        for version in AutotrainerVersion::ALL {
            let mut service = home.python(version, 3600.0);
            Done::of(&mut to_python(&home, &service, arguments), "").fails(1, "keeps no events");
            home.runtime.block_on(service.stop()).unwrap();
        }
        let nobody = ["--timeout", "0.2", "--command-port", NOBODY];
        home.run(&[arguments, &nobody].concat())
            .fails(3, "cannot be reached");
    }
}

#[test]
fn a_device_that_refuses_for_now_is_asked_again_until_the_time_is_over() {
    let home = Home::new();
    let refuses = json!({"*": {"result": "UNAVAILABLE", "error_message": "Too many replays"}});
    home.file("busy.json", &refuses.to_string());
    let unreadable = json!({"*": {"result": "FAILED", "error_code": 1, "error_message": "No log"}});
    home.file("unreadable.json", &unreadable.to_string());
    for (answers, why) in [
        ("busy.json", "Too many replays"),
        ("unreadable.json", "No log"),
    ] {
        let app = App::start(&home, &["--answers", answers]);
        let place = ["--command-port", &app.command_port, "--timeout", "3"];
        let replay = [&["replay"], &place[..], &LEVEL].concat();
        home.run(&replay).fails(3, why);
    }

    let page =
        r#"{"logId": "a", "first": 1, "last": 0, "next": 0, "isComplete": true, "events": []}"#;
    home.file("page.json", page);
    let later = "if [ -e asked ]; then cat page.json; else touch asked; exit 1; fi";
    let later = json!({"*": {"exec": later, "verbatim": true}});
    home.file("later.json", &later.to_string());
    let app = App::start(&home, &["--answers", "later.json", "--deadline", "30"]);
    let replay = [&["replay", "--json"], &LEVEL[..]].concat();
    let objects = Done::of(&mut app.to(&home, &replay), "")
        .succeeds()
        .objects();
    assert_eq!(objects.last().unwrap()["logId"], "a", "{objects:?}");
}
