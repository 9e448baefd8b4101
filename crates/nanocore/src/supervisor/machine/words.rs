//! What a machine is told, and what it answers.

/// What happens to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Event {
    /// It is to run.
    Start,
    /// It is not to run.
    Stop,
    /// It is not to run, and there is no time to let executions end.
    Shutdown,
    /// It is to run, and anew if it runs.
    Restart,
    /// What it is made of has changed: if it is to run, it is to run anew, once what it needs now is installed.
    Changed,
    /// It can be started.
    Installed,
    /// Installing or building failed.
    InstallFailed,
    /// It is connected.
    Ready,
    /// It did not become ready, or broke off for good; the process may run.
    StartFailed,
    /// It cannot be used, and starting again would not help; the process may run.
    Unusable,
    /// Another program has its port, which it noticed while it started; the process may run.
    PortTaken,
    /// The same, and the process has ended.
    EndedForPort,
    /// The process ended by itself.
    Exited,
    /// The connection was lost.
    Lost,
    /// The connection is back.
    Back,
    /// The process has been stopped.
    Stopped,
    /// The deadline was reached.
    Due,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) enum Do {
    /// Nothing.
    Nothing,
    /// Give up what is being done, and nothing more.
    Abandon,
    /// Give up what is being done, if anything, and install.
    Install,
    /// Give up what is being done, if anything, and install while the process runs on.
    InstallBeside,
    /// Start the process and connect.
    Spawn,
    /// Give up what is being done, if anything, and stop the process.
    Stop {
        /// Whether to wait for executions to end.
        drain: bool,
    },
}
