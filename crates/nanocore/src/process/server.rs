//! [`ServerProcess`]: a running node server.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::error::{Exit, ProcessError};
use super::launch::{Launch, LaunchOptions, StopTimes};
use super::lines::{LineSink, Output, Ring, read_lines};
use super::readiness::answering;
use super::tool::Group;
use super::undeliverable::Undeliverable;

/// What a server prints when it is ready. spec: nanograph 2.2
const READY_LINE: &str = "[NANOSERVER_READY]";
/// Longest line kept.
const LINE_BYTES_MAX: usize = 16 << 10;
/// Lines told about a server that ended.
const LINES_TOLD: usize = 20;
/// Undeliverable statuses that wait for a slow reader; older ones are dropped.
const UNDELIVERABLE_MAX: usize = 256;
/// How long outputs may stay open after the process has ended, because something it started still holds them.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);
/// The numbers of the polite signals, the same on every Unix for these two.
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// A node server that was started and became ready. Dropping it kills its process group at once.
#[derive(Debug)]
pub struct ServerProcess {
    server_uid: String,
    port: u16,
    pid: Option<u32>,
    outputs: Outputs,
    ready_line: watch::Receiver<bool>,
    exit: watch::Receiver<Option<Exit>>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone)]
struct Outputs {
    stdout: Ring,
    stderr: Ring,
    sink: Option<LineSink>,
    undeliverable: broadcast::Sender<Undeliverable>,
}

impl ServerProcess {
    /// Starts the server and waits until it can be connected to.
    ///
    /// Cancel safety: if dropped, the process group is killed.
    ///
    /// # Errors
    /// The program cannot be started, ends early, is not ready in time, or something else answers on its port.
    pub async fn start(launch: &Launch, options: &LaunchOptions) -> Result<Self, ProcessError> {
        let server = Self::spawn(launch, options)?;
        server.wait_until_ready(options.ready_timeout).await?;
        Ok(server)
    }

    /// Starts the server and does not wait for it. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(launch: &Launch, options: &LaunchOptions) -> Result<Self, ProcessError> {
        let port = options.port.map_or_else(free_port, Ok)?;
        let environment = launch.environment(options, port);
        let mut group = Group::spawn(
            launch.program.as_os_str(),
            &launch.arguments,
            &launch.folder,
            &environment,
        )?;
        let outputs = Outputs {
            stdout: Ring::new(options.lines_kept),
            stderr: Ring::new(options.lines_kept),
            sink: options.lines.clone(),
            undeliverable: broadcast::Sender::new(UNDELIVERABLE_MAX),
        };
        let (ready, ready_line) = watch::channel(false);
        let readers = outputs.read(&mut group, ready);
        let (pid, stop) = (group.0.id(), CancellationToken::new());
        let (exited, exit) = watch::channel(None);
        let keeper = Keeper {
            group,
            stop: stop.clone(),
            times: options.stop,
            readers,
            outputs: outputs.clone(),
        };
        let task = Some(tokio::spawn(async move {
            let exit = keeper.run().await;
            exited.send_replace(Some(exit));
        }));
        Ok(Self {
            server_uid: launch.config.server_uid.clone(),
            port,
            pid,
            outputs,
            ready_line,
            exit,
            stop,
            task,
        })
    }

    /// Waits until the server can be connected to. Cancel safe.
    ///
    /// # Errors
    /// It ends early, is not ready after this time, or something else answers on its port. It is not stopped then.
    pub async fn wait_until_ready(&self, after: Duration) -> Result<(), ProcessError> {
        let mut ready_line = self.ready_line.clone();
        let url = self.url();
        let found = tokio::select! {
            found = answering(&url, &mut ready_line) => found,
            exit = self.exited() => {
                let (server_uid, was_ready) = (self.server_uid.clone(), *ready_line.borrow());
                return Err(if was_ready && exit.success {
                    ProcessError::EndedAtOnce { server_uid, exit }
                } else {
                    ProcessError::Ended { server_uid, exit }
                });
            }
            () = tokio::time::sleep(after) => {
                let (server_uid, last_lines) = (self.server_uid.clone(), self.last_lines());
                return Err(ProcessError::NotReady { server_uid, after, last_lines });
            }
        };
        if found == self.server_uid {
            return Ok(());
        }
        Err(ProcessError::Foreign {
            port: self.port,
            expected: self.server_uid.clone(),
            found,
        })
    }

    /// Who it is.
    #[must_use]
    pub fn server_uid(&self) -> &str {
        &self.server_uid
    }

    /// The port it listens on, on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }

    /// The process, as long as it lives.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid.filter(|_| self.exit.borrow().is_none())
    }

    /// What it said last.
    #[must_use]
    pub fn last_lines(&self) -> Vec<String> {
        self.outputs.last_lines()
    }

    /// Statuses that it says it could not send, from now on. A reader that is 256 behind misses the oldest.
    #[must_use]
    pub fn undeliverable(&self) -> broadcast::Receiver<Undeliverable> {
        self.outputs.undeliverable.subscribe()
    }

    /// Waits until the process has ended. Cancel safe.
    pub async fn exited(&self) -> Exit {
        let mut exit = self.exit.clone();
        let ended = exit
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|exit| exit.clone());
        ended.unwrap_or_else(|| {
            self.outputs
                .exit(Err(io::Error::other("nobody watches the process any more")))
        })
    }

    /// Stops it: SIGINT, after a while SIGTERM, at last SIGKILL, each to the whole group.
    ///
    /// Cancel safety: if dropped, the process group is killed at once.
    pub async fn stop(self) -> Exit {
        self.begin_stop();
        self.exited().await
    }

    /// Begins what [`Self::stop`] does, without waiting; [`Self::exited`] tells when it is done.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Ends the keeper, and with it the group.
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// Watches over the child until it is gone.
struct Keeper {
    group: Group,
    stop: CancellationToken,
    times: StopTimes,
    readers: [JoinHandle<()>; 2],
    outputs: Outputs,
}

