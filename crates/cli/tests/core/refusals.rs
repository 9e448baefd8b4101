//! What does not work, and the exit status that says so.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::place::{Place, done};

#[test]
fn without_a_daemon_what_needs_one_is_status_3() {
    let place = Place::with_server();
    let graph = place.file("graph.json", r#"{"nodes": [], "links": []}"#);
    let commands: [&[&str]; 9] = [
        &["status"],
        &["start"],
        &["stop", "counting-server"],
        &["logs", "counting-server"],
        &["down"],
        &["nodes"],
        &["runs", "ls"],
        &["assets", "ls"],
        &["run", &graph, "--daemon"],
    ];
    for arguments in commands {
        let refused = place.done(arguments);
        assert_eq!(refused.code, Some(3), "{arguments:?}: {refused:?}");
        assert!(refused.stderr.contains("nodewire up"), "{refused:?}");
    }
    // Somewhere where nobody listens.
    let refused = place.done(&["status", "--url", "http://127.0.0.1:1", "--token", "x"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("http://127.0.0.1:1"), "{refused:?}");
    // The list is that of the registry.
    assert!(place.succeed(&["list"]).contains("counting-server"));
}

#[test]
fn wrong_usage_is_status_2() {
    let place = Place::new();
    let graph = place.file("graph.json", r#"{"nodes": [], "links": []}"#);
    let commands: [(&[&str], &str); 7] = [
        (&["logs"], "NAME"),
        (&["runs"], "ls"),
        (&["env", "x", "--unset"], "KEY"),
        (&["queue", "--clear", "--delete", "x"], "--delete"),
        (&["run", &graph, "--durable"], "--durable needs --daemon"),
        (&["status", "--url", "no address"], "no address"),
        (&["up", "--bind", "nowhere"], "--bind"),
    ];
    for (arguments, message) in commands {
        let refused = place.done(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {refused:?}");
        assert!(
            refused.stderr.contains(message),
            "{arguments:?}: {refused:?}"
        );
    }
    place.file("data/config.json", r#"{"bnid": "127.0.0.1:0"}"#);
    for arguments in [&["up"][..], &["status"]] {
        let refused = place.done(arguments);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(
            refused.stderr.contains("config.json") && refused.stderr.contains("bnid"),
            "{refused:?}"
        );
    }
}

#[test]
fn wrong_settings_are_told_before_anything_starts() {
    let place = Place::new();
    let config = |text: &str, arguments: &[&str], message: &str| {
        place.file("data/config.json", text);
        let refused = place.done(arguments);
        assert_eq!(refused.code, Some(2), "{text}: {refused:?}");
        assert!(
            refused.stderr.contains("config.json") && refused.stderr.contains(message),
            "{text}: {refused:?}"
        );
    };
    config("[]", &["status"], "must be an object");
    config("\"text\"", &["up"], "it is a text");
    let level = r#"{"serverLogLevel": "loud"}"#;
    config(level, &["up"], "\"loud\" is no level");
    let python = r#"{"python": "/nowhere/python"}"#;
    config(python, &["up"], "no program /nowhere/python");
    let ill = place.done(&["doctor"]);
    assert!(
        ill.stdout.contains("error python in config.json: "),
        "{ill:?}"
    );
    place.file("data/config.json", "{}");
    let flags: [(&[&str], &str); 2] = [
        (&["up", "--server-log-level", "loud"], "--server-log-level"),
        (&["up", "--python", "/nowhere/python"], "--python"),
    ];
    for (arguments, flag) in flags {
        let refused = place.done(arguments);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains(flag), "{refused:?}");
    }
}

#[test]
fn a_broken_registry_is_status_2_wherever_it_is_found() {
    let place = Place::with_server();
    let registry = place.path("data/nodeservers.json");
    for broken in [&b"[{"[..], b"[\xff]", b"{}"] {
        std::fs::write(&registry, broken).unwrap();
        let commands: [&[&str]; 7] = [
            &["up", "--bind", "127.0.0.1:0"],
            &["list"],
            &["env", "counting-server"],
            &["disable", "counting-server"],
            &["unregister", "counting-server"],
            &["register", "javascript"],
            &["register", "--nats", "greeter"],
        ];
        for arguments in commands {
            let refused = place.done(arguments);
            assert_eq!(refused.code, Some(2), "{arguments:?}: {refused:?}");
            assert!(
                refused.stderr.contains("nodeservers.json"),
                "{arguments:?}: {refused:?}"
            );
        }
        assert_eq!(std::fs::read(&registry).unwrap(), broken);
    }
}

/// Answers all requests like this; its address.
fn answering(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .for_each(drop);
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            // A client that has gone wants no answer.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn something_else_than_a_daemon_is_told_as_that() {
    let place = Place::new();
    for (status, body) in [
        ("200 OK", "<html>a page</html>"),
        ("200 OK", "{}"),
        ("404 Not Found", "<html>nothing</html>"),
        ("502 Bad Gateway", ""),
    ] {
        let url = answering(status, body);
        let refused = place.done(&["status", "--url", &url, "--token", "x"]);
        assert_eq!(refused.code, Some(3), "{status} {body}: {refused:?}");
        let message = format!("no daemon of nodewire answers at {url}: ");
        assert!(
            refused.stderr.contains(&message) && refused.stderr.contains("check --url"),
            "{status} {body}: {refused:?}"
        );
        assert!(!refused.stderr.contains("html"), "{refused:?}");
    }
}

#[test]
fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let place = Place::with_server();
    let healthy = place.json(&["doctor", "--json"]);
    let of = |findings: &Value, check: &str| {
        let found = findings
            .as_array()
            .unwrap()
            .iter()
            .find(|finding| finding["check"] == check);
        found
            .unwrap_or_else(|| panic!("no {check} in {findings}"))
            .clone()
    };
    assert_eq!(of(&healthy, "data folder")["level"], "ok");
    assert_eq!(of(&healthy, "registry")["level"], "ok");
    assert_eq!(of(&healthy, "daemon")["level"], "warning");
    for tool in ["python3", "node", "npm", "cargo"] {
        assert_eq!(of(&healthy, tool)["level"], "ok", "{healthy}");
    }

    let token = place.file("data/token", "secret");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::remove_file(place.path("javascript/nanoserver.json")).unwrap();
    let ill = place.done(&["doctor"]);
    assert_eq!(ill.code, Some(1), "{ill:?}");
    assert!(
        ill.stdout.contains("error token: others can read"),
        "{ill:?}"
    );
    assert!(
        ill.stdout.contains("error folder of Counting Server: "),
        "{ill:?}"
    );
    assert!(
        ill.stdout.contains("chmod 600") && ill.stdout.contains("unregister"),
        "{ill:?}"
    );
    assert!(ill.stderr.contains("2 errors"), "{ill:?}");

    place.file("data/nodeservers.json", "[{\"serverUid\": 5}]");
    let ill = place.done(&["doctor", "--json"]);
    let findings: Value = serde_json::from_str(&ill.stdout).unwrap();
    assert_eq!(of(&findings, "registry")["level"], "error");
}

#[test]
fn completions_know_the_commands_of_both_programs() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let nodewire = place.succeed(&["completions", shell]);
        for command in ["register", "unregister", "restart", "doctor", "rerun", "up"] {
            assert!(nodewire.contains(command), "{shell}: {command}");
        }
        let nanocore = done(&mut place.nanocore(&["completions", shell]));
        assert_eq!(nanocore.code, Some(0), "{nanocore:?}");
        assert!(
            nanocore.stdout.contains("nanocore") && !nanocore.stdout.contains("nnrp"),
            "{shell}"
        );
    }
}

#[test]
fn nanocore_has_the_commands_its_users_know() {
    let place = Place::new();
    let help = done(&mut place.nanocore(&["--help"]));
    for command in [
        "register",
        "start",
        "unregister",
        "list",
        "status",
        "validate",
        "env",
        "run",
        "nodes",
        "logs",
        "restart",
        "assets",
    ] {
        assert!(
            help.stdout.contains(&format!("\n  {command} ")),
            "{command}: {}",
            help.stdout
        );
    }
    let start = done(&mut place.nanocore(&["start", "--help"]));
    assert!(
        start.stdout.contains("--paths") && start.stdout.contains("config.json"),
        "{start:?}"
    );
    let refused = done(&mut place.nanocore(&["status"]));
    assert_eq!(refused.code, Some(3), "{refused:?}");
}
