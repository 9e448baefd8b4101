//! Processes of peers: own process group, output kept, killed when dropped.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

/// Between one signal and the next.
const SIGNAL_PAUSE: Duration = Duration::from_millis(50);

/// How long a command whose output nobody reads may go on, and how often it is looked at.
const UNREAD_MAX: Duration = Duration::from_secs(120);
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// How much output is kept.
const MAX_LOG_BYTES: usize = 1 << 20;

/// A running peer. Dropping it kills its whole process group.
#[derive(Debug)]
pub struct PeerProcess {
    child: Child,
    pid: u32,
    logs: Arc<Mutex<String>>,
    lines: watch::Receiver<usize>,
}

impl PeerProcess {
    /// Starts the command with its output captured.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let mut child = start(command.stdin(Stdio::null()))?;
        let output = child.stdout.take();
        Self::capturing(child, output)
    }

    /// Starts the command to talk with it through what is returned; only its standard error is captured.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn_dialogue(mut command: Command) -> anyhow::Result<(Self, ChildStdin, ChildStdout)> {
        let mut child = start(command.stdin(Stdio::piped()))?;
        let input = child.stdin.take().context("the process has no input")?;
        let output = child.stdout.take().context("the process has no output")?;
        Ok((Self::capturing(child, None)?, input, output))
    }

    fn capturing(mut child: Child, output: Option<ChildStdout>) -> anyhow::Result<Self> {
        let pid = child.id().context("the process has no id")?;
        let logs = Arc::new(Mutex::new(String::new()));
        let (counter, lines) = watch::channel(0);
        let counter = Arc::new(counter);
        capture(output, &logs, &counter);
        capture(child.stderr.take(), &logs, &counter);
        Ok(Self {
            child,
            pid,
            logs,
            lines,
        })
    }

    /// What it printed so far, standard error included.
    #[must_use]
    pub fn logs(&self) -> String {
        self.logs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until it has printed a text.
    ///
    /// # Errors
    /// It ended, or did not print the text in time; the error has what it printed.
    pub async fn wait_for_output(&mut self, text: &str, timeout: Duration) -> anyhow::Result<()> {
        let logs = Arc::clone(&self.logs);
        let printed = || {
            logs.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(text)
        };
        let ended = match tokio::time::timeout(timeout, self.lines.wait_for(|_| printed())).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(_)) => "ended",
            Err(_) => "went on",
        };
        bail!(
            "the peer {ended} without printing {text:?} within {timeout:?}; it printed:\n{}",
            self.logs()
        )
    }

    /// Waits until all that it printed is kept, which is a moment after its end, or later if others have its output.
    ///
    /// # Errors
    /// Its output is not closed in time.
    pub async fn wait_for_end_of_output(&mut self, timeout: Duration) -> anyhow::Result<()> {
        let ended = tokio::time::timeout(timeout, self.lines.wait_for(|_| false)).await;
        // The error says that nothing counts lines any more.
        ended.context("the peer's output stays open")?.err();
        Ok(())
    }

    /// Sends a signal (`INT`, `TERM`, `KILL`, `STOP`, `CONT`, `USR2`) to its process group.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let group = format!("-{}", self.pid);
        let status = std::process::Command::new("kill")
            .args([&format!("-{signal}"), "--", &group])
            .status()?;
        if !status.success() {
            bail!("cannot send {signal} to process group {}", self.pid);
        }
        Ok(())
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.pid
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn wait(&mut self, timeout: Duration) -> anyhow::Result<std::process::ExitStatus> {
        Ok(tokio::time::timeout(timeout, self.child.wait())
            .await
            .context("the peer does not end")??)
    }
}

impl Drop for PeerProcess {
    fn drop(&mut self) {
        // Once it was waited for, the id may belong to somebody else.
        if self.child.id().is_some() {
            let _ = self.signal("KILL");
        }
    }
}

fn start(command: &mut Command) -> anyhow::Result<Child> {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
        .spawn()
        .with_context(|| format!("cannot start {:?}", command.as_std()))
}

fn capture(
    output: Option<impl AsyncRead + Unpin + Send + 'static>,
    logs: &Arc<Mutex<String>>,
    counter: &Arc<watch::Sender<usize>>,
) {
    let Some(output) = output else { return };
    let (logs, counter) = (Arc::clone(logs), Arc::clone(counter));
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut logs = logs.lock().unwrap_or_else(PoisonError::into_inner);
            if logs.len() + line.len() < MAX_LOG_BYTES {
                logs.push_str(&line);
                logs.push('\n');
            }
            drop(logs);
            counter.send_modify(|count| *count += 1);
        }
    });
}

/// Sends a signal, such as `-INT`, to one process, a moment after whatever was sent before: our programs take two signals
/// at once as one.
///
/// # Errors
/// The signal cannot be sent.
pub fn signal(process: u32, signal: &str) -> anyhow::Result<()> {
    std::thread::sleep(SIGNAL_PAUSE);
    let status = std::process::Command::new("kill")
        .args([signal, &process.to_string()])
        .status()?;
    if !status.success() {
        bail!("cannot send {signal} to process {process}");
    }
    Ok(())
}

/// Runs a command to its end with a standard output that nobody reads, and gives its exit status, if it has one.
///
/// # Errors
/// It cannot be started, or goes on for two minutes; it is killed then.
pub fn status_without_reader(command: &mut std::process::Command) -> anyhow::Result<Option<i32>> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let mut child = command.stdout(writer).spawn()?;
    let end = Instant::now() + UNREAD_MAX;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        std::thread::sleep(LOOK_PAUSE);
    }
    child.kill()?;
    child.wait()?;
    bail!("it goes on although nobody reads what it prints")
}

/// A port of the loopback interface that nobody uses at the moment.
///
/// # Errors
/// There is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}
