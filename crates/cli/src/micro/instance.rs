//! A program that was started, with all that it starts.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup};
use tokio::time::{sleep, timeout};

use crate::failure::Failure;
use crate::terminal;

const SIGTERM: i32 = 15;
/// Asks nothing of a group that runs; it tells whether there is any.
const SIGCONT: i32 = if cfg!(target_os = "macos") { 19 } else { 18 };
/// How often a group that has lost its leader is looked at.
const POLL: Duration = Duration::from_millis(20);

/// What to start.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
    /// Variables to set, and to take away.
    pub(super) environment: Vec<(&'static str, Option<String>)>,
}

/// A running program in a process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Instance {
    group: Box<dyn ChildWrapper>,
}

impl Instance {
    /// Starts it without standard input; what it prints goes where ours goes.
    pub(super) fn spawn(launch: &Launch) -> Result<Self, Failure> {
        let mut command = CommandWrap::with_new(&launch.program, |command| {
            command.args(&launch.arguments).stdin(Stdio::null());
            for (name, value) in &launch.environment {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
        });
        let spawned = command.wrap(ProcessGroup::leader()).spawn();
        let group = spawned.map_err(|error| {
            Failure::failed(format!(
                "cannot start {}: {error}",
                launch.program.to_string_lossy()
            ))
        })?;
        Ok(Self { group })
    }

    /// Waits until it ends by itself.
    ///
    /// Dropping the future changes nothing.
    pub(super) async fn exited(&mut self) -> Result<ExitStatus, Failure> {
        let status = self.group.wait().await;
        status.map_err(|error| Failure::failed(format!("cannot wait for the program: {error}")))
    }

    /// Asks it to end and waits for that, and for all that it has started. The program itself is asked first, and only
    /// what it leaves behind after that (a shell ends at once, and what it runs still has requests to answer): a service
    /// that starts a program for each request must not lose one that it has just forked. What is left after the grace
    /// time is killed.
    pub(super) async fn stop(mut self, grace: Duration) {
        let ended = async {
            // They fail when nothing is left.
            let _ = self.group.inner().signal(SIGTERM);
            let status = self.group.wait().await;
            let _ = self.group.signal(SIGTERM);
            while self.group.signal(SIGCONT).is_ok() {
                sleep(POLL).await;
            }
            status
        };
        match timeout(grace, ended).await {
            Ok(Ok(status)) if status.code().is_some_and(|code| code != 0) => {
                terminal::say(format_args!(
                    "the instance ended with {status} when it was stopped"
                ));
            }
            Ok(_) => {}
            Err(_) => terminal::say(format_args!(
                "{} the instance did not end within {} s; it is killed",
                terminal::warning_word(),
                grace.as_secs_f64()
            )),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // It fails when nothing is left.
        let _ = self.group.start_kill();
    }
}
