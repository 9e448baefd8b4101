//! Why the command fails: an exit status and a message.

use std::fmt;
use std::process::ExitCode;

use crate::terminal;

/// A failure as the person sees it.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// A node failed.
    pub(crate) fn node(message: impl Into<String>) -> Self {
        Self {
            status: 1,
            message: message.into(),
        }
    }

    /// What was asked for was not done.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self {
            status: 1,
            message: message.into(),
        }
    }

    /// The command line or the graph is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            status: 2,
            message: message.into(),
        }
    }

    /// A server could not be started or reached.
    pub(crate) fn servers(message: impl Into<String>) -> Self {
        Self {
            status: 3,
            message: message.into(),
        }
    }

    /// The person interrupted it.
    pub(crate) fn interrupted() -> Self {
        Self {
            status: 130,
            message: "interrupted".to_owned(),
        }
    }

    /// The same with the status 1, unless the person interrupted it.
    pub(crate) fn into_failed(mut self) -> Self {
        if self.status != 130 {
            self.status = 1;
        }
        self
    }

    /// With this before its message.
    pub(crate) fn prefixed(mut self, prefix: &str) -> Self {
        self.message.insert_str(0, prefix);
        self
    }

    /// Tells the person, and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        terminal::error(&terminal::plain(&self.message));
        ExitCode::from(self.status)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error with what caused it, in one line each.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some messages include their cause already.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
