//! Registering, without a daemon.

use nodewire_testkit::{SdkVersion, python_server_folder};
use serde_json::Value;

use super::place::{Place, done};

/// An empty folder's server that needs nothing to be installed.
fn javascript(place: &Place) {
    nodewire_testkit::javascript_server_folder(&place.path("javascript")).unwrap();
}

#[test]
fn a_python_server_is_installed_and_registered_once() {
    let place = Place::new();
    python_server_folder(SdkVersion::V0_1_22, "old-python", &place.path("py")).unwrap();
    let first = done(&mut place.nanocore(&["register", "py"]));
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(
        first
            .stdout
            .starts_with("registered Python 0.1.22 (old-python)"),
        "{first:?}"
    );
    assert!(first.stderr.contains("SDK 0.1.22"), "{first:?}");
    assert!(
        !first.stderr.contains('\u{1b}'),
        "no colours when nobody looks: {first:?}"
    );
    assert!(place.path("py/venv/bin/python").exists());

    let again = place.done(&["register", "py", "--json"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    let last: Value = serde_json::from_str(again.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "registered");
    assert_eq!(last["entry"]["isNew"], false);
    assert_eq!(last["entry"]["assetRefs"], "uuid");

    let list = place.json(&["list", "--json"]);
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list[0]["sdkVersion"], "0.1.22");
    assert_eq!(list[0]["state"], Value::Null, "nobody runs it");
}

#[test]
fn a_failed_installation_registers_nothing() {
    let place = Place::new();
    python_server_folder(SdkVersion::V0_2_3, "broken", &place.path("py")).unwrap();
    place.file(
        "py/requirements.txt",
        "--no-index\nno-such-package-at-all==1\n",
    );
    let failed = place.done(&["register", "py"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(
        failed.stderr.contains("could not be installed"),
        "{failed:?}"
    );
    assert!(
        failed.stderr.contains("no-such-package-at-all"),
        "the installer's own words: {failed:?}"
    );
    assert_eq!(place.json(&["list", "--json"]), serde_json::json!([]));
}

#[test]
fn everything_wrong_with_a_folder_is_told_at_once() {
    let place = Place::new();
    place.file(
        "bad/nanoserver.json",
        r#"{"language": "cobol", "port": 99999, "serverUid": "x"}"#,
    );
    for command in ["register", "validate"] {
        let refused = place.done(&[command, "bad"]);
        assert_eq!(refused.code, Some(2), "{command}: {refused:?}");
        assert!(
            refused.stderr.contains("language") && refused.stderr.contains("port"),
            "{refused:?}"
        );
    }
    let refused = place.done(&["validate", "bad", "--json"]);
    let findings: Vec<Value> = refused
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        findings
            .iter()
            .any(|finding| finding["level"] == "error" && finding["key"] == "port"),
        "{refused:?}"
    );

    std::fs::create_dir(place.path("empty")).unwrap();
    let refused = place.done(&["register", "empty"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("no nanoserver.json"), "{refused:?}");
}

#[test]
fn a_folder_is_validated_without_being_touched() {
    let place = Place::new();
    javascript(&place);
    assert_eq!(
        place.succeed(&["validate", "javascript"]),
        "the server can be registered\n"
    );
    let here = done(
        place
            .nanocore(&["validate"])
            .current_dir(place.path("javascript")),
    );
    assert_eq!(here.stdout, "the server can be registered\n", "{here:?}");
    assert!(!place.path("data").exists());
}

#[test]
fn variables_and_entries_are_kept_until_they_are_taken_away() {
    let place = Place::with_server();
    place.succeed(&["env", "counting-server-package", "HF_HOME", "/models"]);
    place.succeed(&["env", "javascript", "EMPTY", ""]);
    assert_eq!(
        place.succeed(&["env", "counting-server", "HF_HOME"]),
        "/models\n"
    );
    assert_eq!(
        place.succeed(&["env", "Counting Server"]),
        "EMPTY=\nHF_HOME=/models\n"
    );
    place.succeed(&["register", "javascript"]);
    assert_eq!(
        place.json(&["env", "counting-server", "--json"])["HF_HOME"],
        "/models"
    );
    place.succeed(&["env", "counting-server", "EMPTY", "--unset"]);
    let missing = place.done(&["env", "counting-server", "EMPTY"]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
    for (name, message) in [
        ("A=B", "no name of a variable"),
        ("A B", "no name of a variable"),
        ("PORT", "set by the daemon"),
        ("NANOCORE_TOKEN", "set by the daemon"),
    ] {
        let wrong = place.done(&["env", "counting-server", name, "5"]);
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
        assert!(wrong.stderr.contains(message), "{wrong:?}");
    }
    assert_eq!(
        place.json(&["env", "counting-server", "--json"]),
        serde_json::json!({"HF_HOME": "/models"}),
        "what is refused is not kept"
    );

    let removed = place.json(&["unregister", "javascript", "--json"]);
    assert_eq!(removed["serverUid"], "counting-server");
    assert!(place.path("javascript/nanoserver.json").exists());
    let again = place.done(&["unregister", "javascript"]);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("no registered server"), "{again:?}");
}
