//! What a frame carries as a node's inputs.

use bytes::Bytes;
use nnrp_wire::ObjectKind;
use nnrp_wire::body::{InlineObject, PayloadKind, Section, TypedPayload};
use nodewire_core::{Inputs, NodeDefinition, NodeError, Port, PortValue, Value};
use nodewire_json::Json;

use crate::plain;

/// Something that becomes the value of an input, or several values.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// The place of its port, counted from 1; 0 says nothing.
    port: u16,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Bytes(Vec<Bytes>),
    Text(Bytes),
    Json(Bytes),
}

impl Piece {
    pub(super) fn bytes(bytes: Bytes) -> Self {
        Self::of(0, Content::Bytes(vec![bytes]))
    }

    pub(super) fn camera(camera: &Bytes) -> Option<Self> {
        (!camera.is_empty()).then(|| Self::bytes(camera.clone()))
    }

    pub(super) fn section(section: &Section) -> Self {
        Self::of(0, Content::Bytes(section.tiles().collect()))
    }

    /// Tile ids and sections are read elsewhere.
    pub(super) fn object(object: &InlineObject) -> Option<Self> {
        let is_tensor = matches!(
            object.kind,
            ObjectKind::TileIndexBlock | ObjectKind::TensorSectionTable
        );
        (!is_tensor).then(|| Self::bytes(object.payload()))
    }

    pub(super) fn payload(payload: TypedPayload) -> Self {
        let content = match payload.kind {
            PayloadKind::TokenChunk => Content::Text(payload.payload),
            PayloadKind::StructuredEvent | PayloadKind::ToolDelta => Content::Json(payload.payload),
            PayloadKind::Tensor
            | PayloadKind::AudioChunk
            | PayloadKind::VideoChunk
            | PayloadKind::OpaqueBytes => Content::Bytes(vec![payload.payload]),
        };
        Self::of(payload.profile_id, content)
    }

    const fn of(port: u16, content: Content) -> Self {
        Self { port, content }
    }
}

/// Gives each piece to its port: what names none, to those that have nothing yet, the last of which takes all the rest.
///
/// # Errors
/// `InvalidInput`: there is no such port, it has an input already, or the piece is not what its kind says.
pub(super) fn fill(
    inputs: &mut Inputs,
    definition: &NodeDefinition,
    pieces: Vec<Piece>,
) -> Result<(), NodeError> {
    if pieces.is_empty() {
        return Ok(());
    }
    let ports = &definition.inputs;
    let mut values = vec![Vec::new(); ports.len()];
    let free = free_ports(inputs, ports, &pieces);
    let mut next = 0;
    for piece in pieces {
        let place = if piece.port == 0 {
            let place = free.get(next).or_else(|| free.last()).copied();
            next += 1;
            place.ok_or_else(|| too_many(definition))?
        } else {
            named_port(inputs, definition, piece.port)?
        };
        add(&mut values[place], &ports[place], piece.content)?;
    }
    for (port, values) in ports.iter().zip(values) {
        if !values.is_empty() {
            inputs.insert(port.name.as_str(), PortValue::List(values));
        }
    }
    Ok(())
}

/// The ports that neither the request nor a piece names.
fn free_ports(inputs: &Inputs, ports: &[Port], pieces: &[Piece]) -> Vec<usize> {
    let is_named = |place: usize| {
        let mut named = pieces.iter().map(|piece| usize::from(piece.port));
        named.any(|port| port == place + 1)
    };
    let all = 0..ports.len();
    all.filter(|place| inputs.get(&ports[*place].name).is_none() && !is_named(*place))
        .collect()
}

fn named_port(inputs: &Inputs, definition: &NodeDefinition, port: u16) -> Result<usize, NodeError> {
    let place = usize::from(port) - 1;
    let Some(found) = definition.inputs.get(place) else {
        return Err(NodeError::invalid_input(format!(
            "a payload has profile {port}, and node `{}` has {} inputs: give it the place of an input, counted from 1",
            definition.uid,
            definition.inputs.len()
        )));
    };
    if inputs.get(&found.name).is_some() {
        return Err(NodeError::invalid_input(format!(
            "input `{}` is given twice: in the request, and by a payload of profile {port}",
            found.name
        )));
    }
    Ok(place)
}

fn too_many(definition: &NodeDefinition) -> NodeError {
    NodeError::invalid_input(format!(
        "the frame carries a payload that no input of node `{}` is left for: it has {}",
        definition.uid,
        definition.inputs.len()
    ))
}

