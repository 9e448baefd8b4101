//! Packets as JSON, named and nested as the recorded vectors are. For tools and tests.

use serde_json::{Map, Value, json};

use crate::body::{
    BodyPrelude, ComposedBody, InlineObject, ObjectReference, Section, TileIndex, TypedPayload,
};
use crate::error::WireError;
use crate::extension::{ControlExtension, KnownExtension};
use crate::field::Fixed;
use crate::header::Header;
use crate::message::{Composed, Message, ResultBody, SubmitBody};
use crate::metadata::ProfilePatch;
use crate::packet::Packet;
use crate::rules::DecodeOptions;

/// What a packet says: its header, metadata and body.
///
/// # Errors
/// As [`Message::decode`].
pub fn packet_to_json(packet: &Packet, options: &DecodeOptions<'_>) -> Result<Value, WireError> {
    let message = Message::decode(packet, options)?;
    Ok(message_to_json(packet, &message, options))
}

/// What a message says, which was read from this packet with these options.
#[must_use]
pub fn message_to_json(packet: &Packet, message: &Message, options: &DecodeOptions<'_>) -> Value {
    json!({
        "header": header_to_json(packet.header()),
        "metadata": metadata_to_json(packet, message),
        "body": body_to_json(packet, message, options),
    })
}

/// What a header says.
#[must_use]
pub fn header_to_json(header: &Header) -> Value {
    json!({
        "version_major": header.version_major,
        "wire_format": header.wire_format.number(),
        "msg_type": header.message_type.number(),
        "flags": header.flags.bits(),
        "meta_len": header.meta_len,
        "body_len": header.body_len,
        "session_id": header.session_id,
        "frame_id": header.frame_id,
        "view_id": header.view_id,
        "route_id": header.route_id,
        "trace_id": header.trace_id,
        "header_len": Header::BYTES,
        "msg_type_name": header.message_type.name(),
    })
}

fn metadata_to_json(packet: &Packet, message: &Message) -> Value {
    let Some((name, fields)) = metadata_fields(message) else {
        return json!({ "struct": null, "raw": to_hex(packet.metadata()) });
    };
    let is_ignored = |field: &str| name == "FlowUpdate" && field.starts_with("reserved");
    let mut metadata = Map::from_iter([("struct".to_owned(), name.into())]);
    let fields = fields.into_iter().filter(|(field, _)| !is_ignored(field));
    metadata.extend(fields.map(|(field, number)| (field.to_owned(), number.into())));
    metadata.into()
}

/// The name of a message's metadata, and its fields in the order of the wire; `None` for messages that have none.
#[must_use]
pub fn metadata_fields(message: &Message) -> Option<(&'static str, Vec<(&'static str, u64)>)> {
    Some(match message {
        Message::ClientHello(hello) => ordered("ClientHello", &hello.metadata),
        Message::ServerHelloAck(ack) => ordered("ServerHelloAck", &ack.metadata),
        Message::SessionPatch(patch) => ordered("SessionPatch", &patch.metadata),
        Message::SessionPatchAck(ack) => ordered("SessionPatchAck", &ack.metadata),
        Message::Error(report) => ordered("Error", &report.metadata),
        Message::FrameSubmit(submit) => ordered("FrameSubmit", &submit.metadata),
        Message::ResultPush(result) => ordered("ResultPush", &result.metadata),
        Message::CachePut(put) => ordered("CachePut", &put.metadata),
        Message::CacheAck(ack) => ordered("CacheAck", ack),
        Message::CacheInvalidate(invalidate) => ordered("CacheInvalidate", invalidate),
        Message::FlowUpdate(update) => ordered("FlowUpdate", update),
        Message::ResultHint(hint) => ordered("ResultHint", hint),
        Message::TransportProbe(probe) => ordered("TransportProbe", &probe.metadata),
        Message::TransportProbeAck(ack) => ordered("TransportProbeAck", ack),
        Message::SessionMigrate(migrate) => ordered("SessionMigrate", &migrate.metadata),
        Message::SessionMigrateAck(ack) => ordered("SessionMigrateAck", &ack.metadata),
        Message::Close(_)
        | Message::FrameCancel
        | Message::ResultDrop
        | Message::Ping
        | Message::Pong => return None,
    })
}

