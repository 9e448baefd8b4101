//! What the tests of `nodewire micro` share.

#![allow(dead_code, reason = "not every test binary uses all of it")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use nodewire_testkit::{NatsServer, NatsServerOptions};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Ends what hangs; nothing waits for so long.
pub(crate) const HANG: Duration = Duration::from_secs(120);

/// A home of its own, so that no settings of the machine count, with a runtime.
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
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn broker(&self, options: NatsServerOptions) -> NatsServer {
        self.runtime.block_on(options.start()).unwrap()
    }

    /// `nodewire micro`, in this home, with no variables but those given later.
    pub(crate) fn micro(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nodewire"));
        command
            .arg("micro")
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .stdin(Stdio::null());
        for kept in ["PATH", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        // Where cargo and rustup are when no variable says so.
        if let Some(home) = std::env::var_os("HOME") {
            for (variable, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
                if std::env::var_os(variable).is_none() {
                    command.env(variable, Path::new(&home).join(folder));
                }
            }
        }
        command
    }
}

/// How a command ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn done(command: &mut Command) -> Done {
    let output = command.output().unwrap();
    Done {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A command that goes on; ended when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = read(child.stderr.take().unwrap());
        Self { child, lines }
    }

    /// Waits until it says a line with this text on standard error, and gives the line.
    pub(crate) fn says(&self, text: &str) -> String {
        let mut before = Vec::new();
        loop {
            match self.lines.recv_timeout(HANG) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => before.push(line),
                Err(error) => panic!("it does not say {text:?} ({error}); before: {before:#?}"),
            }
        }
    }

    /// Waits until it has said a line with each of these texts, in whatever order.
    pub(crate) fn says_all(&self, texts: &[&str]) {
        let mut missing = texts.to_vec();
        while !missing.is_empty() {
            let line = self.says("");
            missing.retain(|text| !line.contains(text));
        }
    }

    /// Lines that it has said by now and nobody has waited for.
    pub(crate) fn said(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    pub(crate) fn signal(&self, signal: &str) {
        nodewire_testkit::signal(self.child.id(), signal).unwrap();
    }

    /// Asks it to end and waits for that.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("-TERM");
        self.child.wait().unwrap()
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It ends what it has started, which killing it would not.
            self.signal("-TERM");
            let _ = self.child.wait();
        }
    }
}

fn read(stderr: ChildStderr) -> Receiver<String> {
    let (sender, lines) = sync_channel(10_000);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// A package with a program and an example that need nothing else.
pub(crate) fn package(home: &Home, example: &str) {
    home.file(
        "Cargo.toml",
        "[package]\nname = \"tiny\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n",
    );
    home.file(
        "src/main.rs",
        "fn main() { println!(\"program {:?}\", std::env::args().nth(1)); }",
    );
    home.file("examples/shown.rs", example);
}

/// Asks the service of these tests; the error says what came instead of an answer.
pub(crate) async fn ask(client: &async_nats::Client) -> Result<String, String> {
    let request = async_nats::Request::new().timeout(Some(HANG));
    let reply = client.send_request("answers", request).await;
    let reply = reply.map_err(|error| error.to_string())?;
    if reply.headers.is_some() {
        return Err(format!("{:?}", reply.headers));
    }
    Ok(String::from_utf8(reply.payload.to_vec())
        .unwrap()
        .trim()
        .to_owned())
}
