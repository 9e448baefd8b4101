//! `nodewire micro request`, `ping`, `info`, `stats`, `ls` and `serve`, with the real server, and services and command
//! line of `nats-micro` for Python.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod discovery;
#[path = "../micro_support/mod.rs"]
mod micro_support;
mod recorded;
mod requests;
mod serving;

use std::io::Write;
use std::process::{Command, Stdio};

use micro_support::Home;
use nodewire_testkit::{NatsServer, PythonMicroService};

/// A broker and a home; the broker is the one that commands use.
struct Setup {
    broker: NatsServer,
    home: Home,
}

/// How a command ended, and what it printed.
#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Setup {
    fn new() -> Self {
        let home = Home::new();
        let broker = home.broker(NatsServer::options());
        Self { broker, home }
    }

    fn python_service(&self) -> PythonMicroService {
        let url = self.broker.url();
        let starting = PythonMicroService::start(&url);
        self.home.runtime.block_on(starting).unwrap()
    }

    fn client(&self) -> async_nats::Client {
        let connecting = async_nats::connect(self.broker.url());
        self.home.runtime.block_on(connecting).unwrap()
    }

    fn micro(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.micro();
        command
            .env("NATS_SERVER", self.broker.url())
            // A busy machine is no failure.
            .env("NATS_TIMEOUT", "60s")
            .args(arguments);
        command
    }

    /// Has a command run to its end.
    fn run(&self, arguments: &[&str]) -> Answer {
        answer(&mut self.micro(arguments))
    }

    /// Has a command run to its end, with something on its standard input.
    fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Answer {
        let mut command = self.micro(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let stdin = stdin.to_owned();
        // It need not read to the end.
        let writing = std::thread::spawn(move || drop(input.write_all(&stdin)));
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        Answer::from(output)
    }
}

fn answer(command: &mut Command) -> Answer {
    Answer::from(command.output().unwrap())
}

impl From<std::process::Output> for Answer {
    fn from(output: std::process::Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    fn lines(&self) -> Vec<&str> {
        self.text().lines().collect()
    }

    fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(self.text()).unwrap()
    }

    /// It succeeded and printed this.
    #[track_caller]
    fn is(&self, stdout: impl AsRef<[u8]>) {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.stdout, stdout.as_ref(), "{self:?}");
    }

    /// It failed, printed nothing, and said this.
    #[track_caller]
    fn fails(&self, code: i32, stderr: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stdout.is_empty(), "{self:?}");
        assert!(self.stderr.contains(stderr), "{stderr:?} in {self:?}");
    }
}