fn ordered<T: Fixed>(
    name: &'static str,
    structure: &T,
) -> (&'static str, Vec<(&'static str, u64)>) {
    let mut fields = Vec::new();
    structure.for_each(&mut |field, number| fields.push((field, number)));
    (name, fields)
}

fn body_to_json(packet: &Packet, message: &Message, options: &DecodeOptions<'_>) -> Value {
    match message {
        Message::ClientHello(hello) => {
            let block_bytes = packet.body().len().saturating_sub(hello.auth.len());
            json!({
                "shape": "client_hello",
                "extension_block": to_hex(&packet.body()[..block_bytes]),
                "extensions": list(&hello.extensions, extension),
                "auth": to_hex(&hello.auth),
            })
        }
        Message::ServerHelloAck(ack) => {
            let block_bytes = packet.body().len().saturating_sub(ack.payload.len());
            json!({
                "shape": "server_hello_ack",
                "extension_block": to_hex(&packet.body()[..block_bytes]),
                "extensions": list(&ack.extensions, extension),
                "payload": to_hex(&ack.payload),
            })
        }
        Message::SessionPatch(patch) => profile_patch(patch.profile.as_ref()),
        Message::SessionPatchAck(ack) => profile_patch(ack.profile.as_ref()),
        Message::FrameSubmit(submit) => match &submit.body {
            SubmitBody::Flat(flat) => flat_tensor(&flat.camera, &flat.tile_index, &flat.sections),
            SubmitBody::Composed(body) => composed(body, options),
        },
        Message::ResultPush(result) => match &result.body {
            ResultBody::Empty => opaque(packet),
            ResultBody::Flat(flat) => flat_tensor(&flat.camera, &flat.tile_index, &flat.sections),
            ResultBody::Composed(body) => composed(body, options),
        },
        // It is opaque even when it is empty.
        Message::TransportProbe(probe) => {
            json!({ "shape": "opaque", "payload": to_hex(&probe.payload) })
        }
        Message::Error(_)
        | Message::CachePut(_)
        | Message::CacheAck(_)
        | Message::CacheInvalidate(_)
        | Message::FlowUpdate(_)
        | Message::ResultHint(_)
        | Message::TransportProbeAck(_)
        | Message::SessionMigrate(_)
        | Message::SessionMigrateAck(_)
        | Message::Close(_)
        | Message::FrameCancel
        | Message::ResultDrop
        | Message::Ping
        | Message::Pong => opaque(packet),
    }
}

fn fields<T: Fixed>(structure: &T) -> Map<String, Value> {
    let mut fields = Map::new();
    structure.for_each(&mut |name, value| {
        fields.insert(name.to_owned(), value.into());
    });
    fields
}

fn opaque(packet: &Packet) -> Value {
    if packet.body().is_empty() {
        return json!({ "shape": "empty" });
    }
    json!({ "shape": "opaque", "payload": to_hex(packet.body()) })
}

fn list<T>(items: &[T], item: impl Fn(&T) -> Value) -> Vec<Value> {
    items.iter().map(item).collect()
}

/// Bytes as lower-case hex digits.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}

/// The bytes of hex digits of either case; `None` for anything else, or half a byte.
#[must_use]
pub fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, half) = digits.as_bytes().as_chunks();
    if !half.is_empty() {
        return None;
    }
    let byte = |pair: &[u8; 2]| u8::try_from(value(pair[0])? << 4 | value(pair[1])?).ok();
    pairs.iter().map(byte).collect()
}

fn extension(extension: &ControlExtension) -> Value {
    let mut object = json!({
        "ext_type": extension.ext_type,
        "ext_flags": extension.flags.bits(),
        "payload": to_hex(&extension.payload),
    });
    // It was read before.
    if let Ok(Some(known)) = extension.known() {
        object["value"] = known_extension(extension.ext_type, &known);
    }
    object
}

