//! What a connection is to those who answer on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::outbox::Outbox;
use super::registry::Unregister;
use super::stats::Stats;
use crate::message::text::push_string;

/// One WebSocket connection, shared by its task and the executions that were asked for on it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) outbox: Outbox,
    pub(super) stats: Arc<Stats>,
    pub(super) registry: Arc<dyn Unregister>,
    /// The start of every `node_status` up to the instance id, the same for all.
    pub(super) status_start: Arc<str>,
    executions: AtomicUsize,
}

impl Connection {
    pub(super) fn new(
        outbound_bytes: usize,
        stats: Arc<Stats>,
        registry: Arc<dyn Unregister>,
        status_start: Arc<str>,
    ) -> Self {
        let executions = AtomicUsize::new(0);
        Self {
            outbox: Outbox::new(outbound_bytes),
            stats,
            registry,
            status_start,
            executions,
        }
    }

    /// Takes a place for one more execution, unless there are `limit` already.
    pub(super) fn admit(&self, limit: usize) -> bool {
        // Only the connection's own task admits, so that the check cannot be overtaken.
        let admitted = self.executions.load(Ordering::Acquire) < limit;
        if admitted {
            self.executions.fetch_add(1, Ordering::AcqRel);
        }
        admitted
    }

    pub(super) fn release(&self) {
        self.executions.fetch_sub(1, Ordering::AcqRel);
    }

    /// Queues an `error` for an execution that is not started.
    pub(super) fn refuse_execution(&self, instance_id: &str, node_id: &str, message: &str) {
        self.push(|out| {
            self.push_head(out, instance_id, node_id);
            write_error(out, message);
        });
    }

    /// As [`Self::refuse_execution`], with the instance id as JSON text.
    pub(super) fn refuse(&self, instance_id: &str, node_id: &str, message: &str) {
        self.push(|out| {
            push_head(
                out,
                &self.status_start,
                |out| out.push_str(instance_id),
                node_id,
            );
            write_error(out, message);
        });
    }

    /// The start of a status of this execution.
    pub(super) fn push_head(&self, out: &mut String, instance_id: &str, node_id: &str) {
        push_head(
            out,
            &self.status_start,
            |out| push_string(out, instance_id),
            node_id,
        );
    }

    /// Queues a message that is never dropped while the connection lives.
    pub(super) fn push(&self, write: impl FnOnce(&mut String)) {
        self.outbox.push(|out| {
            write(out);
            true
        });
    }
}

/// The start of all `node_status` messages of a server. spec: nanograph 5.4
pub(super) fn status_start(server_uid: &str) -> Arc<str> {
    let mut out = String::from("{\"type\": \"node_status\", \"serverUid\": ");
    push_string(&mut out, server_uid);
    out.push_str(", \"instanceId\": ");
    out.into()
}

/// The start of a status; `}}` is missing after it. `node_id` is JSON text.
fn push_head(
    out: &mut String,
    status_start: &str,
    push_instance: impl FnOnce(&mut String),
    node_id: &str,
) {
    out.push_str(status_start);
    push_instance(out);
    out.push_str(", \"payload\": {\"nodeId\": ");
    out.push_str(node_id);
    out.push_str(", \"status\": ");
}

pub(super) fn write_error(out: &mut String, message: &str) {
    out.push_str("{\"type\": \"error\", \"message\": ");
    push_string(out, message);
    out.push_str("}}}");
}
