//! How long a handler may take.

use std::collections::HashMap;
use std::time::Duration;

use crate::command::Command;

/// What is done about a handler that takes long. Chosen per command, or for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// It may take as long as it likes; the client waits, and so do the requests behind it.
    Wait,
    /// After this time the client is answered `PENDING_WITH_NOTIFICATION`, the handler goes on, and what it answers is
    /// published on topic `COMMAND_RESULT`. The next request is served meanwhile.
    PendingAfter(Duration),
    /// After this time the handler's future is dropped, and the client is answered `FAILED`.
    FailAfter(Duration),
}

impl Default for Deadline {
    /// Pending after 100 ms.
    fn default() -> Self {
        Self::PendingAfter(Duration::from_millis(100))
    }
}

/// The deadlines of all commands.
#[derive(Debug, Clone, Default)]
pub(super) struct Deadlines {
    pub(super) default: Deadline,
    pub(super) by_command: HashMap<Command, Deadline>,
}

impl Deadlines {
    pub(super) fn of(&self, command: Command) -> Deadline {
        self.by_command
            .get(&command)
            .copied()
            .unwrap_or(self.default)
    }
}
