//! What cannot be done is said in a line, with a status that tells what it was.

use std::fs;
use std::net::{TcpListener, UdpSocket};

use crate::support::{Done, Folder, PATIENT};

#[track_caller]
fn one_line(done: &Done) {
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    assert!(done.stderr.starts_with("error: "), "{done:?}");
    assert_eq!(done.stdout, "");
}

#[test]
fn whoever_does_not_answer_is_waited_for_no_longer_than_said() {
    let folder = Folder::new();
    // They take connections, or packets, and say nothing.
    let (tcp, udp) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        UdpSocket::bind("127.0.0.1:0").unwrap(),
    );
    let ports =
        [tcp.local_addr().unwrap(), udp.local_addr().unwrap()].map(|at| at.port().to_string());
    for (transport, port) in [("tcp", &ports[0]), ("tls", &ports[0]), ("quic", &ports[1])] {
        let client = ["smoke", "client", "--port", port, "--timeout", "0.3"];
        let flags = ["--transport", transport, "--insecure"];
        let done = folder.run(&[&client[..], &flags].concat());
        one_line(&done.fails(1, ""));
    }
    let done = folder.run(&["smoke", "server", "--timeout", "0.2"]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("was not done within"), "{done:?}");
    let endpoint = format!("nnrp+tcp://127.0.0.1:{}", ports[0]);
    let bench = ["bench", &endpoint, "--timeout", "0.3"];
    one_line(&folder.run(&bench).fails(3, ""));
    let probe = ["probe", &endpoint, "--timeout", "0.3", "--samples", "1"];
    one_line(&folder.run(&probe).fails(3, "no probe"));
    let top = ["top", &endpoint, "--once", "--timeout", "0.3"];
    folder.run(&top).fails(3, "the server is not there");
}

#[test]
fn a_port_without_a_server() {
    let folder = Folder::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    for transport in ["tcp", "quic"] {
        let client = ["smoke", "client", "--port", &port, "--timeout", "1"];
        let flags = ["--transport", transport, "--insecure"];
        one_line(&folder.run(&[&client[..], &flags].concat()).fails(1, ""));
    }
    let endpoint = format!("nnrps://127.0.0.1:{port}");
    let bench = ["bench", &endpoint, "--insecure", "--timeout", "1"];
    one_line(&folder.run(&bench).fails(3, ""));
}

#[test]
fn a_certificate_that_is_not_trusted_or_not_there() {
    let folder = Folder::new();
    let server = folder.echo(&[]);
    let other = folder.server("other", &["serve"]);
    let client = ["smoke", "client", "--port", server.port()];
    for trust in [&[][..], &["--ca", &other.certificate]] {
        let done = folder.run(&[&client[..], trust, &PATIENT].concat());
        one_line(&done.fails(1, "not trusted"));
    }
    let done = folder.run(&[&client[..], &["--ca", "nowhere.pem"]].concat());
    one_line(&done.fails(1, "nowhere.pem"));
    let done = folder.run(&["bench", &server.endpoint, "--ca", "nowhere.pem"]);
    one_line(&done.fails(2, "nowhere.pem"));
    fs::write(folder.path("empty.pem"), "").unwrap();
    let serve = [
        "serve",
        "--certificate",
        "empty.pem",
        "--private-key",
        "empty.pem",
    ];
    one_line(&folder.run(&serve).fails(2, "certificate"));
}

#[test]
fn who_finds_its_address_taken_leaves_the_certificate_of_who_has_it() {
    let folder = Folder::new();
    let server = folder.echo(&[]);
    let shown = fs::read(folder.path(&server.certificate)).unwrap();
    let record = [
        "record",
        "--to",
        &server.endpoint,
        "--insecure",
        "--out",
        "out",
    ];
    for second in [&["serve"][..], &record] {
        let flags = [
            "--listen",
            &server.endpoint,
            "--certificate-out",
            &server.certificate,
        ];
        let done = folder.run(&[second, &flags].concat());
        assert_eq!(done.code, Some(3), "{done:?}");
        assert_eq!(fs::read(folder.path(&server.certificate)).unwrap(), shown);
    }
}

#[test]
fn bench_says_why_nothing_was_answered() {
    let folder = Folder::new();
    let server = folder.echo(&["--max-body-bytes", "64"]);
    let bench = ["bench", &server.endpoint, "--ca", &server.certificate];
    let load = ["--size", "4096", "--seconds", "3600", "--in-flight", "1"];
    let done = folder.run(&[&bench[..], &load].concat());
    assert_eq!(done.code, Some(1), "{done:?}");
    let why = done.stderr.split_once("no frame was answered: ");
    assert!(
        why.is_some_and(|(_, why)| !why.trim().is_empty()),
        "{done:?}"
    );
}