fn known_extension(ext_type: u16, known: &KnownExtension) -> Value {
    let is_of_server = ext_type.is_multiple_of(2);
    match known {
        KnownExtension::ClientTransportPolicy(policy) => json!({
            "transport_policy": policy.transport_policy.number(),
            "preferred_transport_id": policy.preferred_transport_id.number(),
        }),
        KnownExtension::ServerTransportPolicy(policy) => json!({
            "transport_policy": policy.transport_policy.number(),
            "accepted_transport_policy": policy.accepted_transport_policy.number(),
            "active_transport_id": policy.active_transport_id.number(),
        }),
        KnownExtension::LossTolerance(tolerance) if is_of_server => {
            json!({ "accepted_loss_tolerance": tolerance.number() })
        }
        KnownExtension::LossTolerance(tolerance) => {
            json!({ "session_loss_tolerance": tolerance.number() })
        }
        KnownExtension::PayloadCapabilities(capabilities) if is_of_server => json!({
            "accepted_payload_kind_bitmap": capabilities.payload_kind_bitmap.bits(),
            "accepted_critical_extension_frame_bitmap": 0,
        }),
        KnownExtension::PayloadCapabilities(capabilities) => json!({
            "payload_kind_bitmap": capabilities.payload_kind_bitmap.bits(),
            "critical_extension_frame_bitmap": 0,
        }),
    }
}

fn profile_patch(profile: Option<&ProfilePatch>) -> Value {
    json!({ "shape": "profile_patch", "block": profile.map(fields) })
}

fn flat_tensor(camera: &[u8], tile_index: &TileIndex, sections: &[Section]) -> Value {
    json!({
        "shape": "flat_tensor",
        "camera": to_hex(camera),
        "tile_index": to_hex(tile_index.as_bytes()),
        "tile_ids": tile_index.ids().collect::<Vec<_>>(),
        "sections": list(sections, section),
    })
}

fn section(section: &Section) -> Value {
    json!({
        "desc": fields(section.descriptor()),
        "codec_table": to_hex(section.codec_table()),
        "tile_lengths": section.tile_lengths().collect::<Vec<_>>(),
        "payload": to_hex(&section.payload()),
        "tile_payloads": section.tiles().map(|tile| to_hex(&tile)).collect::<Vec<_>>(),
    })
}

fn composed(composed: &Composed, options: &DecodeOptions<'_>) -> Value {
    let body: &ComposedBody = composed.body();
    let is_known = |kind: u16| {
        options
            .known_extension_frames
            .is_none_or(|known| known.contains(&kind))
    };
    let extensions = body.extensions.iter().filter(|frame| is_known(frame.kind));
    let extensions = extensions.map(|frame| {
        json!({
            "extension_kind": frame.kind,
            "extension_flags": frame.flags.bits(),
            "profile_id": frame.profile_id,
            "payload": to_hex(&frame.payload),
        })
    });
    json!({
        "shape": "composed",
        "prelude": body.prelude().as_ref().map_or_else(|_| Map::new(), fields::<BodyPrelude>),
        "inline_objects": list(&body.inline_objects, inline_object),
        "object_references": list(&body.references, |reference: &ObjectReference| {
            Value::Object(fields(&reference.block()))
        }),
        "typed_payload_descriptors": list(body.typed.descriptors(), |descriptor| {
            Value::Object(fields(descriptor))
        }),
        "typed_payload_frame_region": to_hex(&body.typed.region()),
        "extension_descriptors": list(body.extensions.descriptors(), |descriptor| {
            Value::Object(fields(descriptor))
        }),
        "extension_payload_region": to_hex(&body.extensions.region()),
        "typed_payloads": body.typed.iter().map(|payload| typed(&payload)).collect::<Vec<_>>(),
        "extensions": extensions.collect::<Vec<_>>(),
        "tile_ids": composed.tile_index().map(|index| index.ids().collect::<Vec<_>>()),
        "sections": composed.sections().map(|sections| list(sections, section)),
    })
}

fn typed(payload: &TypedPayload) -> Value {
    json!({
        "payload_kind": payload.kind as u8,
        "descriptor_flags": 0,
        "profile_id": payload.profile_id,
        "payload": to_hex(&payload.payload),
    })
}

fn inline_object(object: &InlineObject) -> Value {
    json!({
        "object_kind": object.kind.number(),
        "object_flags": 0,
        "profile_id": object.profile_id,
        "reserved0": 0,
        "object_bytes": object.payload().len(),
        "reserved1": 0,
        "payload": to_hex(&object.payload()),
    })
}
