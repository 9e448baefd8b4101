//! What can be wrong with a message.

use nodewire_json::{Json, ScanError};

use super::NodeId;

/// Why a text is not a message of this wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Not a JSON object.
    #[error("not a JSON object: {0}")]
    NotAnObject(#[from] ScanError),
    /// A field that the message needs is not there.
    #[error("missing field: {field}")]
    Missing {
        /// Path of the field, such as `payload.inputs`.
        field: &'static str,
    },
    /// A field has the wrong type.
    #[error("{field} must be {expected}")]
    WrongType {
        /// Path of the field.
        field: &'static str,
        /// What it must be, such as `a string`.
        expected: &'static str,
    },
}

/// Why a client's message cannot be acted on, and whom to tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct RequestError {
    /// What is wrong.
    pub error: MessageError,
    /// The execution that was meant, if the message says so; without it nobody can be told.
    pub origin: Option<Box<Origin>>,
}

impl From<MessageError> for RequestError {
    fn from(error: MessageError) -> Self {
        Self {
            error,
            origin: None,
        }
    }
}

impl From<ScanError> for RequestError {
    fn from(error: ScanError) -> Self {
        MessageError::from(error).into()
    }
}

/// Which execution a malformed request meant, as far as it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `instanceId` as it came: normally a string.
    pub instance_id: Json,
    /// `payload.nodeId` as it came.
    pub node_id: NodeId,
}
