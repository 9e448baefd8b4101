//! What the actor tells others: in the log, the status and events.

use std::time::Instant;

use jiff::Timestamp;
use serde_json::json;

use super::super::logs::LogSource;
use super::super::status::{LastError, ServerState};
use super::Actor;
use crate::register::Finding;

/// Lines of standard error kept with an error.
const STDERR_LINES: usize = 50;

impl Actor {
    pub(super) fn found(&self, findings: &[Finding]) {
        self.slot
            .status
            .send_modify(|status| status.problems = findings.to_vec());
    }

    pub(super) fn say(&self, text: &str) {
        self.slot.log.push(LogSource::Supervisor, text);
    }

    pub(super) fn set_update_error(&self, message: Option<String>) {
        self.slot.status.send_if_modified(|status| {
            let is_new = status.update_error != message;
            status.update_error = message;
            is_new
        });
    }

    /// Notes why the server cannot be used.
    pub(super) fn fail(&self, message: String) {
        self.say(&message);
        let log_start = self.running.as_ref().map(|running| running.log_start);
        let stderr = log_start
            .map(|start| self.slot.log.stderr_after(start, STDERR_LINES))
            .unwrap_or_default();
        let at = Timestamp::now();
        self.slot.status.send_modify(|status| {
            status.last_error = Some(LastError {
                message,
                at,
                stderr,
            });
        });
    }

    /// Tells what the server is up to now.
    pub(super) fn publish(&self, before: ServerState) {
        let state = self.machine.state();
        let next_start = self.machine.next_start().map(|at| {
            let wait = at.saturating_duration_since(Instant::now());
            Timestamp::now() + wait
        });
        let is_unresponsive = self.slot.is_unresponsive();
        self.slot.status.send_modify(|status| {
            status.unresponsive = is_unresponsive;
            if status.state != state {
                status.since = Timestamp::now();
            }
            status.state = state;
            status.failed_starts = self.machine.failures_in_row();
            status.next_start = next_start;
        });
        let status = self.slot.status.borrow().clone();
        let fields = json!({
            "serverUid": status.server_uid,
            "serverPackageId": status.server_package_id,
            "serverDisplayName": status.server_display_name,
            "state": state,
            "previous": before,
            "unresponsive": status.unresponsive,
            "port": status.port,
            "pid": status.pid,
            "failedStarts": status.failed_starts,
            "nextStart": status.next_start,
            "error": status.last_error.map(|error| error.message),
            "updateError": status.update_error,
            "problems": status.problems,
        });
        self.shared
            .parts
            .events
            .publish("server_state", None, fields);
        tracing::info!(
            server_uid = status.server_uid,
            state = state.as_str(),
            "node server"
        );
    }
}
