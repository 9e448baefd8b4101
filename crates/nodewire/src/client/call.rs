//! What is to be executed.

use std::time::Duration;

use bytestring::ByteString;
use nodewire_core::{Inputs, Parameters, PortValue};
use nodewire_json::Json;

/// An execution to ask for.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Call {
    /// The node's uid.
    pub node: ByteString,
    /// Values by port. On the Nanograph wire bytes have no form: store them as an asset, and give its reference.
    pub inputs: Inputs,
    /// Parameters by name; those left out have their defaults.
    pub parameters: Parameters,
    /// From now on. The server is told where the wire has a place for it; elsewhere the execution is cancelled.
    pub timeout: Option<Duration>,
    /// Higher goes first among those waiting, where the wire has a place for it.
    pub priority: Option<i32>,
    /// W3C trace context, where the wire has a place for it.
    pub trace_parent: Option<String>,
    /// Whether progress and partial outputs are wanted; they are. Without, wires that can send one answer only.
    pub wants_events: bool,
}

impl Call {
    /// Of this node, with nothing else set.
    pub fn new(node: impl Into<ByteString>) -> Self {
        Self {
            node: node.into(),
            wants_events: true,
            ..Self::default()
        }
    }

    /// With this at an input.
    #[must_use]
    pub fn input(mut self, port: impl Into<ByteString>, value: impl Into<PortValue>) -> Self {
        self.inputs.insert(port, value);
        self
    }

    /// With this parameter.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<ByteString>, value: impl Into<Json>) -> Self {
        self.parameters.insert(name, value);
        self
    }

    /// With this time.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Without progress and partial outputs.
    #[must_use]
    pub const fn quiet(mut self) -> Self {
        self.wants_events = false;
        self
    }
}
