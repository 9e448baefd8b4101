//! Commands in folders of their own, and servers on free ports.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Ends what hangs; nothing waits for so long.
const HANG: Duration = Duration::from_secs(120);

/// So that a busy machine is no failure.
pub(crate) const PATIENT: [&str; 2] = ["--timeout", "60"];

/// A folder for what a test writes.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `nodewire nnrp`, in this folder, without settings of the machine.
    pub(crate) fn nnrp(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nodewire"));
        command
            .arg("nnrp")
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("TMPDIR", self.0.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        Done::of(&mut self.nnrp(arguments))
    }

    /// A server of ours that goes on, its certificate in `NAME.pem` unless it is one of plain TCP.
    pub(crate) fn server(&self, name: &str, arguments: &[&str]) -> Server {
        let certificate = format!("{name}.pem");
        let mut command = self.nnrp(arguments);
        command.arg("--json");
        if !arguments
            .iter()
            .any(|word| word.starts_with("nnrp+tcp://127.0.0.1:0"))
        {
            command.args(["--certificate-out", &certificate]);
        }
        let running = Running::start(&mut command);
        let listening = running.out.object("listening");
        Server {
            endpoint: listening["endpoint"].as_str().unwrap().to_owned(),
            certificate,
            running,
        }
    }

    /// A server that sends back what it gets.
    pub(crate) fn echo(&self, arguments: &[&str]) -> Server {
        self.server("serve", &[&["serve"], arguments].concat())
    }
}

/// A server, and how to reach it.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    pub(crate) certificate: String,
    pub(crate) running: Running,
}

impl Server {
    pub(crate) fn port(&self) -> &str {
        self.endpoint.rsplit_once(':').unwrap().1
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
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
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
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// With this status, one line on standard error that has this text, and nothing on standard output.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, text: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(text), "{text:?} in {self:?}");
        self
    }
}

/// A command that goes on; ended when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) out: Lines,
    pub(crate) err: Lines,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Self {
            out: Lines::of(child.stdout.take().unwrap()),
            err: Lines::of(child.stderr.take().unwrap()),
            child,
        }
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        nodewire_testkit::signal(self.child.id(), "-INT").unwrap();
    }

    /// As impatient Ctrl-C does; two signals at the same time may come as one.
    pub(crate) fn interrupt_until_it_ends(&mut self) {
        while self.child.try_wait().unwrap().is_none() {
            self.interrupt();
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < HANG, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
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
        let mut before = Vec::new();
        loop {
            match self.0.recv_timeout(HANG) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => before.push(line),
                Err(error) => panic!("{text:?} does not come ({error}); before: {before:#?}"),
            }
        }
    }

    /// The first object from here on of this type.
    #[track_caller]
    pub(crate) fn object(&self, of_type: &str) -> Value {
        let line = self.with(&format!("\"type\":\"{of_type}\""));
        serde_json::from_str(&line).unwrap()
    }

    /// What comes until the end.
    pub(crate) fn rest(&self) -> Vec<String> {
        self.0.iter().collect()
    }
}

/// The objects of a file with one on each line.
pub(crate) fn objects_of(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
