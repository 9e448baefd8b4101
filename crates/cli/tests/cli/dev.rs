//! `nodewire dev` with a server of a few lines that needs no packages.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use nanograph::client::probe;

use super::setup::Project;

/// Answers every request with its status page.
fn source(version: &str) -> String {
    format!(
        r##"use std::io::{{Read, Write}};
        fn main() {{
            let port = std::env::var("PORT").unwrap();
            let listener = std::net::TcpListener::bind(format!("127.0.0.1:{{port}}")).unwrap();
            println!("[NANOSERVER_READY]");
            for stream in listener.incoming() {{
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let body = r#"{{"serverUid": "tiny", "message": "{version}"}}"#;
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {{}}\r\nConnection: close\r\n\r\n{{body}}", body.len());
            }}
        }}"##
    )
}

#[test]
fn a_server_follows_its_sources_and_survives_mistakes() {
    let project = Project::without_server();
    project.file("nanoserver.json", r#"{"serverUid": "tiny", "serverPackageId": "tiny", "language": "rust", "watchDebounceTime": 100}"#);
    project.file(
        "Cargo.toml",
        "[package]\nname = \"tiny\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n",
    );
    project.file("src/main.rs", &source("one"));
    let port = nodewire_testkit::free_port().unwrap();
    let mut dev = Command::new(Project::binary())
        .args([
            "dev",
            project.path().to_str().unwrap(),
            "--port",
            &port.to_string(),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(dev.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let mut serving = BufReader::new(dev.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let message = || {
        runtime
            .block_on(probe(
                &format!("http://127.0.0.1:{port}"),
                Duration::from_secs(10),
            ))
            .unwrap()
            .message
            .unwrap()
    };

    assert_eq!(
        serving.next().unwrap(),
        format!("serving tiny at ws://127.0.0.1:{port}/")
    );
    assert_eq!(message(), "one");
    project.file("src/main.rs", "fn main() { mistake }");
    assert!(said.any(|line| line == "the old server goes on"));
    assert_eq!(message(), "one");
    project.file("src/main.rs", &source("two"));
    assert!(serving.next().unwrap().starts_with("serving tiny"));
    assert_eq!(message(), "two");

    nodewire_testkit::signal(dev.id(), "-INT").unwrap();
    assert!(said.any(|line| line == "stopping"));
    assert_eq!(dev.wait().unwrap().code(), Some(0));
    assert!(
        runtime
            .block_on(probe(
                &format!("http://127.0.0.1:{port}"),
                Duration::from_secs(1)
            ))
            .is_err()
    );
}

#[test]
fn only_rust_servers_are_followed() {
    let project = Project::new();
    let refused = project
        .nodewire()
        .args(["dev", "servers/python"])
        .assert()
        .code(2);
    assert!(String::from_utf8_lossy(&refused.get_output().stderr).contains("is a python server"));
    project.nodewire().args(["dev", "."]).assert().code(2);
}
