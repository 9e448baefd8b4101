//! What is asked of an executor.

use std::time::Instant;

use bytestring::ByteString;

use crate::value::{Inputs, Parameters};

/// One execution to be done.
#[derive(Debug, Clone)]
pub struct ExecutionRequest {
    /// The uid of the node.
    pub node: ByteString,
    /// What goes in.
    pub inputs: Inputs,
    /// Parameters that were set; the others have the definition's defaults.
    pub parameters: Parameters,
    /// When it is of no use any more. The handler is told, and given up on after the grace time.
    pub deadline: Option<Instant>,
    /// Among those waiting for the same node the higher goes first; 0 by default.
    pub priority: i32,
    /// W3C `traceparent`, if the wire brought one.
    pub trace_parent: Option<String>,
    /// W3C `tracestate`, if the wire brought one.
    pub trace_state: Option<String>,
    /// The caller's own name for it, for logs; whatever the wire has. May share the memory of its message.
    pub caller_id: ByteString,
}

impl ExecutionRequest {
    /// A request without inputs, deadline or priority.
    pub fn new(node: impl Into<ByteString>) -> Self {
        Self {
            node: node.into(),
            inputs: Inputs::new(),
            parameters: Parameters::new(),
            deadline: None,
            priority: 0,
            trace_parent: None,
            trace_state: None,
            caller_id: ByteString::new(),
        }
    }

    /// Sets the inputs.
    #[must_use]
    pub fn inputs(mut self, inputs: Inputs) -> Self {
        self.inputs = inputs;
        self
    }

    /// Sets the parameters.
    #[must_use]
    pub fn parameters(mut self, parameters: Parameters) -> Self {
        self.parameters = parameters;
        self
    }
}
