//! Examples as processes.

use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// An example in `directory`, without what the tests' own environment says. Cargo builds a package's examples together
/// with its tests.
pub(crate) fn example(name: &str, directory: &Path) -> Command {
    let tests = std::env::current_exe().unwrap();
    let program = tests
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples")
        .join(name);
    assert!(
        program.exists(),
        "{} is missing; run `cargo build -p nodewire --examples`",
        program.display()
    );
    let mut command = Command::new(program);
    command
        .current_dir(directory)
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A process that is killed if a test fails half-way.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn start(command: &mut Command) -> Running {
    Running(command.spawn().unwrap())
}

pub(crate) fn signal(running: &Running, name: &str) {
    let pid = running.0.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(sent.unwrap().success());
}

/// Refused before anything was started: status 1 and nothing on standard output. What it said.
pub(crate) fn refusal(command: &mut Command) -> String {
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

/// A server that is ready, and its log until then, a JSON object a line.
pub(crate) struct Ready {
    running: Running,
    log: Vec<Value>,
}

impl Ready {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut log = tempfile::tempfile().unwrap();
        command
            .args(["--log-format", "json"])
            .stderr(log.try_clone().unwrap());
        let mut running = start(command);
        let mut line = String::new();
        let stdout = running.0.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let mut text = String::new();
        log.rewind().unwrap();
        log.read_to_string(&mut text).unwrap();
        assert_eq!(line, "[NANOSERVER_READY]\n", "{text}");
        let log = text.lines().map(|line| serde_json::from_str(line).unwrap());
        Self {
            running,
            log: log.collect(),
        }
    }

    /// The line of the log that says this, if there is one.
    pub(crate) fn told(&self, message: &str) -> Option<&Value> {
        self.log.iter().find(|line| line["message"] == message)
    }

    /// Where a wire listens.
    pub(crate) fn port(&self, message: &str, field: &str) -> u16 {
        let line = self.told(message);
        let line = line.unwrap_or_else(|| panic!("{message:?} in {:?}", self.log));
        let address = line[field].as_str().unwrap();
        let port = address.rsplit(':').next().unwrap();
        port.trim_end_matches(']').parse().unwrap()
    }

    /// Stops it as a supervisor would.
    pub(crate) fn stop(mut self) {
        signal(&self.running, "TERM");
        assert_eq!(self.running.0.wait().unwrap().code(), Some(0));
    }
}

/// Executes `greet` with curl; what it printed.
pub(crate) fn curl(port: u16, token: &str) -> String {
    let url = format!("http://127.0.0.1:{port}/nodes/greet/execute");
    let token = format!("Authorization: Bearer {token}");
    let json = "Content-Type: application/json";
    let body = r#"{"inputs": {"names": ["Ada"]}}"#;
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60"])
        .args(["-H", &token, "-H", json, "-d", body, &url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}
