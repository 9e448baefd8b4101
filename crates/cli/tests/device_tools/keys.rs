//! `nodewire device keys`, and what keys are for.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::support::{App, Done, Home, NOBODY};

fn generate(home: &Home, file: &str) -> String {
    let done = home.run(&["keys", "generate", file]).succeeds();
    done.stdout.trim().to_owned()
}

#[test]
fn keys_are_private_and_never_overwritten() {
    let home = Home::new();
    let public = generate(&home, "one.key");
    let path = home.path().join("one.key");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let shown = home.run(&["keys", "public", "one.key"]).succeeds();
    assert_eq!(shown.stdout.trim(), public);
    let text = std::fs::read_to_string(&path).unwrap();
    home.run(&["keys", "generate", "one.key"])
        .fails(1, "never overwritten");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let secret = text.split("secret-key = \"").nth(1).unwrap();
    let secret = secret.trim_end().trim_end_matches('"');
    assert_eq!(secret.len(), 40);
    let app = [
        "app",
        "--event-port",
        "0",
        "--command-port",
        "0",
        "--curve-key-file",
        "one.key",
        "--curve-allow-any",
    ];
    let done = home.run(&app).fails(2, "chmod 600");
    assert!(!done.stdout.contains(secret) && !done.stderr.contains(secret));
    home.run(&["keys", "public", "missing.key"])
        .fails(2, "missing.key");
}

/// Z85 has a hyphen among its characters, so that one key in 85 looks like a flag.
#[test]
fn a_key_may_begin_with_a_hyphen() {
    let home = Home::new();
    let key = format!("-w{}", "0".repeat(38));
    let nobody = ["--event-port", NOBODY, "--command-port", NOBODY];
    let by_key = ["--timeout", "0.2", "--curve-server-key", &key];
    home.run(&[&["call", "status"][..], &nobody, &by_key].concat())
        .fails(3, "cannot be reached");
    let without = ["call", "status", "--curve-server-key", "--json"];
    home.run(&without).fails(2, "no public key");
}

#[test]
fn only_listed_clients_are_admitted() {
    let home = Home::new();
    let server = generate(&home, "server.key");
    let office = generate(&home, "office.key");
    generate(&home, "stranger.key");
    home.file("clients", &format!("# who may\n{office} the office\n"));
    let arguments = [
        "--curve-key-file",
        "server.key",
        "--curve-allow",
        "clients",
        "-vv",
    ];
    let app = App::start(&home, &arguments);
    let call = |arguments: &[&str]| {
        let arguments = [&["call", "status", "-vv"], arguments].concat();
        Done::of(&mut app.to(&home, &arguments), "")
    };
    let admitted = call(&[
        "--curve-server-key",
        &server,
        "--curve-key-file",
        "office.key",
    ])
    .succeeds();
    let secret = std::fs::read_to_string(home.path().join("office.key")).unwrap();
    let secret = secret
        .split("secret-key = \"")
        .nth(1)
        .unwrap()
        .trim_end()
        .trim_end_matches('"');
    assert!(!admitted.stdout.contains(secret) && !admitted.stderr.contains(secret));
    // The file of the device's keys will do for its public one, too.
    let by_file = [
        "listen",
        "--topic",
        "EVENT",
        "--curve-server-key",
        "server.key",
        "--curve-key-file",
        "office.key",
        "--for",
        "0.01",
    ];
    let _ = Done::of(&mut app.to(&home, &by_file), "");

    let short = ["--timeout", "1"];
    for refused in [
        &[
            "--curve-server-key",
            &server,
            "--curve-key-file",
            "stranger.key",
        ][..],
        &["--curve-server-key", &server],
        &[
            "--curve-server-key",
            &office,
            "--curve-key-file",
            "office.key",
        ],
        &[],
    ] {
        let mut call = home.device(&[&["call", "status"], refused, &short].concat());
        call.args([
            "--command-port",
            &app.command_port,
            "--event-port",
            &app.event_port,
        ]);
        Done::of(&mut call, "").fails(3, "cannot be reached");
    }
    home.run(&["call", "status", "--curve-server-key", "no key"])
        .fails(2, "no public key");
    home.run(&["app", "--curve-key-file", "server.key"])
        .fails(2, "who may connect");
}
