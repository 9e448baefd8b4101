//! Services on NATS: registered, and found on the daemon's own broker.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::place::{Place, Running, until};

fn serve(place: &Place, url: &str) -> Running {
    let arguments = [
        "micro",
        "serve",
        "workers",
        "--command",
        "cat",
        "--server",
        url,
    ];
    Running::with_lines(place.nodewire(&arguments)).0
}

#[test]
fn a_service_is_registered_and_its_instances_are_counted() {
    let place = Place::new();
    let first = place.succeed(&["register", "--nats", "workers"]);
    assert_eq!(
        first,
        "registered workers (nats-workers) on the daemon's NATS; start its instances yourself\n"
    );
    let list = place.succeed(&["list"]);
    assert!(list.contains("NATS workers"), "{list}");
    let daemon = place.up();
    let status = place.json(&["status", "--json"]);
    let url = status["info"]["nats"]["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("nats://127.0.0.1:"), "{url}");
    assert_eq!(status["info"]["nats"]["embedded"], true);

    let file = place.path("data/nats-url");
    until("the address is kept", || file.exists());
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let with_password = std::fs::read_to_string(&file).unwrap();
    let (user, host) = with_password.trim().rsplit_once('@').unwrap();
    assert_eq!(url, format!("nats://{host}"));
    let password = user.rsplit(':').next().unwrap();

    let _one = serve(&place, with_password.trim());
    let _two = serve(&place, with_password.trim());
    let instances = |number: u64| {
        let server = place.server("nats-workers");
        server["state"] == "ready" && server["nats"]["instances"] == number
    };
    until("both instances are found", || instances(2));
    let shown = place.done(&["status"]);
    assert!(
        shown.stdout.contains(&format!("NATS at {url} (embedded")),
        "{shown:?}"
    );
    assert!(
        shown.stderr.contains("NATS workers, 2 instances"),
        "{shown:?}"
    );
    assert!(
        shown.stderr.contains("none of its endpoints is a node"),
        "{shown:?}"
    );
    let doctor = place.done(&["doctor"]);
    assert!(
        doctor.stdout.contains("NATS workers, 2 instances"),
        "{doctor:?}"
    );
    for told in [&shown.stdout, &shown.stderr, &doctor.stdout, &daemon.log()] {
        assert!(!told.contains(password), "a password in {told}");
    }
    place.succeed(&["down"]);
    assert!(daemon.ended().success());
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept, with_password, "it is that of the next start");
}

#[test]
fn without_a_nats_a_service_needs_an_address() {
    let place = Place::new();
    for (arguments, told) in [
        (&["register", "--nats", "a.b"][..], "letters, digits"),
        (
            &["register", "--nats", "a", "--nats-url", "ws://h"],
            "nats:// or tls://",
        ),
        (&["register", "--nats-url", "nats://h"], "--nats"),
        (&["up", "--nats", "http://h"], "embedded, off or an address"),
    ] {
        let refused = place.done(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {refused:?}");
        assert!(refused.stderr.contains(told), "{arguments:?}: {refused:?}");
    }
    place.succeed(&["register", "--nats", "workers"]);
    let _daemon = place.up_as(place.nodewire(&["up", "--bind", "127.0.0.1:0", "--nats", "off"]));
    place.until_state("nats-workers", "failed");
    let server = place.server("nats-workers");
    let message = server["lastError"]["message"].as_str().unwrap();
    assert!(
        message.contains("the daemon has no NATS of its own"),
        "{message}"
    );
    let status = place.json(&["status", "--json"]);
    assert_eq!(status["info"]["nats"], Value::Null);

    let url = "nats://user:secret@127.0.0.1:9";
    let again = place.succeed(&["register", "--nats", "workers", "--nats-url", url]);
    assert!(
        again.contains("registered again") && !again.contains("secret"),
        "{again}"
    );
    let list = place.succeed(&["list", "--json"]);
    assert!(
        list.contains("nats://127.0.0.1:9") && !list.contains("secret"),
        "{list}"
    );
    until("the new address is tried", || {
        let server = place.server("nats-workers");
        let message = server["lastError"]["message"].as_str().unwrap_or_default();
        message.contains("cannot connect to nats://127.0.0.1:9")
    });
}

#[test]
fn an_entry_with_a_path_and_an_address_fails_alone() {
    let place = Place::with_server();
    let file = place.path("data/nodeservers.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let mut entries: Vec<Value> = serde_json::from_str(&text).unwrap();
    entries.push(
        serde_json::json!({"serverUid": "both", "path": "/srv/x", "url": "ws://127.0.0.1:9"}),
    );
    std::fs::write(&file, Value::from(entries).to_string()).unwrap();
    let _daemon = place.up();
    place.until_state("counting-server", "ready");
    place.until_state("both", "failed");
    let doctor = place.done(&["doctor"]);
    assert!(
        doctor.stdout.contains("\"url\" beside a \"path\""),
        "{doctor:?}"
    );
}
