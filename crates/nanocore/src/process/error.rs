//! What can go wrong with a node-server process.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How a process ended, and what it said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The exit status in the system's words, such as `exit status: 1`.
    pub status: String,
    /// Whether it was status 0.
    pub success: bool,
    /// The last lines of standard error, or of standard output if there were none.
    pub last_lines: Vec<String>,
}

/// Why a node server could not be prepared or started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The folder lacks something.
    #[error("{}: {problem}", folder.display())]
    Folder {
        /// The server's folder.
        folder: PathBuf,
        /// What is missing or wrong, and what to do.
        problem: String,
    },
    /// A program could not be started at all.
    #[error("cannot start `{program}`; is it installed and on the PATH?")]
    Spawn {
        /// The program.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A preparing program failed.
    #[error("`{command}` failed ({}){}", exit.status, Tail(&exit.last_lines))]
    Tool {
        /// The command line.
        command: String,
        /// How it ended.
        exit: Exit,
    },
    /// A preparing program took too long.
    #[error("`{command}` did not finish within {} s", after.as_secs())]
    ToolTimeout {
        /// The command line.
        command: String,
        /// The limit.
        after: Duration,
    },
    /// The server ended before it was ready.
    #[error("server {server_uid} ended before it was ready ({}){}", exit.status, Tail(&exit.last_lines))]
    Ended {
        /// The server.
        server_uid: String,
        /// How it ended.
        exit: Exit,
    },
    /// The server said that it is ready, and ended at once. spec: nanograph N4
    #[error(
        "server {server_uid} ended as soon as it was ready; its entry point must wait after `start()` instead of returning{}",
        Tail(&exit.last_lines)
    )]
    EndedAtOnce {
        /// The server.
        server_uid: String,
        /// How it ended.
        exit: Exit,
    },
    /// The server did not become ready in time.
    #[error("server {server_uid} was not ready within {} s{}", after.as_secs(), Tail(last_lines))]
    NotReady {
        /// The server.
        server_uid: String,
        /// The limit.
        after: Duration,
        /// What it said last.
        last_lines: Vec<String>,
    },
    /// Another program answers on the server's port.
    #[error(
        "port {port} is answered by {found}, not by {expected}; stop that program or free the port"
    )]
    Foreign {
        /// The port.
        port: u16,
        /// The uid that should have answered.
        expected: String,
        /// Who answered.
        found: String,
    },
    /// The file system or the network refused something.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// The system's reason.
        source: io::Error,
    },
}

struct Tail<'a>(&'a [String]);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        f.write_str("; it said:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}
