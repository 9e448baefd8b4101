//! From a message's text to the backend.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::connection::Connection;
use super::listener::Shared;
use super::replies::Execution;
use super::{Backend, Replies, StopHandle};
use crate::message::{ClientMessage, ExecutionRequest, RequestError, StopAck};

/// Messages up to this size are copied out of the read buffer, so that a long execution does not keep that whole.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// Acts on one text frame.
pub(super) fn dispatch<B: Backend>(
    server: &Shared<B>,
    connection: &Arc<Connection>,
    text: Utf8Bytes,
) {
    match ClientMessage::parse(own(text)) {
        Ok(ClientMessage::RequestExecution(request)) => execute(server, connection, request),
        Ok(ClientMessage::StopWorkflowInstance { instance_id }) => {
            stop(server, connection, instance_id)
        }
        Ok(ClientMessage::Unknown { kind }) => {
            tracing::debug!(%kind, "a message of unknown type is ignored");
            server.stats.messages_ignored.increment();
        }
        Err(error) => malformed(server, connection, &error),
    }
}

fn own(text: Utf8Bytes) -> ByteString {
    if text.len() <= COPIED_BYTES_MAX {
        return ByteString::from(text.as_str());
    }
    let bytes = Bytes::from(text);
    // It was text before, so nothing is lost.
    ByteString::try_from(bytes).unwrap_or_default()
}

fn execute<B: Backend>(
    server: &Shared<B>,
    connection: &Arc<Connection>,
    request: ExecutionRequest,
) {
    let limit = server.options.limits.executions_per_connection;
    if !connection.admit(limit) {
        return refuse_busy(server, connection, &request, limit);
    }
    server.stats.executions_started.increment();
    let execution = Arc::new(Execution::new(&request, Arc::clone(connection)));
    let replies = Replies::new(Arc::clone(&execution));
    if request.parameters().is_none() {
        return without_parameters(server, &request, &replies);
    }
    let started = catch_unwind(AssertUnwindSafe(|| {
        server.backend.execute(request, replies)
    }));
    match started {
        Ok(handle) if !execution.is_over() => server.registry.register(execution, handle),
        Ok(_) => {}
        Err(_) => {
            tracing::error!(instance_id = %execution.instance_id, "the backend panicked on a request");
            server.stats.backend_panics.increment();
        }
    }
}

/// Answers as the Python SDK does. spec: nanograph 5.3
fn without_parameters<B: Backend>(
    server: &Shared<B>,
    request: &ExecutionRequest,
    replies: &Replies,
) {
    let known = server
        .backend
        .definitions()
        .iter()
        .any(|definition| definition.uid == *request.node_uid);
    let _ = if known {
        replies.started();
        replies.error("'parameters'")
    } else {
        replies.not_found()
    };
}

fn refuse_busy<B: Backend>(
    server: &Shared<B>,
    connection: &Connection,
    request: &ExecutionRequest,
    limit: usize,
) {
    server.stats.executions_refused.increment();
    let message = format!(
        "Too many executions at once on this connection: the limit is {limit}; wait for some to end"
    );
    connection.refuse_execution(
        &request.instance_id,
        request.node_id.as_json().as_str(),
        &message,
    );
}

/// The acknowledgement is queued before any execution learns of the stop. spec: nanograph 5.5
fn stop<B: Backend>(server: &Shared<B>, connection: &Connection, instance_id: ByteString) {
    let handles = server.registry.handles(&instance_id);
    server.stats.stops.increment();
    server.stats.executions_stopped.add(handles.len() as u64);
    let message = format!(
        "Stop workflow request acknowledged. Attempted to abort {} active node(s) on this server for instance {instance_id}.",
        handles.len()
    );
    let server_uid = Some(server.options.identity.server_uid.clone());
    let ack = StopAck {
        server_uid,
        instance_id,
        success: true,
        message,
    }
    .to_text();
    connection.push(|out| out.push_str(&ack));
    for handle in handles {
        handle.stop();
    }
}

/// Tells whoever waits for the execution what is wrong; without both ids there is nobody to tell.
/// spec: nanograph 5.6, 9
fn malformed<B: Backend>(server: &Shared<B>, connection: &Connection, error: &RequestError) {
    let Some(origin) = &error.origin else {
        tracing::debug!(%error, "a malformed message is ignored");
        server.stats.messages_ignored.increment();
        return;
    };
    server.stats.requests_malformed.increment();
    let node_id = origin.node_id.as_json().as_str();
    connection.refuse(
        origin.instance_id.as_str(),
        node_id,
        &format!("Malformed request: {error}"),
    );
}
