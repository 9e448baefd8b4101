//! Commands with homes of their own, and devices on free ports.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use nodewire_testkit::{AutotrainerService, AutotrainerServiceOptions, AutotrainerVersion};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Ends what hangs; nothing waits for so long.
pub(crate) const HANG: Duration = Duration::from_secs(120);

/// A port where nobody listens, and that no test is given: it is not among those the system chooses from.
pub(crate) const NOBODY: &str = "1";

/// So that a busy machine is no failure.
pub(crate) const PATIENT: [&str; 2] = ["--timeout", "60"];

/// A home of its own, so that no settings of the machine count, with a runtime for the peers.
pub(crate) struct Home {
    pub(crate) runtime: Runtime,
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            runtime: Runtime::new().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `nodewire device`, in this home, with no variables but those given later.
    pub(crate) fn device(&self, arguments: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_nodewire"), "device", arguments)
    }

    pub(crate) fn command(&self, program: &str, first: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .arg(first)
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        Done::of(&mut self.device(arguments), "")
    }

    pub(crate) fn python(
        &self,
        version: AutotrainerVersion,
        interval_s: f64,
    ) -> AutotrainerService {
        let options = AutotrainerServiceOptions {
            heartbeat_interval_s: interval_s,
            ..AutotrainerServiceOptions::default()
        };
        let started = AutotrainerService::start(version, options);
        self.runtime.block_on(started).unwrap()
    }
}

/// How a command ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Runs a command to its end, with this on its standard input.
    pub(crate) fn of(command: &mut Command, stdin: &str) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let stdin = stdin.to_owned();
        // It need not read to the end.
        let writing = std::thread::spawn(move || drop(input.write_all(stdin.as_bytes())));
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Every line is a JSON object.
    #[track_caller]
    pub(crate) fn objects(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines.map(|line| parse(line)).collect()
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn fails(self, code: i32, stderr: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(stderr), "{stderr:?} in {self:?}");
        self
    }
}

#[track_caller]
pub(crate) fn parse(line: &str) -> Value {
    let object: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    assert!(object["type"].is_string(), "{line}");
    object
}

/// A command that goes on; ended when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) out: Lines,
    pub(crate) err: Lines,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Self {
            stdin: child.stdin.take(),
            out: Lines::of(child.stdout.take().unwrap()),
            err: Lines::of(child.stderr.take().unwrap()),
            child,
        }
    }

    pub(crate) fn enter(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    pub(crate) fn signal(&self, signal: &str) {
        nodewire_testkit::signal(self.child.id(), signal).unwrap();
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.stdin = None;
        self.child.wait().unwrap()
    }

    pub(crate) fn stop(self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Lines as they come.
pub(crate) struct Lines(Receiver<String>);

impl Lines {
    fn of(from: impl Read + Send + 'static) -> Self {
        let (sender, lines) = sync_channel(100_000);
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }

    /// The first line from here on with this text.
    #[track_caller]
    pub(crate) fn with(&self, text: &str) -> String {
        self.that(text, |line| line.contains(text).then(|| line.to_owned()))
    }

    /// The first object from here on of this type that is so.
    #[track_caller]
    pub(crate) fn object(&self, of_type: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        self.that(of_type, |line| {
            let object = parse(line);
            (object["type"] == of_type && is_so(&object)).then_some(object)
        })
    }

    #[track_caller]
    fn that<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let mut before = Vec::new();
        loop {
            match self.0.recv_timeout(HANG) {
                Ok(line) => match find(&line) {
                    Some(found) => return found,
                    None => before.push(line),
                },
                Err(error) => panic!("{what:?} does not come ({error}); before: {before:#?}"),
            }
        }
    }

    /// What comes until the end.
    pub(crate) fn rest(&self) -> Vec<String> {
        self.0.iter().collect()
    }
}

/// A device of ours on free ports that stays until it is ended, and tells what it does as JSON.
pub(crate) struct App {
    pub(crate) running: Running,
    pub(crate) event_port: String,
    pub(crate) command_port: String,
}

impl App {
    pub(crate) fn start(home: &Home, arguments: &[&str]) -> Self {
        let fixed = [
            "app",
            "--event-port",
            "0",
            "--command-port",
            "0",
            "--json",
            "--stay",
        ];
        let mut command = home.device(&fixed);
        let running = Running::start(command.args(arguments));
        let started = running.out.object("started", |_| true);
        let port = |name: &str| {
            let address = started[name][0].as_str().unwrap();
            address.rsplit_once(':').unwrap().1.to_owned()
        };
        Self {
            event_port: port("eventAddresses"),
            command_port: port("commandAddresses"),
            running,
        }
    }

    /// A patient command to it.
    pub(crate) fn to(&self, home: &Home, arguments: &[&str]) -> Command {
        let mut command = home.device(arguments);
        command
            .args([
                "--event-port",
                &self.event_port,
                "--command-port",
                &self.command_port,
            ])
            .args(PATIENT);
        command
    }

    pub(crate) fn call(&self, home: &Home, arguments: &[&str]) -> Done {
        let arguments = [&["call"], arguments].concat();
        Done::of(&mut self.to(home, &arguments), "")
    }
}

/// A patient command to a device of the peer.
pub(crate) fn to_python(home: &Home, service: &AutotrainerService, arguments: &[&str]) -> Command {
    let mut command = home.device(arguments);
    command
        .args(["--event-port", &service.event_port().to_string()])
        .args(["--command-port", &service.command_port().to_string()])
        .args(PATIENT);
    command
}
