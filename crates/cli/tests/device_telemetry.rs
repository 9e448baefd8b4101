//! `nodewire device app` and `bridge` export metrics and traces where their options say so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// Fails a test that waits for something that never comes; nothing is measured with it.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Request {
    head: String,
    body: Vec<u8>,
}

/// Takes everything; gives what came.
fn collector() -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = sync_channel(64);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if let Some(request) = stream.ok().and_then(take) {
                let _ = sender.send(request);
            }
        }
    });
    (endpoint, receiver)
}

fn take(mut stream: TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.parse().ok()).flatten()
    });
    let mut body = vec![0; length?];
    reader.read_exact(&mut body).ok()?;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    stream.write_all(answer).ok()?;
    Some(Request { head, body })
}

fn app(options: &str, endpoint: Option<&str>) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("options.json");
    std::fs::write(&config, options).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nodewire"));
    command
        .args(["device", "app", "--event-port", "0", "--command-port", "0"])
        .arg("--config")
        .arg(&config)
        .env_clear()
        .env("HOME", folder.path())
        .stdin(Stdio::null());
    if let Some(endpoint) = endpoint {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), said)
}

fn metrics_of(requests: &Receiver<Request>) -> Request {
    loop {
        let request = requests.recv_timeout(PATIENCE).unwrap();
        if request.head.starts_with("POST /v1/metrics ") {
            return request;
        }
    }
}

fn contains(request: &Request, text: &str) -> bool {
    let body = &request.body;
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn a_device_exports_to_the_endpoint_of_its_options_with_its_key() {
    let (endpoint, requests) = collector();
    let options = format!(
        r#"{{"rpc": {{"identifier": "box-7"}}, "telemetry": {{"enable": true, "endpoint": "{endpoint}", "api_key": "k3y"}}}}"#
    );
    let (is_done, said) = app(&options, None);
    assert!(is_done, "{said}");
    assert!(!said.contains("k3y"));
    let metrics = metrics_of(&requests);
    assert!(
        metrics
            .head
            .to_lowercase()
            .contains("authorization: bearer k3y")
    );
    for text in ["auto-trainer", "box-7", "autotrainer.request.duration"] {
        assert!(contains(&metrics, text), "{text}");
    }
}

#[test]
fn a_device_exports_to_the_endpoint_of_its_environment() {
    let (endpoint, requests) = collector();
    let options = r#"{"rpc": {}, "telemetry": {"enable": true}}"#;
    let (is_done, said) = app(options, Some(&endpoint));
    assert!(is_done, "{said}");
    assert!(contains(&metrics_of(&requests), "auto-trainer"));
}

#[test]
fn without_an_endpoint_there_is_a_warning_and_unless_enabled_nothing() {
    let enabled = r#"{"rpc": {}, "telemetry": {"enable": true}}"#;
    let (is_done, said) = app(enabled, None);
    assert!(is_done && said.contains("there is no endpoint"), "{said}");
    let (endpoint, requests) = collector();
    let (is_done, said) = app(r#"{"rpc": {}, "telemetry": {}}"#, Some(&endpoint));
    assert!(is_done && !said.contains("endpoint"), "{said}");
    assert!(requests.try_recv().is_err());
    let bad = r#"{"rpc": {}, "telemetry": {"enable": true, "endpoint": "nowhere"}}"#;
    let (is_done, said) = app(bad, None);
    assert!(!is_done && said.contains("telemetry endpoint"), "{said}");
}
