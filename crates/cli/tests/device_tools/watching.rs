//! `nodewire device watch` without a terminal.

use nodewire_testkit::AutotrainerVersion;
use serde_json::json;

use crate::support::{App, Done, Home, NOBODY, Running, to_python};

#[test]
fn once_says_whether_the_device_is_there() {
    let home = Home::new();
    let app = App::start(&home, &[]);
    let state = Done::of(&mut app.to(&home, &["watch", "--once", "--json"]), "").succeeds();
    let state = state.objects().remove(0);
    assert_eq!(
        (&state["there"], &state["trainingMode"]),
        (&json!(true), &json!("MANUAL"))
    );
    let text = Done::of(&mut app.to(&home, &["watch", "--once"]), "").succeeds();
    assert!(
        text.stdout.contains("mode IDLE, training MANUAL"),
        "{text:?}"
    );
    assert!(!text.stdout.contains('\u{1b}'), "{text:?}");

    let watch = [
        "watch",
        "--once",
        "--json",
        "--timeout",
        "0.2",
        "--command-port",
        NOBODY,
    ];
    let state = home.run(&watch).fails(3, "not there").objects().remove(0);
    assert_eq!(state["there"], false);
    let watch = [
        "watch",
        "--for",
        "0.2",
        "--timeout",
        "0.1",
        "--command-port",
        NOBODY,
        "--event-port",
        NOBODY,
    ];
    home.run(&watch).fails(3, "not there");
}

#[test]
fn every_change_is_an_object() {
    let home = Home::new();
    let mut app = App::start(&home, &["--heartbeat-interval", "0.05"]);
    let watch = Running::start(&mut app.to(&home, &["watch"]));
    watch.out.object("state", |state| {
        state["services"][0]["presence"] == "present"
    });
    // Only now is it certain that it has subscribed.
    app.running.enter(
        "detectorChanged {\"detector_id\": 101, \"is_active\": true, \"is_enabled\": true}\n",
    );
    app.running
        .enter("alarmChanged {\"alarm_id\": 301, \"is_active\": true, \"is_enabled\": false}\n");
    app.running
        .enter("applicationModeChanged {\"mode\": 300}\n");
    let state = watch
        .out
        .object("state", |state| state["applicationMode"] == "IN_TRAINING");
    let alarm =
        json!([{"alarm": "thrashing", "alarmId": 301, "isActive": true, "isEnabled": false}]);
    assert_eq!(state["alarms"], alarm);
    assert_eq!(state["detectors"][0]["detector"], "frontDoor");
    assert_eq!(state["lastEvent"]["kind"], "applicationModeChanged");
    drop(app);
    let state = watch
        .out
        .object("state", |state| state["services"][0]["presence"] == "gone");
    assert_eq!(
        (&state["there"], &state["commandsConnected"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(watch.stop("-INT").code(), Some(3));
}

#[test]
fn devices_of_both_releases_are_watched() {
    for version in AutotrainerVersion::ALL {
        let home = Home::new();
        let mut service = home.python(version, 1.0);
        let watch = Running::start(&mut to_python(&home, &service, &["watch", "--json"]));
        let state = watch
            .out
            .object("state", |state| state["services"][0].is_object());
        assert_eq!(state["services"][0]["version"], version.as_str());
        let alarm = json!({"kind": 6501, "index": 5,
            "context": {"alarm_id": 301, "is_active": true, "is_enabled": true}});
        home.runtime.block_on(service.publish(alarm)).unwrap();
        watch
            .out
            .object("state", |state| state["alarms"][0]["alarm"] == "thrashing");
        assert_eq!(watch.stop("-TERM").code(), Some(0));
        home.runtime.block_on(service.stop()).unwrap();
    }
}