fn add(values: &mut Vec<Value>, port: &Port, content: Content) -> Result<(), NodeError> {
    let takes_bytes = port.kind == "bytes";
    match content {
        Content::Bytes(all) => values.extend(all.into_iter().map(Value::Bytes)),
        Content::Text(bytes) | Content::Json(bytes) if takes_bytes => {
            values.push(Value::Bytes(bytes));
        }
        Content::Text(bytes) => {
            let text = std::str::from_utf8(&bytes)
                .map_err(|error| unreadable(port, "token chunk is no UTF-8", error))?;
            values.push(Value::Json(Json::from(text)));
        }
        Content::Json(bytes) => {
            let json = Json::parse_bytes(bytes)
                .map_err(|error| unreadable(port, "structured event is no JSON", error))?;
            values.push(plain::input_value(port, json)?);
        }
    }
    Ok(())
}

fn unreadable(
    port: &Port,
    problem: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> NodeError {
    NodeError::invalid_input(format!("input `{}`: the {problem}: {error}", port.name))
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use nodewire_core::{AssetRef, NodeErrorKind};

    use super::*;

    fn definition() -> NodeDefinition {
        NodeDefinition::builder("n")
            .input(Port::new("a", "string"))
            .input(Port::new("b", "bytes"))
            .input(Port::new("c", "asset"))
            .build()
            .unwrap()
    }

    fn filled(inputs: Inputs, payloads: Vec<TypedPayload>) -> Result<Inputs, NodeError> {
        let mut inputs = inputs;
        let pieces = payloads.into_iter().map(Piece::payload).collect();
        fill(&mut inputs, &definition(), pieces).map(|()| inputs)
    }

    fn json(text: &'static str) -> Value {
        Value::Json(Json::parse(text).unwrap())
    }

    #[test]
    fn payloads_go_to_the_ports_in_order() {
        let asset = TypedPayload::structured_event(r#"{"$asset": "ref"}"#);
        let payloads = vec![
            TypedPayload::token_chunk("x\"y"),
            TypedPayload::opaque_bytes(vec![0, 255]),
            asset.clone(),
            asset,
        ];
        let reference = Value::Asset(AssetRef::new("ref"));
        let wanted = Inputs::new()
            .with("a", json(r#""x\"y""#))
            .with("b", Value::Bytes(Bytes::from_static(&[0, 255])))
            .with("c", vec![reference.clone(), reference]);
        assert_eq!(filled(Inputs::new(), payloads).unwrap(), wanted);
    }

    #[test]
    fn profiles_name_ports_and_the_rest_fills_what_is_left() {
        let payloads = vec![
            TypedPayload::structured_event("[1]").with_profile(1),
            TypedPayload::token_chunk("as bytes"),
            TypedPayload::structured_event("2").with_profile(1),
        ];
        let given = Inputs::new().with("c", json("3"));
        let wanted = given
            .clone()
            .with("a", vec![json("[1]"), json("2")])
            .with("b", Value::Bytes(Bytes::from_static(b"as bytes")));
        assert_eq!(filled(given, payloads).unwrap(), wanted);
    }

    #[test]
    fn bytes_are_not_copied() {
        let bytes = Bytes::from(vec![7; 1000]);
        let payload = TypedPayload::opaque_bytes(bytes.clone()).with_profile(2);
        let inputs = filled(Inputs::new(), vec![payload]).unwrap();
        let Some(Value::Bytes(found)) = inputs.first("b") else {
            panic!("no bytes");
        };
        assert_eq!(found.as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn what_cannot_be_placed_or_read_is_refused_by_name() {
        let all = Inputs::new()
            .with("a", json("1"))
            .with("b", json("1"))
            .with("c", json("1"));
        let cases = [
            (
                all.clone(),
                TypedPayload::opaque_bytes("x"),
                "no input of node `n` is left",
            ),
            (
                all,
                TypedPayload::opaque_bytes("x").with_profile(1),
                "input `a` is given twice",
            ),
            (
                Inputs::new(),
                TypedPayload::opaque_bytes("x").with_profile(4),
                "has 3 inputs",
            ),
            (
                Inputs::new(),
                TypedPayload::token_chunk(vec![255]),
                "input `a`: the token chunk",
            ),
            (
                Inputs::new(),
                TypedPayload::structured_event("{"),
                "input `a`: the structured event",
            ),
        ];
        for (inputs, payload, message) in cases {
            let error = filled(inputs, vec![payload]).unwrap_err();
            assert_eq!(error.kind(), NodeErrorKind::InvalidInput);
            assert!(error.message().contains(message), "{error}");
        }
    }
}
