//! Requests to execute a node. spec: nanograph 5.3

use bytestring::ByteString;
use nodewire_json::{Json, ValueRef};

use super::envelope::{Envelope, is_object, needed, needed_string, string};
use super::text::{ObjectWriter, push_string};
use super::{MessageError, NodeId, Origin, RequestError};

/// One execution that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionRequest {
    /// The run, or a part of it; what a stop refers to.
    pub instance_id: ByteString,
    /// The placed node; statuses echo it.
    pub node_id: NodeId,
    /// Which implementation to execute.
    pub node_uid: ByteString,
    /// Lists of values by port name: an object, or `null` if the client sent that.
    pub inputs: Json,
    /// The placed node as the client has it: an object.
    pub graph_node: Json,
    /// W3C `traceparent`, at most [`Self::TRACE_PARENT_LENGTH_MAX`] bytes; a longer one is left out, written or read. The
    /// protocol has no place for it: it is one more member of `payload`, `traceparent`, which servers that do not know it
    /// pass over, and which is not written without one.
    pub trace_parent: Option<ByteString>,
    /// W3C `tracestate`, at most [`Self::TRACE_STATE_LENGTH_MAX`] bytes: another such member, `tracestate`, which is written
    /// only beside `traceparent`. A longer one is left out, written or read.
    pub trace_state: Option<ByteString>,
    parameters: Option<Json>,
}

impl ExecutionRequest {
    /// Longest [`Self::trace_parent`], in bytes.
    pub const TRACE_PARENT_LENGTH_MAX: usize = 256;

    /// Longest [`Self::trace_state`], in bytes.
    pub const TRACE_STATE_LENGTH_MAX: usize = 512;

    /// A request as a client sends it. `inputs` and `graph_node` should be objects; servers refuse other values.
    pub fn new(
        instance_id: impl Into<ByteString>,
        node_id: NodeId,
        node_uid: impl Into<ByteString>,
        inputs: Json,
        graph_node: Json,
    ) -> Self {
        let parameters = graph_node.get("parameters");
        Self {
            instance_id: instance_id.into(),
            node_id,
            node_uid: node_uid.into(),
            inputs,
            graph_node,
            trace_parent: None,
            trace_state: None,
            parameters,
        }
    }

    /// `parameters` of the graph node as it came, normally an array of objects with `name` and `value`.
    #[must_use]
    pub fn parameters(&self) -> Option<&Json> {
        self.parameters.as_ref()
    }

    /// The message's text. `server_uid` is the receiver's; known servers do not look at it.
    #[must_use]
    pub fn to_text(&self, server_uid: &str) -> String {
        let mut out = String::with_capacity(
            192 + self.inputs.as_str().len() + self.graph_node.as_str().len(),
        );
        let mut message = ObjectWriter::new(&mut out);
        message.string("type", "request_execution");
        message.string("serverUid", server_uid);
        message.string("instanceId", &self.instance_id);
        self.write_payload(message.key("payload"));
        message.end();
        out
    }

    fn write_payload(&self, out: &mut String) {
        let mut payload = ObjectWriter::new(out);
        payload.raw("nodeId", self.node_id.as_json().as_str());
        push_string(payload.key("nodeUid"), &self.node_uid);
        payload.raw("inputs", self.inputs.as_str());
        payload.raw("graphNode", self.graph_node.as_str());
        if let Some(parent) = self.trace_parent.as_ref().filter(|parent| fits(parent)) {
            push_string(payload.key("traceparent"), parent);
            if let Some(state) = self.trace_state.as_ref().filter(|state| state_fits(state)) {
                push_string(payload.key("tracestate"), state);
            }
        }
        payload.end();
    }

    pub(super) fn read(text: &ByteString, envelope: &Envelope<'_>) -> Result<Self, RequestError> {
        Self::from_envelope(text, envelope).map_err(|error| RequestError {
            error,
            origin: origin(text, envelope),
        })
    }

    fn from_envelope(text: &ByteString, envelope: &Envelope<'_>) -> Result<Self, MessageError> {
        let fields = &envelope.payload_object()?.fields;
        let instance_id = needed_string(text, envelope.instance_id, "instanceId")?;
        let node_id = needed(fields.node_id, "payload.nodeId")?;
        let node_uid = needed_string(text, fields.node_uid, "payload.nodeUid")?;
        let inputs = object_or_null(needed(fields.inputs, "payload.inputs")?)?;
        let graph_node = needed(fields.graph_node.as_ref(), "payload.graphNode")?;
        if !is_object(graph_node.whole) {
            return Err(MessageError::WrongType {
                field: "payload.graphNode",
                expected: "an object",
            });
        }
        needed(graph_node.id, "payload.graphNode.id")?;
        Ok(Self {
            instance_id,
            node_id: Json::found_in(text, node_id).into(),
            node_uid,
            inputs: Json::found_in(text, inputs),
            graph_node: Json::found_in(text, graph_node.whole),
            trace_parent: fields
                .trace_parent
                .and_then(|parent| string(text, parent))
                .filter(fits),
            trace_state: fields
                .trace_state
                .and_then(|state| string(text, state))
                .filter(state_fits),
            parameters: graph_node
                .parameters
                .map(|parameters| Json::found_in(text, parameters)),
        })
    }
}

/// Whom to tell that the request is malformed: both ids must be there.
fn origin(text: &ByteString, envelope: &Envelope<'_>) -> Option<Box<Origin>> {
    let instance_id = Json::found_in(text, envelope.instance_id?);
    let node_id = Json::found_in(text, envelope.payload.as_ref()?.fields.node_id?);
    let both = !instance_id.is_null() && !node_id.is_null();
    both.then(|| {
        Box::new(Origin {
            instance_id,
            node_id: node_id.into(),
        })
    })
}

fn fits(trace_parent: &ByteString) -> bool {
    trace_parent.len() <= ExecutionRequest::TRACE_PARENT_LENGTH_MAX
}

fn state_fits(trace_state: &ByteString) -> bool {
    trace_state.len() <= ExecutionRequest::TRACE_STATE_LENGTH_MAX
}

fn object_or_null(value: ValueRef<'_>) -> Result<ValueRef<'_>, MessageError> {
    let fits = is_object(value) || value.as_str() == "null";
    fits.then_some(value).ok_or(MessageError::WrongType {
        field: "payload.inputs",
        expected: "an object",
    })
}
