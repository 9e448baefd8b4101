//! `nodewire device listen`.

use nodewire_testkit::AutotrainerVersion;
use serde_json::json;

use crate::support::{App, Done, Home, NOBODY, Running, to_python};

#[test]
fn events_are_printed_as_they_come() {
    let home = Home::new();
    let mut app = App::start(&home, &["--heartbeat-interval", "0.05"]);
    let listen = ["listen", "--kind", "tunnelE", "--count", "3"];
    let mut listening = Running::start(&mut app.to(&home, &listen));
    // As long as it takes until it has subscribed.
    app.running
        .enter("repeat 100000 every 5 tunnelEnter {\"text\": \"\u{9b}31m\"}\n");
    for _ in 0..3 {
        let line = listening.out.with("tunnelEnter (1101)");
        assert!(line.ends_with("{\"text\": \"\u{fffd}31m\"}"), "{line}");
    }
    assert_eq!(listening.wait().code(), Some(0));

    let listen = ["listen", "--count", "1", "--json", "--topic", "EVENT"];
    let done = Done::of(&mut app.to(&home, &listen), "").succeeds();
    let objects = done.objects();
    let event = objects
        .iter()
        .find(|object| object["type"] == "event")
        .unwrap();
    assert_eq!(
        (&event["kind"], &event["topic"]),
        (&json!("tunnelEnter"), &json!("EVENT"))
    );
    assert!(event["index"].is_u64() && event["when"].is_f64());
    listening = Running::start(&mut app.to(&home, &["listen", "--topic", "1001"]));
    listening.out.with("heartbeat of autotrainer-device");
    // Ended by a signal, which is how it ends when nothing else was said.
    assert_eq!(listening.stop("-INT").code(), Some(0));
}

#[test]
fn what_only_shows_ends_when_nobody_reads_it() {
    let home = Home::new();
    let app = App::start(&home, &["--heartbeat-interval", "0.05"]);
    for arguments in [&["listen", "--topic", "1001"][..], &["watch", "--json"]] {
        let ended = nodewire_testkit::status_without_reader(&mut app.to(&home, arguments));
        assert_eq!(ended.unwrap(), Some(0), "{arguments:?}");
    }
}

#[test]
fn what_has_no_name_has_a_number_a_negative_one_too() {
    let home = Home::new();
    let mut app = App::start(&home, &["--events-db", "events.db"]);
    app.running.enter("app_launch\n-5\n-6\n");
    for command in ["listen", "replay"] {
        let kept = match command {
            "listen" => &["--since", "oldest"][..],
            _ => &["--level", "0.12.0"],
        };
        let arguments = [command, "--count", "1", "--json", "--kind", "-5"];
        let command = || Done::of(&mut app.to(&home, &[&arguments, kept].concat()), "").succeeds();
        let kind_of = |done: Done| {
            let objects = done.objects();
            let event = objects.iter().find(|object| object["type"] == "event");
            event.map(|event| event["kindNumber"].clone())
        };
        // What is published is kept a moment later.
        let kind = std::iter::repeat_with(command).find_map(kind_of);
        assert_eq!(kind, Some(json!(-5)));
    }
}

#[test]
fn exit_statuses() {
    let home = Home::new();
    home.run(&["listen", "--for", "0.2", "--event-port", NOBODY])
        .fails(3, "not reached");
    let app = App::start(&home, &["--heartbeat-interval", "3600"]);
    let listen = |arguments: &[&str]| app.to(&home, &[&["listen"], arguments].concat());
    // A heartbeat comes after an hour. How long a connection takes is not for us to say.
    let waiting = Running::start(&mut listen(&["--count", "1"]));
    waiting.err.with("connected: events");
    assert_eq!(waiting.stop("-TERM").code(), Some(130));
    let waited = Running::start(&mut listen(&["--json"]));
    waited.out.object("connected", |_| true);
    assert_eq!(waited.stop("-TERM").code(), Some(0));
    loop {
        let done = Done::of(&mut listen(&["--count", "1", "--for", "1"]), "");
        // A machine so busy that there was no connection within that second.
        if done.code != Some(3) {
            done.fails(1, "0 of 1 messages");
            break;
        }
    }
}

#[test]
fn devices_of_both_releases_are_heard_with_their_anomalies() {
    for version in AutotrainerVersion::ALL {
        let home = Home::new();
        let mut service = home.python(version, 1.0);
        let listening = Running::start(&mut to_python(&home, &service, &["listen", "--json"]));
        let heartbeat = listening.out.object("heartbeat", |_| true);
        assert_eq!(heartbeat["version"], version.as_str());
        let stop =
            json!({"kind": 101, "when": 1.5, "index": 7, "context": {"reason": "Door open"}});
        home.runtime.block_on(service.publish(stop)).unwrap();
        let event = listening
            .out
            .object("event", |event| event["kind"] == "emergencyStop");
        assert_eq!(event["context"]["reason"], "Door open");
        assert_eq!(event["index"], 7);
        if version == AutotrainerVersion::V0_9_11 {
            // What cannot be serialized leaves its topic behind (Q3).
            let unserializable = json!({"kind": 201, "context": {"values": {"$set": [1]}}});
            home.runtime
                .block_on(service.publish(unserializable))
                .unwrap();
            let next = json!({"kind": 202, "index": 8});
            home.runtime.block_on(service.publish(next)).unwrap();
            let anomaly = listening.out.object("anomaly", |_| true);
            assert_eq!(anomaly["reason"], "SurplusFrames");
        }
        assert_eq!(listening.stop("-TERM").code(), Some(0));
        let _ = home.runtime.block_on(service.stop());
    }
}

#[test]
fn a_level_that_is_given_goes_before_what_heartbeats_tell() {
    let home = Home::new();
    let mut app = App::start(&home, &["--level", "0.12.0"]);
    let listen = ["listen", "--level", "0.9.11", "--kind", "301", "--json"];
    let listening = Running::start(&mut app.to(&home, &listen));
    app.running
        .enter("repeat 100000 every 5 applicationModeChanged\n");
    let event = listening.out.object("event", |_| true);
    assert_eq!(event["kind"], "acquisitionStarted");
    assert_eq!(listening.stop("-TERM").code(), Some(0));
}
