//! Servers that are told to stop.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Folder, PATIENT, Running, Server};

/// What a server counts, by the address of its `--stats`.
fn stats(url: &str) -> Value {
    let (host, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Waits until so many frames are in flight at a server with `--stats`.
fn until_in_flight(server: &Server, frames: u64) {
    let url = server.running.out.object("stats")["url"].clone();
    while stats(url.as_str().unwrap())["frames"]["in_flight"] != frames {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn bench(folder: &Folder, server: &Server, frames: &str) -> Running {
    let bench = ["bench", &server.endpoint, "--ca", &server.certificate];
    let flags = ["--frames", frames, "--json"];
    Running::start(&mut folder.nnrp(&[&bench[..], &flags, &PATIENT].concat()))
}

#[test]
fn frames_in_flight_are_answered_and_counted_once() {
    let folder = Folder::new();
    let mut server = folder.echo(&["--delay", "1", "--stats", "127.0.0.1:0"]);
    let mut client = bench(&folder, &server, "3");
    until_in_flight(&server, 3);
    server.running.interrupt();
    let report = client.out.with("outcomes");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["outcomes"]["complete"], 3, "{report}");
    assert!(client.wait().success());
    assert!(server.running.wait().success());
    let session = server.running.out.object("session");
    assert_eq!(session["frames"]["complete"], 3, "{session}");
    let stopped = server.running.out.object("stopped");
    assert_eq!(stopped["frames"]["submitted"], 3, "{stopped}");
    assert_eq!(stopped["frames"]["complete"], 3, "{stopped}");
    assert_eq!(stopped["frames"]["in_flight"], 0, "{stopped}");
    assert_eq!(stopped["sessions"], 0, "{stopped}");
    assert_eq!(stopped["sessions_begun"], 1, "{stopped}");
}

#[test]
fn frames_that_nobody_answers_are_dropped_and_counted_once() {
    let folder = Folder::new();
    let mut server = folder.echo(&["--delay", "3600", "--stats", "127.0.0.1:0"]);
    let _client = bench(&folder, &server, "2");
    until_in_flight(&server, 2);
    server.running.interrupt();
    assert!(server.running.wait().success());
    let session = server.running.out.object("session");
    assert_eq!(session["frames"]["dropped"], 2, "{session}");
    let stopped = server.running.out.object("stopped");
    assert_eq!(stopped["frames"]["submitted"], 2, "{stopped}");
    assert_eq!(stopped["frames"]["dropped"], 2, "{stopped}");
}

#[test]
fn a_second_signal_ends_a_server_at_once() {
    let folder = Folder::new();
    let mut server = folder.echo(&["--delay", "3600", "--stats", "127.0.0.1:0"]);
    let _client = bench(&folder, &server, "1");
    until_in_flight(&server, 1);
    server.running.interrupt_until_it_ends();
    assert_eq!(server.running.wait().code(), Some(130));
    assert!(!server.running.out.rest().concat().contains("stopped"));
}

#[test]
fn a_probe_server_that_is_stopped_waits_for_nobody() {
    let folder = Folder::new();
    // With a count, all connections are there that it waits for.
    for (more, code) in [(&[][..], 0), (&["--count", "2"], 1)] {
        let flags = ["--listen", "nnrp+tcp://127.0.0.1:0", "--delay", "3600"];
        let mut server = folder.server("probed", &[&["probe-server"], &flags[..], more].concat());
        let connect = || TcpStream::connect(("127.0.0.1", server.port().parse().unwrap())).unwrap();
        // Connections are taken one after the other: when something is said about the second, the first is there.
        let silent = connect();
        connect().write_all(b"this is no packet").unwrap();
        server.running.err.with("sent no probe");
        server.running.interrupt();
        assert_eq!(server.running.wait().code(), Some(code), "{more:?}");
        drop(silent);
    }
}
