"""Structures of the package as JSON and back: fields by its names, bytes in hexadecimal, enumerations by name."""

import dataclasses
import enum
import types
import typing

from nnrp import core
from nnrp.client import SubmitRequest, TypedPayload
from nnrp.core import MessageType

METADATA = {
    MessageType.CLIENT_HELLO: core.ClientHelloMetadata,
    MessageType.SERVER_HELLO_ACK: core.ServerHelloAckMetadata,
    MessageType.ERROR: core.ErrorMetadata,
    MessageType.FLOW_UPDATE: core.FlowUpdateMetadata,
    MessageType.FRAME_SUBMIT: core.FrameSubmitMetadata,
    MessageType.RESULT_HINT: core.ResultHintMetadata,
    MessageType.RESULT_PUSH: core.ResultPushMetadata,
    MessageType.SESSION_MIGRATE: core.SessionMigrateMetadata,
    MessageType.SESSION_MIGRATE_ACK: core.SessionMigrateAckMetadata,
    MessageType.SESSION_PATCH: core.SessionPatchMetadata,
    MessageType.SESSION_PATCH_ACK: core.SessionPatchAckMetadata,
    MessageType.TRANSPORT_PROBE: core.TransportProbeMetadata,
    MessageType.TRANSPORT_PROBE_ACK: core.TransportProbeAckMetadata,
}


def member(kind, value):
    """A member of an enumeration: a number, a name, or for flags names joined by `|`."""
    if isinstance(value, str) and issubclass(kind, enum.Flag):
        result = kind(0)
        for name in value.split("|"):
            result |= kind[name]
        return result
    return kind[value] if isinstance(value, str) else kind(value)


def read(hint, value):
    """What JSON stands for, where this type is expected."""
    if value is None:
        return None
    parts = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return read(parts[0], value)
    if typing.get_origin(hint) is tuple:
        return tuple(read(parts[0], item) for item in value)
    if hint is bytes:
        return bytes.fromhex(value)
    if dataclasses.is_dataclass(hint):
        return structure(hint, value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return member(hint, value)
    return value


def structure(kind, fields):
    return kind(**arguments(kind, fields))


def arguments(function, fields):
    """What a function or a class is called with."""
    hints = typing.get_type_hints(function)
    return {name: read(hints[name], value) for name, value in fields.items()}


def written(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, (list, tuple)):
        return [written(item) for item in value]
    if dataclasses.is_dataclass(value):
        names = (field.name for field in dataclasses.fields(value))
        return {name: written(getattr(value, name)) for name in names}
    return value


def packet_of(packet):
    """A packet: the ids of its header, its metadata if its type is among those above, and all of it in hexadecimal."""
    header = packet.header
    result = {
        "type": header.msg_type.name,
        "flags": written(header.flags),
        "session_id": header.session_id,
        "frame_id": header.frame_id,
        "view_id": header.view_id,
        "route_id": header.route_id,
        "trace_id": header.trace_id,
        "body": packet.body.hex(),
        "hex": packet.pack().hex(),
    }
    if header.msg_type in METADATA:
        result["metadata"] = written(METADATA[header.msg_type].unpack(packet.metadata))
    return result


def sections_of(sections):
    """Role and payloads of the sections that a received body has."""
    return [
        {"role_id": section.desc.role_id, "tile_payloads": written(list(section.payload_slices()))}
        for section in sections
    ]


def payloads_of(payloads):
    return [
        {
            "payload_kind": payload.payload_kind.name,
            "payload": payload.payload.hex(),
            "profile_id": payload.profile_id,
        }
        for payload in payloads
    ]


def result_of(result):
    return {
        **packet_of(result.packet),
        "tile_ids": list(result.tile_ids),
        "sections": sections_of(result.sections),
        "typed_payloads": payloads_of(result.typed_payloads),
    }


def submit_of(submit):
    body = submit.tensor_body
    request = written(submit.request)
    return {
        **packet_of(submit.packet),
        "request": request,
        "tile_ids": list(submit.request.tile_ids),
        "camera_block": submit.request.camera_block.hex(),
        "sections": sections_of(body.sections if body else ()),
        "typed_payloads": payloads_of(submit.request.typed_payloads),
    }


def extensions(entries):
    """A block of control extensions."""
    if not entries:
        return b""
    return core.pack_control_extension_block(
        [structure(core.ControlExtensionEntry, entry) for entry in entries]
    )


def request(fields):
    return structure(SubmitRequest, fields)


def payloads(entries):
    return tuple(structure(TypedPayload, entry) for entry in entries)
