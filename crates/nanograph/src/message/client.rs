//! What clients send.

use bytestring::ByteString;

use super::envelope::{Envelope, needed, needed_string};
use super::text::ObjectWriter;
use super::{ExecutionRequest, MessageError, RequestError};

/// A message from a client to a node server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "moved once or twice; a box would be an allocation for each request"
)]
pub enum ClientMessage {
    /// Execute a node.
    RequestExecution(ExecutionRequest),
    /// Stop all executions of an instance. spec: nanograph 5.5
    StopWorkflowInstance {
        /// Which instance.
        instance_id: ByteString,
    },
    /// A message of another `type`; servers ignore it.
    Unknown {
        /// Its `type`.
        kind: ByteString,
    },
}

impl ClientMessage {
    /// Reads a frame's text.
    ///
    /// # Errors
    /// If it is no message; see [`RequestError::origin`] for whether somebody waits for an answer.
    pub fn parse(text: impl Into<ByteString>) -> Result<Self, RequestError> {
        let text = text.into();
        let envelope = Envelope::read(&text)?;
        let kind = needed(envelope.kind, "type")?;
        match kind.as_str() {
            "\"request_execution\"" => {
                ExecutionRequest::read(&text, &envelope).map(Self::RequestExecution)
            }
            "\"stop_workflow_instance\"" => Ok(stop(&text, &envelope)?),
            _ => Self::other(&text, &envelope),
        }
    }

    /// A `type` that is unknown, or written with escapes.
    fn other(text: &ByteString, envelope: &Envelope<'_>) -> Result<Self, RequestError> {
        let kind = needed_string(text, envelope.kind, "type")?;
        match kind.as_ref() {
            "request_execution" => {
                ExecutionRequest::read(text, envelope).map(Self::RequestExecution)
            }
            "stop_workflow_instance" => Ok(stop(text, envelope)?),
            _ => Ok(Self::Unknown { kind }),
        }
    }

    /// The message's text. `server_uid` is the receiver's; known servers do not look at it.
    #[must_use]
    pub fn to_text(&self, server_uid: &str) -> String {
        match self {
            Self::RequestExecution(request) => request.to_text(server_uid),
            Self::StopWorkflowInstance { instance_id } => {
                let mut out = String::with_capacity(96);
                let mut message = ObjectWriter::new(&mut out);
                message.string("type", "stop_workflow_instance");
                message.string("serverUid", server_uid);
                message.string("instanceId", instance_id);
                message.end();
                out
            }
            Self::Unknown { kind } => {
                let mut out = String::new();
                let mut message = ObjectWriter::new(&mut out);
                message.string("type", kind);
                message.string("serverUid", server_uid);
                message.end();
                out
            }
        }
    }
}

fn stop(text: &ByteString, envelope: &Envelope<'_>) -> Result<ClientMessage, MessageError> {
    let instance_id = needed_string(text, envelope.instance_id, "instanceId")?;
    Ok(ClientMessage::StopWorkflowInstance { instance_id })
}
