//! How a backend answers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytestring::ByteString;
use nodewire_json::{Json, Kind};

use super::connection::{Connection, write_error};
use super::registry::Place;
use crate::message::text::push_string;
use crate::message::{ExecutionRequest, NodeId, Progress};

/// The statuses of one execution, on their way to the client that asked for it. Usable from any thread; nothing here
/// blocks but [`Self::room`].
///
/// After the terminal status ([`Self::complete`] or [`Self::error`]) everything further is refused. Dropped without one,
/// it sends an `error`.
pub struct Replies {
    execution: Arc<Execution>,
}

/// What became of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is on its way.
    Queued,
    /// Dropped: too much waits for this client. Only `running` statuses are.
    Full,
    /// Dropped: the connection is gone. spec: nanograph 6
    Gone,
    /// Refused: the execution has had its terminal status. spec: nanograph 23 N17
    Over,
}

/// One execution, from the request to the terminal status.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) instance_id: ByteString,
    pub(super) place: Place,
    node_id: NodeId,
    node_uid: ByteString,
    connection: Arc<Connection>,
    over: AtomicBool,
}

const STARTED: &str = r#"{"type": "running", "message": "Starting execution..."}}}"#;
const COMPLETE: &str = r#"{"type": "complete", "message": "Execution finished.", "outputs": "#;

impl Replies {
    pub(super) fn new(execution: Arc<Execution>) -> Self {
        Self { execution }
    }

    /// The instance that the request named.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.execution.instance_id
    }

    /// The placed node that the request named.
    #[must_use]
    pub fn node_id(&self) -> &NodeId {
        &self.execution.node_id
    }

    /// The first `running` status, "Starting execution...": to be sent when the handler starts, not while it waits.
    /// Never dropped for want of room. spec: nanograph 5.4
    pub fn started(&self) {
        self.push_running(true, |out| out.push_str(STARTED));
    }

    /// A `running` status.
    pub fn running(&self, message: Option<&str>, progress: Option<Progress>) -> Delivery {
        self.push_running(false, |out| {
            write_running(out, message, progress);
            out.push_str("}}}");
        })
    }

    /// A `running` status with outputs so far.
    pub fn partial(&self, message: Option<&str>, outputs: &Json) -> Delivery {
        self.push_running(false, |out| {
            write_running(out, message, None);
            out.push_str(", \"outputs\": ");
            out.push_str(outputs.as_str());
            out.push_str("}}}");
        })
    }

    /// Any status that is not terminal, as it is. Statuses of type `complete` or `error` belong to [`Self::complete`]
    /// and [`Self::error`], which end the execution.
    pub fn status(&self, status: &Json) -> Delivery {
        debug_assert_eq!(status.kind(), Kind::Object, "a status is an object");
        self.push_running(false, |out| {
            out.push_str(status.as_str());
            out.push_str("}}");
        })
    }

    /// The terminal status `complete`. `outputs` is an object of lists by port name, or what else the node returned.
    pub fn complete(&self, outputs: &Json) -> Delivery {
        self.end(true, |out| {
            out.push_str(COMPLETE);
            out.push_str(outputs.as_str());
            out.push_str("}}}");
        })
    }

    /// The terminal status `error`.
    pub fn error(&self, message: &str) -> Delivery {
        self.end(false, |out| write_error(out, message))
    }

    /// The terminal status for a node uid that nobody implements. spec: nanograph 5.4
    pub fn not_found(&self) -> Delivery {
        self.error(&format!(
            "Node definition not found: {}",
            self.execution.node_uid
        ))
    }

    /// The terminal status after a stop. spec: nanograph 5.4
    pub fn cancelled(&self) -> Delivery {
        self.error("Execution cancelled")
    }

    /// Whether the terminal status was given.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.execution.is_over()
    }

    /// Whether the client can still be told anything.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        !self.execution.connection.outbox.is_closed()
    }

    /// Whether a `running` status would not be dropped for want of room.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.execution.connection.outbox.has_room()
    }

    /// Waits until there is room, or the connection is gone.
    ///
    /// # Cancel safety
    /// Safe to drop at any time.
    pub async fn room(&self) {
        self.execution.connection.outbox.room().await;
    }

    fn push_running(&self, always: bool, write: impl FnOnce(&mut String)) -> Delivery {
        let execution = &*self.execution;
        let connection = &*execution.connection;
        if !always && !connection.outbox.has_room() && !execution.is_over() {
            connection.stats.statuses_dropped.increment();
            return Delivery::Full;
        }
        let queued = connection.outbox.push(|out| {
            // Read under the lock that the terminal status will take too: nothing comes after that one.
            if execution.is_over() {
                return false;
            }
            execution.push_head(out);
            write(out);
            true
        });
        if queued {
            execution.delivery()
        } else {
            Delivery::Over
        }
    }

    fn end(&self, completed: bool, write: impl FnOnce(&mut String)) -> Delivery {
        let execution = &*self.execution;
        if execution.over.swap(true, Ordering::AcqRel) {
            return Delivery::Over;
        }
        let connection = &*execution.connection;
        connection.registry.unregister(execution);
        connection.release();
        let ended = if completed {
            &connection.stats.executions_completed
        } else {
            &connection.stats.executions_failed
        };
        ended.increment();
        connection.push(|out| {
            execution.push_head(out);
            write(out);
        });
        execution.delivery()
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        if !self.is_over() {
            let _ = self.error("The execution ended without a result");
        }
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Execution {
            instance_id,
            node_id,
            node_uid,
            ..
        } = &*self.execution;
        let mut debug = f.debug_struct("Replies");
        debug
            .field("instance_id", instance_id)
            .field("node_id", node_id)
            .field("node_uid", node_uid);
        debug.finish_non_exhaustive()
    }
}

impl Execution {
    pub(super) fn new(request: &ExecutionRequest, connection: Arc<Connection>) -> Self {
        Self {
            instance_id: request.instance_id.clone(),
            place: Place::nowhere(),
            node_id: request.node_id.clone(),
            node_uid: request.node_uid.clone(),
            connection,
            over: AtomicBool::new(false),
        }
    }

    /// All its messages start like this.
    fn push_head(&self, out: &mut String) {
        self.connection
            .push_head(out, &self.instance_id, self.node_id.as_json().as_str());
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn delivery(&self) -> Delivery {
        if self.connection.outbox.is_closed() {
            self.connection.stats.statuses_lost.increment();
            Delivery::Gone
        } else {
            Delivery::Queued
        }
    }
}

/// A running status without its closing braces.
fn write_running(out: &mut String, message: Option<&str>, progress: Option<Progress>) {
    out.push_str("{\"type\": \"running\"");
    if let Some(message) = message {
        out.push_str(", \"message\": ");
        push_string(out, message);
    }
    if let Some(progress) = progress {
        out.push_str(", \"progress\": ");
        progress.write(out);
    }
}
