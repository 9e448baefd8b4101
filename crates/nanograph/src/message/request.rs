//! Requests to execute a node. spec: nanograph 5.3

use bytestring::ByteString;
use nodewire_json::{Json, MemberRef, members};

use super::envelope::{Envelope, json, string};
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
    parameters: Option<Json>,
}

impl ExecutionRequest {
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
        payload.end();
    }

    pub(super) fn read(text: &ByteString, envelope: &Envelope<'_>) -> Result<Self, RequestError> {
        let payload = Payload::read(envelope)?;
        Self::from_payload(text, envelope, &payload).map_err(|error| RequestError {
            error,
            origin: origin(text, envelope, &payload),
        })
    }

    fn from_payload(
        text: &ByteString,
        envelope: &Envelope<'_>,
        payload: &Payload<'_>,
    ) -> Result<Self, MessageError> {
        let instance_id = needed(envelope.instance_id.as_ref(), "instanceId")?;
        let instance_id = needed_string(text, instance_id, "instanceId")?;
        let node_id = NodeId::from(json(
            text,
            needed(payload.node_id.as_ref(), "payload.nodeId")?,
        )?);
        let node_uid = needed_string(
            text,
            needed(payload.node_uid.as_ref(), "payload.nodeUid")?,
            "payload.nodeUid",
        )?;
        let inputs = json(
            text,
            object_or_null(needed(payload.inputs.as_ref(), "payload.inputs")?)?,
        )?;
        let graph_node = needed(payload.graph_node.as_ref(), "payload.graphNode")?;
        let parameters = graph_node_parameters(text, graph_node)?;
        let graph_node = json(text, graph_node)?;
        Ok(Self {
            instance_id,
            node_id,
            node_uid,
            inputs,
            graph_node,
            parameters,
        })
    }
}

#[derive(Default)]
struct Payload<'a> {
    node_id: Option<MemberRef<'a>>,
    node_uid: Option<MemberRef<'a>>,
    inputs: Option<MemberRef<'a>>,
    graph_node: Option<MemberRef<'a>>,
}

impl<'a> Payload<'a> {
    fn read(envelope: &Envelope<'a>) -> Result<Self, MessageError> {
        let member = needed(envelope.payload.as_ref(), "payload")?;
        if !member.value.starts_with('{') {
            return Err(MessageError::WrongType {
                field: "payload",
                expected: "an object",
            });
        }
        let mut payload = Self::default();
        for member in members(member.value) {
            let member = member?;
            match member.key().as_ref() {
                "nodeId" => payload.node_id = Some(member),
                "nodeUid" => payload.node_uid = Some(member),
                "inputs" => payload.inputs = Some(member),
                "graphNode" => payload.graph_node = Some(member),
                _ => {}
            }
        }
        Ok(payload)
    }
}

/// Checks that the graph node is an object with an `id`, and gives its `parameters`.
fn graph_node_parameters(
    text: &ByteString,
    graph_node: &MemberRef<'_>,
) -> Result<Option<Json>, MessageError> {
    if !graph_node.value.starts_with('{') {
        return Err(MessageError::WrongType {
            field: "payload.graphNode",
            expected: "an object",
        });
    }
    let (mut has_id, mut parameters) = (false, None);
    for member in members(graph_node.value) {
        let member = member?;
        match member.key().as_ref() {
            "id" => has_id = true,
            "parameters" => parameters = Some(member),
            _ => {}
        }
    }
    if !has_id {
        return Err(MessageError::Missing {
            field: "payload.graphNode.id",
        });
    }
    Ok(parameters.map(|member| json(text, &member)).transpose()?)
}

/// Whom to tell that the request is malformed: both ids must be there.
fn origin(
    text: &ByteString,
    envelope: &Envelope<'_>,
    payload: &Payload<'_>,
) -> Option<Box<Origin>> {
    let instance_id = json(text, envelope.instance_id.as_ref()?).ok()?;
    let node_id = json(text, payload.node_id.as_ref()?).ok()?;
    let both = !instance_id.is_null() && !node_id.is_null();
    both.then(|| {
        Box::new(Origin {
            instance_id,
            node_id: node_id.into(),
        })
    })
}

fn needed<'m, 'a>(
    member: Option<&'m MemberRef<'a>>,
    field: &'static str,
) -> Result<&'m MemberRef<'a>, MessageError> {
    member.ok_or(MessageError::Missing { field })
}

fn needed_string(
    text: &ByteString,
    member: &MemberRef<'_>,
    field: &'static str,
) -> Result<ByteString, MessageError> {
    string(text, member).ok_or(MessageError::WrongType {
        field,
        expected: "a string",
    })
}

fn object_or_null<'m, 'a>(member: &'m MemberRef<'a>) -> Result<&'m MemberRef<'a>, MessageError> {
    let fits = member.value.starts_with('{') || member.value == "null";
    fits.then_some(member).ok_or(MessageError::WrongType {
        field: "payload.inputs",
        expected: "an object",
    })
}
