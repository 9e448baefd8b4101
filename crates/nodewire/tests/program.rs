//! `NodeServer::run` as a process: the example `greet`, its output, its exit, its errors.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const CONFIG: &str = r#"{"serverUid": "s", "serverPackageId": "p", "port": 3999}"#;

/// Cargo builds a package's examples together with its tests.
fn greet() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples/greet");
    assert!(
        program.exists(),
        "{} is missing; run `cargo build -p nodewire --examples`",
        program.display()
    );
    program
}

/// The program beside `config`, on a port that the system chooses, without what the tests' own environment says.
fn command(directory: &Path, config: Option<&str>) -> Command {
    if let Some(config) = config {
        std::fs::write(directory.join("nanoserver.json"), config).unwrap();
    }
    let mut command = Command::new(greet());
    command
        .current_dir(directory)
        .env_clear()
        .env("PORT", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A process that is killed if a test fails half-way.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command) -> Running {
    Running(command.spawn().unwrap())
}

fn signal(running: &Running, name: &str) {
    let pid = running.0.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(sent.unwrap().success());
}

/// Refused before anything was started: status 1 and nothing on standard output. What it said.
fn refusal(command: &mut Command) -> String {
    let mut running = start(command);
    let mut line = String::new();
    let stdout = running.0.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "");
    let mut said = String::new();
    let mut stderr = running.0.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(1), "{said}");
    said
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
