//! A bucket for assets that cannot be used: told when the daemon starts, by `status`, by `doctor`, and to who uploads.

use serde_json::Value;

use super::place::{Place, until};

const CONFIG: &str =
    r#"{"s3": {"bucket": "assets", "endpoint": "http://127.0.0.1:1", "accessKeyId": "AKID"}}"#;

/// What the doctor found about the object store.
fn checked(place: &Place) -> Value {
    let done = place.done(&["doctor", "--json"]);
    let findings: Value = serde_json::from_str(&done.stdout).expect(&done.stderr);
    let findings = findings.as_array().unwrap().iter();
    let mut found = findings.filter(|finding| finding["check"] == "object store");
    found.next().cloned().unwrap_or_default()
}

#[test]
fn a_bucket_without_keys_is_told_before_anybody_uploads() {
    let place = Place::new();
    assert_eq!(checked(&place), Value::Null, "none is set");
    place.file("data/config.json", CONFIG);
    let alone = checked(&place);
    assert_eq!(alone["level"], "error", "{alone}");
    let message = alone["message"].as_str().unwrap();
    assert!(message.contains("AWS_SECRET_ACCESS_KEY"), "{message}");

    let daemon = place.up();
    until("the daemon's log says so", || {
        daemon
            .log()
            .contains("assets can be neither stored nor read")
    });
    assert!(daemon.log().contains("AWS_SECRET_ACCESS_KEY"));
    let status = place.done(&["status"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(
        status.stderr.contains("AWS_SECRET_ACCESS_KEY"),
        "{status:?}"
    );
    let json = place.json(&["status", "--json"]);
    let store = &json["info"]["assetStore"];
    assert_eq!(store["problem"]["failure"], "no_keys", "{json}");
    let live = checked(&place);
    assert_eq!(
        (&live["level"], &live["message"]),
        (&alone["level"], &alone["message"])
    );

    let file = place.file("a.txt", "a");
    let refused = place.done(&["assets", "put", &file]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("AWS_SECRET_ACCESS_KEY"),
        "{refused:?}"
    );
    assert!(
        !refused.stderr.contains("{\"error\""),
        "in words, not as JSON: {refused:?}"
    );
}

#[test]
fn a_bucket_that_does_not_answer_is_told_with_the_keys_that_there_are() {
    let place = Place::new();
    place.file("data/config.json", CONFIG);
    let done = super::place::done(
        place
            .nodewire(&["doctor"])
            .env("AWS_SECRET_ACCESS_KEY", "s3cr3t"),
    );
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stdout
            .contains("error object store: the object store for assets does not answer"),
        "{done:?}"
    );
    assert!(!done.stdout.contains("s3cr3t"), "{done:?}");
}