impl Keeper {
    async fn run(mut self) -> Exit {
        let status = tokio::select! {
            status = self.group.0.wait() => status,
            () = self.stop.cancelled() => self.end().await,
        };
        // What the leader started must not outlive it. Fails if nothing is left.
        let _ = self.group.0.start_kill();
        for reader in &mut self.readers {
            if tokio::time::timeout(OUTPUT_GRACE, &mut *reader)
                .await
                .is_err()
            {
                reader.abort();
            }
        }
        self.outputs.exit(status)
    }

    /// The stop sequence. SIGINT first: SIGTERM would skip the shutdown handlers of Python servers. spec: nanograph 12.6
    async fn end(&mut self) -> io::Result<ExitStatus> {
        for (signal, time) in [
            (SIGINT, self.times.interrupt),
            (SIGTERM, self.times.terminate),
        ] {
            if let Err(error) = self.group.0.signal(signal) {
                tracing::debug!(%error, signal, "the signal could not be sent");
            }
            if let Ok(status) = tokio::time::timeout(time, self.group.0.wait()).await {
                return status;
            }
        }
        self.group.0.start_kill()?;
        self.group.0.wait().await
    }
}

impl Outputs {
    /// Reads both outputs to their end, so that the child never waits for a reader.
    fn read(&self, group: &mut Group, ready: watch::Sender<bool>) -> [JoinHandle<()>; 2] {
        let (stdout, stderr) = (self.stdout.clone(), self.stderr.clone());
        let to_sink = |output| {
            let sink = self.sink.clone();
            move |line: &str| sink.iter().for_each(|sink| sink.take(output, line))
        };
        let (stdout_sink, stderr_sink) = (to_sink(Output::Stdout), to_sink(Output::Stderr));
        let on_stdout = move |line: &str| {
            stdout_sink(line);
            if line.contains(READY_LINE) {
                ready.send_replace(true);
            }
            stdout.push(line);
        };
        let undeliverable = self.undeliverable.clone();
        let on_stderr = move |line: &str| {
            stderr_sink(line);
            if let Some(status) = Undeliverable::parse(line) {
                // Nobody need listen.
                let _ = undeliverable.send(status);
            }
            stderr.push(line);
        };
        [
            read(group.0.stdout().take(), on_stdout),
            read(group.0.stderr().take(), on_stderr),
        ]
    }

    fn last_lines(&self) -> Vec<String> {
        let lines = self.stderr.last(LINES_TOLD);
        if lines.is_empty() {
            self.stdout.last(LINES_TOLD)
        } else {
            lines
        }
    }

    fn exit(&self, status: io::Result<ExitStatus>) -> Exit {
        let success = status.as_ref().is_ok_and(ExitStatus::success);
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        Exit {
            status,
            success,
            last_lines: self.last_lines(),
        }
    }
}

fn read(
    output: Option<impl AsyncRead + Unpin + Send + 'static>,
    take: impl FnMut(&str) + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Some(output) = output {
            read_lines(output, LINE_BYTES_MAX, take).await;
        }
    })
}

/// A port that nobody listens on now. Another program may take it before the child does; the child then fails, or the
/// other's uid is noticed.
fn free_port() -> Result<u16, ProcessError> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| Ok(listener.local_addr()?.port()));
    port.map_err(|source| ProcessError::Io {
        action: "find a free port".to_owned(),
        source,
    })
}
