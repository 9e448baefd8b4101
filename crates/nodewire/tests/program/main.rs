//! Programs as processes: the examples, their output, their exit, their errors, their settings.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod config;
mod examples;
mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use support::{example, refusal, signal, start};

const CONFIG: &str = r#"{"serverUid": "s", "serverPackageId": "p", "port": 3999}"#;

/// `greet` beside `config`, on a port that the system chooses.
fn command(directory: &Path, config: Option<&str>) -> Command {
    if let Some(config) = config {
        std::fs::write(directory.join("nanoserver.json"), config).unwrap();
    }
    let mut command = example("greet", directory);
    command.env("PORT", "0");
    command
}

#[test]
fn only_the_ready_line_is_on_standard_output_and_signals_stop_it() {
    for name in ["INT", "TERM"] {
        let directory = tempfile::tempdir().unwrap();
        let mut running = start(&mut command(directory.path(), Some(CONFIG)));
        let mut output = BufReader::new(running.0.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "[NANOSERVER_READY]\n");
        signal(&running, name);
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        assert_eq!(running.0.wait().unwrap().code(), Some(0));
    }
}

/// As the `timeout` command sends them.
#[test]
fn two_signals_at_once_are_one() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        let mut running = start(&mut command(directory.path(), Some(CONFIG)));
        let mut output = BufReader::new(running.0.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        let twice = "kill -TERM $0; kill -TERM $0";
        let mut kill = Command::new("sh");
        kill.args(["-c", twice, &running.0.id().to_string()]);
        // The second may find nobody any more.
        kill.output().unwrap();
        assert_eq!(running.0.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn the_log_is_plain_text_where_nobody_looks_at_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = start(&mut command(directory.path(), Some(CONFIG)));
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    signal(&running, "INT");
    let mut log = String::new();
    let mut stderr = running.0.stderr.take().unwrap();
    stderr.read_to_string(&mut log).unwrap();
    assert!(log.contains("serving the Nanograph wire"), "{log:?}");
    assert!(!log.contains('\u{1b}'), "{log:?}");
}

#[test]
fn the_first_log_level_that_is_set_counts() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(directory.path(), Some(CONFIG));
    command
        .env("NANOSDK_LOG_LEVEL", "")
        .env("NANOCORE_LOG_LEVEL", "ERROR")
        .env("LOG_LEVEL", "debug");
    let mut running = start(&mut command);
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    signal(&running, "INT");
    let mut log = String::new();
    let mut stderr = running.0.stderr.take().unwrap();
    stderr.read_to_string(&mut log).unwrap();
    assert_eq!(log, "");
}

#[test]
fn it_runs_although_nobody_reads_its_output() {
    let directory = tempfile::tempdir().unwrap();
    let mut running = start(&mut command(directory.path(), Some(CONFIG)));
    drop(running.0.stdout.take());
    let mut log = BufReader::new(running.0.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    assert!(line.contains("serving the Nanograph wire"), "{line}");
    signal(&running, "INT");
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_wrong_configuration_is_told_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nanoserver.json");
    let path = path.to_str().unwrap();

    let missing = refusal(&mut command(directory.path(), None));
    assert!(
        missing.starts_with(&format!("Error: cannot read {path}")),
        "{missing}"
    );

    let wrong = refusal(&mut command(
        directory.path(),
        Some(r#"{"serverUid": 5, "port": "x"}"#),
    ));
    for part in [path, "serverUid", "port"] {
        assert!(wrong.contains(part), "{part} in {wrong}");
    }
    assert!(!wrong.contains("Problem {"), "{wrong}");
}

/// spec: nanograph 1: elsewhere empty variables count as unset.
#[test]
fn an_empty_or_wrong_port_variable_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for port in ["", "abc", "65536"] {
        let refusal = refusal(command(directory.path(), Some(CONFIG)).env("PORT", port));
        assert!(refusal.contains("PORT"), "{refusal}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let refusal =
        refusal(command(directory.path(), Some(CONFIG)).env("PORT", address.port().to_string()));
    assert!(
        refusal.starts_with(&format!("Error: cannot listen on {address}")),
        "{refusal}"
    );
}

#[test]
fn why_a_port_cannot_be_had_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let port = listener.local_addr().unwrap().port().to_string();
    for flags in [
        &["--nanograph-listen", &address][..],
        &["--http-listen", &address, "--http-open"],
        &["--mcp-listen", &address, "--mcp-open"],
        &["--nnrp-listen", &address, "--nnrp-security", "plain"],
        &[
            "--autotrainer-event-port",
            &port,
            "--autotrainer-command-port",
            "0",
        ],
    ] {
        let said = refusal(example("greet", directory.path()).args(flags));
        assert!(said.contains(&address), "{said}");
        assert_eq!(said.matches("in use").count(), 1, "{said}");
    }
}
