//! What all messages have in common. spec: nanograph 5

use bytestring::ByteString;
use nodewire_json::{Json, Reader, ScanError, ValueRef};

use super::MessageError;

/// A message's fields, found in one pass over its text; of duplicates the last.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    pub(super) kind: Option<ValueRef<'a>>,
    pub(super) server_uid: Option<ValueRef<'a>>,
    pub(super) server_package_id: Option<ValueRef<'a>>,
    pub(super) instance_id: Option<ValueRef<'a>>,
    pub(super) payload: Option<Payload<'a>>,
}

/// The payload, and what executions have in it.
#[derive(Debug)]
pub(super) struct Payload<'a> {
    pub(super) whole: ValueRef<'a>,
    pub(super) fields: Fields<'a>,
}

/// Fields of payloads about executions. spec: nanograph 5.3, 5.4
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) node_id: Option<ValueRef<'a>>,
    pub(super) node_uid: Option<ValueRef<'a>>,
    pub(super) trace_parent: Option<ValueRef<'a>>,
    pub(super) trace_state: Option<ValueRef<'a>>,
    pub(super) inputs: Option<ValueRef<'a>>,
    pub(super) status: Option<ValueRef<'a>>,
    pub(super) graph_node: Option<GraphNode<'a>>,
}

/// The placed node, and what servers need of it.
#[derive(Debug)]
pub(super) struct GraphNode<'a> {
    pub(super) whole: ValueRef<'a>,
    pub(super) id: Option<ValueRef<'a>>,
    pub(super) parameters: Option<ValueRef<'a>>,
}

impl<'a> Envelope<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, ScanError> {
        let mut envelope = Self::default();
        let mut reader = Reader::new(text);
        reader.object(|key, reader| {
            match key.name().as_ref() {
                "type" => envelope.kind = Some(reader.value()?),
                "serverUid" => envelope.server_uid = Some(reader.value()?),
                "serverPackageId" => envelope.server_package_id = Some(reader.value()?),
                "instanceId" => envelope.instance_id = Some(reader.value()?),
                "payload" => envelope.payload = Some(Payload::read(reader)?),
                _ => {}
            }
            Ok(())
        })?;
        reader.end()?;
        Ok(envelope)
    }

    /// The payload's fields; none if there is no payload.
    pub(super) fn payload_object(&self) -> Result<&Payload<'a>, MessageError> {
        let payload = needed(self.payload.as_ref(), "payload")?;
        if !is_object(payload.whole) {
            return Err(MessageError::WrongType {
                field: "payload",
                expected: "an object",
            });
        }
        Ok(payload)
    }
}

impl<'a> Payload<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ScanError> {
        let mut fields = Fields::default();
        if !reader.at_object() {
            return Ok(Self {
                whole: reader.value()?,
                fields,
            });
        }
        let whole = reader.object(|key, reader| {
            match key.name().as_ref() {
                "nodeId" => fields.node_id = Some(reader.value()?),
                "nodeUid" => fields.node_uid = Some(reader.value()?),
                "traceparent" => fields.trace_parent = Some(reader.value()?),
                "tracestate" => fields.trace_state = Some(reader.value()?),
                "inputs" => fields.inputs = Some(reader.value()?),
                "status" => fields.status = Some(reader.value()?),
                "graphNode" => fields.graph_node = Some(GraphNode::read(reader)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self { whole, fields })
    }
}

impl<'a> GraphNode<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, ScanError> {
        let (mut id, mut parameters) = (None, None);
        if !reader.at_object() {
            return Ok(Self {
                whole: reader.value()?,
                id,
                parameters,
            });
        }
        let whole = reader.object(|key, reader| {
            match key.name().as_ref() {
                "id" => id = Some(reader.value()?),
                "parameters" => parameters = Some(reader.value()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self {
            whole,
            id,
            parameters,
        })
    }
}

pub(super) fn needed<T>(field: Option<T>, name: &'static str) -> Result<T, MessageError> {
    field.ok_or(MessageError::Missing { field: name })
}

pub(super) fn is_object(value: ValueRef<'_>) -> bool {
    value.as_str().starts_with('{')
}

/// The value of a string, sharing the memory of `text` unless it has escapes. `None` if it is no string, or one that no
/// Rust string can hold (lone surrogates).
pub(super) fn string(text: &ByteString, value: ValueRef<'_>) -> Option<ByteString> {
    let inside = value.as_str().strip_prefix('"')?.strip_suffix('"')?;
    if !inside.contains('\\') {
        return Some(text.slice_ref(inside));
    }
    let unescaped = value
        .is_strict()
        .then(|| serde_json::from_str::<String>(value.as_str()).ok());
    unescaped.flatten().map(ByteString::from)
}

/// As [`string`], but a value that is none is an error.
pub(super) fn needed_string(
    text: &ByteString,
    value: Option<ValueRef<'_>>,
    name: &'static str,
) -> Result<ByteString, MessageError> {
    let value = needed(value, name)?;
    string(text, value).ok_or(MessageError::WrongType {
        field: name,
        expected: "a string",
    })
}

/// As [`string`], owned and lenient.
pub(super) fn owned_string(text: &ByteString, value: Option<ValueRef<'_>>) -> Option<String> {
    string(text, value?).map(String::from)
}

/// The payload, which must be an object.
pub(super) fn payload(text: &ByteString, envelope: &Envelope<'_>) -> Result<Json, MessageError> {
    Ok(Json::found_in(text, envelope.payload_object()?.whole))
}
