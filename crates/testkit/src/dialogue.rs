//! Talking with a peer's script: a command as JSON on a line, its result as JSON on a line.

use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::PeerProcess;

/// Loading a library takes a second or two, more on a busy machine. Longer than anything a peer waits for unless told
/// otherwise.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A script that carries out commands. Dropping it kills it.
#[derive(Debug)]
pub struct Dialogue {
    process: PeerProcess,
    /// Until it is to end.
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    last_id: u64,
}

impl Dialogue {
    /// Starts the script and returns what it tells once it is ready: the answer to a command 0 that nobody gave.
    ///
    /// # Errors
    /// It cannot be started, or does not become ready. A dropped future kills what it started.
    pub async fn start(command: Command) -> anyhow::Result<(Self, Value)> {
        let (process, input, output) = PeerProcess::spawn_dialogue(command)?;
        let mut dialogue = Self {
            process,
            input: Some(input),
            output: BufReader::new(output).lines(),
            last_id: 0,
        };
        let ready = dialogue.answer().await?;
        Ok((dialogue, ready))
    }

    /// Has it carry out a command; the answer is `{"ok": …}` or `{"error": {"type": …, "message": …}}`.
    ///
    /// When the future is dropped the command is still carried out; its answer is then skipped.
    ///
    /// # Errors
    /// It has ended, or does not answer.
    pub async fn call(&mut self, mut command: Value) -> anyhow::Result<Value> {
        self.last_id += 1;
        let fields = command.as_object_mut().context("a command is an object")?;
        fields.insert("id".to_owned(), json!(self.last_id));
        let line = format!("{command}\n");
        let sent = match &mut self.input {
            Some(input) => input.write_all(line.as_bytes()).await.is_ok(),
            None => false,
        };
        if !sent {
            return Err(self.ended());
        }
        self.answer().await
    }

    /// Has it end by itself, as it does when no command can follow.
    pub fn close(&mut self) {
        self.input = None;
    }

    /// Its process.
    pub const fn process(&mut self) -> &mut PeerProcess {
        &mut self.process
    }

    /// What it printed to its standard error so far.
    #[must_use]
    pub fn logs(&self) -> String {
        self.process.logs()
    }

    fn ended(&self) -> anyhow::Error {
        anyhow!("the peer has ended; it printed:\n{}", self.logs())
    }

    /// The answer to the last command.
    async fn answer(&mut self) -> anyhow::Result<Value> {
        loop {
            let line = tokio::time::timeout(ANSWER_TIMEOUT, self.output.next_line()).await;
            let Some(line) = line.context("the peer does not answer")?? else {
                return Err(self.ended());
            };
            let mut answer: Value = serde_json::from_str(&line)
                .with_context(|| format!("the peer answers with {line:?}"))?;
            // Others belong to calls that were dropped.
            if answer["id"] == self.last_id {
                answer.as_object_mut().map(|fields| fields.remove("id"));
                return Ok(answer);
            }
        }
    }
}

/// What an answer has under `ok`.
///
/// # Errors
/// It tells a failure.
pub(crate) fn succeeded(mut answer: Value) -> anyhow::Result<Value> {
    answer
        .get_mut("ok")
        .map(Value::take)
        .ok_or_else(|| anyhow!("the peer fails with {}", answer["error"]))
}
