//! A data folder with folders of node servers beside it, and the commands over them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Ends what hangs; no test needs nearly as long.
const LIMIT: Duration = Duration::from_secs(120);
/// Lines that wait to be looked at; beyond, the command waits.
const LINES_MAX: usize = 1000;
const PAUSE: Duration = Duration::from_millis(20);

/// The JavaScript server of the test kit.
pub(crate) const SERVER: &str = "counting-server";

pub(crate) struct Place {
    folder: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// With the JavaScript server registered from the folder `javascript`.
    pub(crate) fn with_server() -> Self {
        let place = Self::new();
        nodewire_testkit::javascript_server_folder(&place.path("javascript")).unwrap();
        // Other tests have daemons with a server of this name at the same time: each has a port of its own.
        let file = place.path("javascript/nanoserver.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        config["port"] = nodewire_testkit::free_port().unwrap().into();
        fs::write(&file, config.to_string()).unwrap();
        place.succeed(&["register", "javascript"]);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file; its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// One of the two programs, with this place's data folder and nothing of the user's settings.
    pub(crate) fn program(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        let ours = |name: &str| {
            ["NANOCORE_", "NODEWIRE_", "ASSET_", "AWS_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        for (name, _) in std::env::vars_os() {
            if ours(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("NANOCORE_HOME", self.path("data"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn nodewire(&self, arguments: &[&str]) -> Command {
        self.program(assert_cmd::cargo::cargo_bin!("nodewire"), arguments)
    }

    pub(crate) fn nanocore(&self, arguments: &[&str]) -> Command {
        self.program(assert_cmd::cargo::cargo_bin!("nanocore"), arguments)
    }

    /// Runs a command to its end.
    pub(crate) fn done(&self, arguments: &[&str]) -> Done {
        done(&mut self.nodewire(arguments))
    }

    /// Runs a command to its end, which must be a good one; what it printed.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let done = self.done(arguments);
        assert_eq!(done.code, Some(0), "nodewire {arguments:?}: {done:?}");
        done.stdout
    }

    /// The same, as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.succeed(arguments);
        serde_json::from_str(&text).expect(&text)
    }

    /// Starts the daemon in the foreground and waits until it answers.
    pub(crate) fn up(&self) -> Running {
        self.up_as(self.nodewire(&["up", "--bind", "127.0.0.1:0"]))
    }

    /// Starts a command; what it prints is in its log.
    pub(crate) fn logged(&self, mut command: Command) -> Running {
        let log = self.path("daemon.log");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Running {
            child: command.spawn().unwrap(),
            log,
        }
    }

    pub(crate) fn up_as(&self, command: Command) -> Running {
        let mut daemon = self.logged(command);
        until("the daemon answers", || {
            let ended = daemon.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "the daemon ended: {ended:?}\n{}",
                daemon.log()
            );
            self.done(&["status"]).code == Some(0)
        });
        daemon
    }

    /// What is told of a server.
    pub(crate) fn server(&self, uid: &str) -> Value {
        let status = self.json(&["status", "--json"]);
        let servers = status["servers"].as_array().unwrap();
        servers
            .iter()
            .find(|server| server["serverUid"] == uid)
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn until_state(&self, uid: &str, state: &str) {
        until(&format!("{uid} is {state}"), || {
            self.server(uid)["state"] == state
        });
    }
}

pub(crate) fn done(command: &mut Command) -> Done {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Done {
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// A command that runs. Ended when dropped, with what it has started.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// With its output as lines.
    pub(crate) fn with_lines(mut command: Command) -> (Self, Receiver<String>) {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        (
            Self {
                child,
                log: PathBuf::new(),
            },
            lines,
        )
    }

    pub(crate) fn signal(&self, signal: &str) {
        nodewire_testkit::signal(self.child.id(), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> ExitStatus {
        let mut status = None;
        until(&format!("it ends\n{}", self.log()), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Asked first, so that it ends its servers.
            self.signal("-TERM");
            let end = Instant::now() + Duration::from_secs(20);
            while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(PAUSE);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a line that has this in it.
pub(crate) fn line_with(lines: &Receiver<String>, text: &str) -> String {
    let end = Instant::now() + LIMIT;
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(text) => return line,
            Ok(line) => seen.push(line),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                panic!("no line with {text:?} in {seen:#?}")
            }
        }
    }
}

pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < end, "waited too long until {what}");
        std::thread::sleep(PAUSE);
    }
}