#[test]
fn wrong_usage() {
    let folder = Folder::new();
    for wrong in [
        &["smoke"][..],
        &["smoke", "client"],
        &["smoke", "client", "--port", "0"],
        &["smoke", "client", "--port", "1", "--timeout", "soon"],
        &["smoke", "server", "--session-id", "0"],
        &["probe", "127.0.0.1:1"],
        &["bench", "nnrps://127.0.0.1:1", "--in-flight", "0"],
        &["serve", "--listen", "127.0.0.1:1"],
        &["serve", "--stats", "0.0.0.0:0"],
        &["record", "--to", "nnrps://127.0.0.1:1"],
        &["replay", "session.jsonl"],
        &[
            "replay",
            "session.jsonl",
            "--as-server",
            "--to",
            "nnrps://127.0.0.1:1",
        ],
        &["replay", "session.jsonl", "--as-server", "--speed", "0"],
    ] {
        let done = folder.run(wrong);
        assert_eq!(done.code, Some(2), "{wrong:?}: {done:?}");
        assert!(!done.stderr.is_empty());
    }
    // Before it listens: no machine has that address.
    let record = ["record", "--to", "nnrps://127.0.0.1:1", "--out", "out"];
    let nowhere = ["--listen", "nnrp+tcp://192.0.2.1:1"];
    let record = [&record[..], &nowhere].concat();
    folder.run(&record).fails(3, "192.0.2.1");
    let nobody = [&record[..], &["--max-connections", "0"]].concat();
    folder.run(&nobody).fails(2, "--max-connections");
}

#[test]
fn what_is_no_recording() {
    let folder = Folder::new();
    let title = r#"{"nnrp_recording":1,"listen":"","to":"","began_unix_ms":0}"#;
    let packet = |text: &str| {
        format!("{title}\n{{\"connection\":1,\"side\":\"client\",\"packet\":\"{text}\"}}\n")
    };
    for (text, said) in [
        (String::new(), "no recording"),
        ("{}\n".to_owned(), "no recording"),
        (title.replace(":1,", ":2,"), "version 2"),
        (format!("{title}\n"), "no packet"),
        (format!("{title}\nnonsense\n"), "line 2"),
        (packet("4e4e"), "line 2"),
        (packet("4x"), "no hex digit"),
        (packet(&"00".repeat(40)), "line 2"),
    ] {
        fs::write(folder.path("session.jsonl"), &text).unwrap();
        let done = folder.run(&["replay", "session.jsonl", "--to", "nnrp+tcp://127.0.0.1:1"]);
        one_line(&done.fails(2, said));
    }
    let missing = folder.run(&["replay", "missing.jsonl", "--to", "nnrp+tcp://127.0.0.1:1"]);
    one_line(&missing.fails(2, "missing.jsonl"));
}

#[test]
fn a_certificate_that_nobody_shows() {
    let folder = Folder::new();
    let plain = ["--listen", "nnrp+tcp://192.0.2.1:1"];
    let record = ["record", "--to", "nnrps://127.0.0.1:1", "--out", "out"];
    for command in [&["serve"][..], &["probe-server"], &record] {
        let command = [command, &plain].concat();
        let with = |flags: &[&str]| folder.run(&[&command[..], flags].concat());
        one_line(&with(&["--certificate-out", "out.pem"]).fails(2, "--certificate-out: plain TCP"));
        let files = ["--certificate", "c.pem", "--private-key", "k.pem"];
        one_line(&with(&files).fails(2, "--certificate: plain TCP"));
        // With QUIC there is one; no machine has that address.
        let quic = ["--quic", "--certificate-out", "out.pem"];
        one_line(&with(&quic).fails(3, "192.0.2.1"));
    }
    for role in ["server", "hello-server"] {
        let smoke = ["smoke", role, "--transport", "tcp", "--timeout", "1"];
        let done = folder.run(&[&smoke[..], &["--certificate-out", "out.pem"]].concat());
        one_line(&done.fails(2, "--certificate-out: plain TCP"));
    }
    let replay = ["replay", "session.jsonl", "--to", "nnrps://127.0.0.1:1"];
    let done = folder.run(&[&replay[..], &["--certificate-out", "out.pem"]].concat());
    one_line(&done.fails(2, "--certificate-out is for servers only"));
    assert!(!folder.path("out.pem").exists());
    let help = folder.run(&["serve", "--help"]).succeeds().stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("`listening`, `stats` where --stats is, `session`"));
}
