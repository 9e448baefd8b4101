"""The real nnrp-py, asked what it makes of packets.

decode            reads a packet in hex from each line of standard input, and writes what it says, or why it is refused
make COUNT SEED   writes random packets of all types, made by its builders
replay            reads a frame or result as JSON from each line, and writes its packet with its summary, or why there is none

Answers are JSON, one per line, named and nested as the recorded packets are. spec: nnrp-wire 9
"""

import dataclasses
import enum
import json
import random
import sys
import types
import typing

import nnrp.core as core
from nnrp import tools
from nnrp.core import MessageType, PayloadKind, TileIndexMode

M = MessageType
METADATA = {
    M.CLIENT_HELLO: core.ClientHelloMetadata,
    M.SERVER_HELLO_ACK: core.ServerHelloAckMetadata,
    M.SESSION_PATCH: core.SessionPatchMetadata,
    M.SESSION_PATCH_ACK: core.SessionPatchAckMetadata,
    M.ERROR: core.ErrorMetadata,
    M.FRAME_SUBMIT: core.FrameSubmitMetadata,
    M.RESULT_PUSH: core.ResultPushMetadata,
    M.CACHE_PUT: core.CachePutMetadata,
    M.CACHE_ACK: core.CacheAckMetadata,
    M.CACHE_INVALIDATE: core.CacheInvalidateMetadata,
    M.FLOW_UPDATE: core.FlowUpdateMetadata,
    M.RESULT_HINT: core.ResultHintMetadata,
    M.TRANSPORT_PROBE: core.TransportProbeMetadata,
    M.TRANSPORT_PROBE_ACK: core.TransportProbeAckMetadata,
    M.SESSION_MIGRATE: core.SessionMigrateMetadata,
    M.SESSION_MIGRATE_ACK: core.SessionMigrateAckMetadata,
}
EXTENSIONS = {
    0x0101: core.parse_client_hello_transport_policy_extension,
    0x0102: core.parse_server_hello_ack_transport_policy_extension,
    0x0103: core.parse_client_hello_loss_tolerance_extension,
    0x0104: core.parse_server_hello_ack_loss_tolerance_extension,
    0x0105: core.parse_client_hello_payload_capabilities_extension,
    0x0106: core.parse_server_hello_ack_payload_capabilities_extension,
}


class Refused(Exception):
    """What the specification says of the reference's server, which the codec leaves to its caller."""


def plain(value):
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None else int(value)


def fields(structure):
    names = (field.name for field in dataclasses.fields(structure))
    return {name: plain(getattr(structure, name)) for name in names}


def decode(data):
    """What a packet says."""
    whole = core.NnrpPacket.unpack(data)
    header = fields(whole.header) | {"msg_type_name": whole.header.msg_type.name}
    kind = METADATA.get(whole.header.msg_type)
    if kind is None:
        metadata, said = None, {"struct": None, "raw": whole.metadata.hex()}
    else:
        metadata = kind.unpack(whole.metadata)
        name = kind.__name__.removesuffix("Metadata")
        said = {"struct": name} | fields(metadata)
    body = decode_body(whole.header.msg_type, metadata, bytes(whole.body))
    return {"header": header, "metadata": said, "body": body}


def opaque(body):
    return {"shape": "opaque", "payload": body.hex()} if body else {"shape": "empty"}


def decode_body(kind, metadata, body):
    if kind == M.CLIENT_HELLO:
        if metadata.auth_bytes > len(body):
            raise Refused("hello_body_length_mismatch")
        block = body[: len(body) - metadata.auth_bytes]
        if metadata.control_extension_bytes != len(block):
            raise Refused("hello_body_length_mismatch")
        return hello("client_hello", block, {"auth": body[len(block) :].hex()})
    if kind == M.SERVER_HELLO_ACK:
        if metadata.control_extension_bytes > len(body):
            raise Refused("hello_body_length_mismatch")
        block = body[: metadata.control_extension_bytes]
        return hello("server_hello_ack", block, {"payload": body[len(block) :].hex()})
    if kind == M.SESSION_PATCH:
        declared = metadata.profile_patch_bytes
        block = core.unpack_session_patch_body(body, profile_patch_bytes=declared)
        return {"shape": "profile_patch", "block": block and fields(block)}
    if kind == M.SESSION_PATCH_ACK:
        declared = metadata.profile_patch_ack_bytes
        block = core.unpack_session_patch_ack_body(body, profile_patch_ack_bytes=declared)
        return {"shape": "profile_patch", "block": block and fields(block)}
    if kind == M.TRANSPORT_PROBE:
        if metadata.probe_payload_bytes != len(body):
            raise Refused("probe_payload_length_mismatch")
        return {"shape": "opaque", "payload": body.hex()}
    if kind == M.FRAME_SUBMIT:
        return submit_body(metadata, body)
    if kind == M.RESULT_PUSH:
        return result_body(metadata, body)
    return opaque(body)


def hello(shape, block, rest):
    extensions = []
    for entry in core.unpack_control_extension_block(block):
        said = fields(entry)
        parse = EXTENSIONS.get(entry.ext_type)
        if parse is not None:
            said["value"] = fields(parse(entry))
        extensions.append(said)
    return {"shape": shape, "extension_block": block.hex(), "extensions": extensions} | rest


def submit_body(metadata, body):
    is_flat = (
        metadata.payload_frame_count == 0
        and metadata.object_ref_mask == 0
        and metadata.submit_mode == 0
        and metadata.payload_kind_bitmap == PayloadKind.TENSOR
    )
    if is_flat:
        camera = body[: metadata.camera_bytes]
        tensor = body[(metadata.camera_bytes + 7) & ~7 :]
        return flat(metadata, camera, tensor, metadata.tile_index_mode)
    view = core.validate_frame_submit_body(metadata, body)
    return composed(metadata, view, metadata.tile_index_mode)


def result_body(metadata, body):
    kinds = metadata.payload_kind_bitmap
    has_tensor = bool(kinds & PayloadKind.TENSOR)
    if not body and metadata.payload_frame_count == 0 and not has_tensor:
        return {"shape": "empty"}
    mode = TileIndexMode.RAW_U16 if metadata.tile_index_bytes else TileIndexMode.DENSE_RANGE
    if metadata.payload_frame_count == 0 and kinds == 0:
        return opaque(body)
    if metadata.payload_frame_count == 0 and kinds == PayloadKind.TENSOR:
        said = flat(metadata, b"", body, mode)
        core.validate_result_push_tensor_coverage(metadata)
        return said
    return composed(metadata, core.validate_result_push_body(metadata, body), mode)


def tile_ids(payload, metadata, mode):
    ids = core.unpack_tile_index_block(
        payload, mode=mode, tile_count=metadata.tile_count, tile_base_id=metadata.tile_base_id
    )
    return list(ids)


def flat(metadata, camera, tensor, mode):
    view = core.unpack_tensor_body(
        tensor,
        tile_index_bytes=metadata.tile_index_bytes,
        section_count=metadata.section_count,
        tile_count=metadata.tile_count,
    )
    return {
        "shape": "flat_tensor",
        "camera": camera.hex(),
        "tile_index": bytes(view.tile_index_block).hex(),
        "tile_ids": tile_ids(view.tile_index_block, metadata, mode),
        "sections": [section(it) for it in view.sections],
    }


def section(view):
    def called(member):
        return member() if callable(member) else member

    return {
        "desc": fields(view.desc),
        "codec_table": plain(view.codec_table),
        "tile_lengths": plain(called(view.tile_lengths)),
        "payload": plain(view.payload),
        "tile_payloads": plain(called(view.payload_slices)),
    }


def composed(metadata, view, mode):
    objects = core.unpack_inline_object_blocks(view.inline_object_region)
    typed = core.unpack_typed_payload_frames(
        view.typed_payload_descriptor_region, view.typed_payload_frame_region
    )
    typed = [core.parse_typed_payload_frame(frame) for frame in typed]
    extensions = core.unpack_extension_frames(
        view.extension_descriptor_region, view.extension_payload_region
    )
    by_kind = {int(it.header.object_kind): it.payload for it in objects}
    ids = tile_ids(by_kind[2], metadata, mode) if 2 in by_kind else None
    sections = None
    if 3 in by_kind:
        count, tiles = metadata.section_count, metadata.tile_count
        table = core.unpack_tensor_body(
            by_kind[3], tile_index_bytes=0, section_count=count, tile_count=tiles
        )
        sections = [section(it) for it in table.sections]
    references = core.unpack_object_reference_blocks(view.object_reference_region)
    typed_table = core.unpack_typed_payload_descriptors(view.typed_payload_descriptor_region)
    table = core.unpack_extension_frame_descriptors(view.extension_descriptor_region)
    return {
        "shape": "composed",
        "prelude": fields(view.prelude),
        "inline_objects": [fields(it.header) | {"payload": plain(it.payload)} for it in objects],
        "object_references": [fields(it) for it in references],
        "typed_payload_descriptors": [fields(it) for it in typed_table],
        "typed_payload_frame_region": plain(view.typed_payload_frame_region),
        "extension_descriptors": [fields(it) for it in table],
        "extension_payload_region": plain(view.extension_payload_region),
        "typed_payloads": [fields(it) for it in typed],
        "extensions": [fields(it) for it in extensions],
        "tile_ids": ids,
        "sections": sections,
    }


def answer(data):
    try:
        return {"ok": True, "decoded": decode(data)}
    except Refused as refused:
        return {"ok": False, "category": str(refused), "message": ""}
    except Exception as error:  # Whatever it raises is its verdict.
        return {"ok": False, "category": None, "message": f"{error}"}


class Maker:
    """Random packets, by the package's own builders."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.widths = {}

    def number(self, bits):
        edge = self.rng.choice([0, 1, (1 << bits) - 1, None, None])
        return self.rng.getrandbits(bits) if edge is None else edge

    def data(self, most=40):
        return self.rng.randbytes(self.rng.randrange(most))

    def member(self, kind):
        if issubclass(kind, enum.Flag):
            members = [it for it in kind.__members__.values() if self.rng.random() < 0.3]
            return kind(sum({int(it) for it in members}))
        return self.rng.choice(list(kind))

    def fill(self, kind, **given):
        """A structure of random fields; which are too narrow is found by packing."""
        hints = typing.get_type_hints(kind)
        values = {}
        for field in dataclasses.fields(kind):
            hint = hints[field.name]
            if field.name in given:
                values[field.name] = given[field.name]
            elif isinstance(hint, type) and issubclass(hint, enum.Enum):
                values[field.name] = self.member(hint)
            elif field.name.startswith("reserved") or field.name.endswith("_flags"):
                values[field.name] = 0
            else:
                values[field.name] = self.number(self.width(kind, field.name, hints))
        return kind(**values)

    def width(self, kind, name, hints):
        if (kind, name) not in self.widths:
            base = {}
            for field in dataclasses.fields(kind):
                hint = hints[field.name]
                is_enum = isinstance(hint, type) and issubclass(hint, enum.Enum)
                is_flag = is_enum and issubclass(hint, enum.Flag)
                base[field.name] = 0
                if is_flag:
                    base[field.name] = hint(0)
                elif is_enum:
                    base[field.name] = list(hint)[-1]
            if kind is core.FlowUpdateMetadata:
                base["flags"] = core.FlowUpdateFlags.RETRY_AFTER_VALID
            for bits in (64, 32, 16, 8):
                try:
                    kind(**(base | {name: (1 << bits) - 1})).pack()
                except Exception:
                    continue
                self.widths[(kind, name)] = bits
                break
            else:
                self.widths[(kind, name)] = 1
        return self.widths[(kind, name)]

    def ids(self):
        return {
            "session_id": self.number(32),
            "frame_id": self.number(32),
            "view_id": self.number(16),
            "route_id": self.number(16),
            "trace_id": self.number(64),
            "flags": core.HeaderFlags(self.rng.getrandbits(6)),
        }

    def generic(self, kind, metadata=b"", body=b""):
        return core.NnrpPacket.build(
            version_major=1,
            wire_format=core.WireFormat.CURRENT,
            msg_type=kind,
            metadata=metadata,
            body=body,
            **self.ids(),
        )

    def extensions(self, first):
        entries = []
        for _ in range(self.rng.randrange(3)):
            ext_type, flags = self.rng.randrange(0x200, 0x10000), self.rng.getrandbits(1)
            entries.append(
                core.ControlExtensionEntry(
                    ext_type=ext_type, ext_flags=core.ControlExtensionFlags(flags), payload=self.data()
                )
            )
        if self.rng.random() < 0.5:
            kinds = [
                core.ClientHelloLossToleranceExtension,
                core.ServerHelloAckLossToleranceExtension,
            ]
            build = [
                core.build_client_hello_loss_tolerance_extension,
                core.build_server_hello_ack_loss_tolerance_extension,
            ]
            entries.append(build[first](kinds[first](self.member(core.LossTolerance))))
        return core.pack_control_extension_block(entries)

    def tiles(self):
        count = self.rng.randrange(6)
        ids = sorted(self.rng.sample(range(2000), count))
        mode = self.rng.choice(list(TileIndexMode))
        base = self.number(16)
        if mode == TileIndexMode.DENSE_RANGE:
            base = self.rng.randrange(60000)
            ids = list(range(base, base + count))
        sections, role = [], 0
        for _ in range(self.rng.randrange(3)):
            role += self.rng.randrange(1, 300)
            payloads = tuple(self.data(12) for _ in range(count))
            codecs = tuple(self.rng.randrange(3) for _ in range(count))
            sections.append(
                core.TensorSectionData(
                    role_id=role,
                    default_codec_id=self.rng.randrange(3),
                    dtype_id=self.member(core.TensorDType),
                    tile_payloads=payloads,
                    codec_ids=codecs if self.rng.random() < 0.5 else (),
                    layout_id=self.member(core.TensorLayout),
                    scale_policy=self.member(core.ScalePolicy),
                    payload_stride_bytes=self.rng.choice([0, 16]) if count else 0,
                    element_count_per_tile=self.number(32),
                )
            )
        return {"tile_ids": ids, "sections": sections, "tile_index_mode": mode, "tile_base_id": base}

    def frames(self):
        kinds = [kind for kind in PayloadKind if int(kind) > 1]
        count = self.rng.randrange(1, 4)
        return [
            core.build_typed_payload_frame(
                self.rng.choice(kinds), self.data(), profile_id=self.number(16)
            )
            for _ in range(count)
        ]

    def submit_options(self):
        return self.ids() | {
            "frame_class": self.rng.randrange(4),
            "latency_budget_ms": self.number(16),
            "target_fps_x100": self.number(16),
            "retry_of_frame": self.number(32),
            "budget_policy": self.member(core.BudgetPolicy),
            "dependency_frame_id": self.number(32),
            "loss_tolerance_policy": self.rng.choice([0, 1, 2, 3, 255]),
        }

    def result_options(self):
        return self.ids() | {
            "active_profile_id": self.number(16),
            "inference_ms": self.number(16),
            "queue_ms": self.number(16),
            "server_total_ms": self.number(16),
            "status_code": self.number(16),
        }

    def submit(self):
        shape = self.rng.randrange(4)
        if shape == 0:
            return core.build_frame_submit_typed_payload_packet(
                frames=self.frames(), **self.submit_options()
            )
        sizes = {name: self.number(16) for name in ("src_width", "src_height")}
        sizes |= {name: self.number(16) for name in ("tile_width", "tile_height")}
        tensor = sizes | self.tiles() | self.submit_options()
        tensor["input_profile"] = self.member(core.InputProfile)
        if shape == 1:
            return core.build_frame_submit_mixed_packet(
                frames=self.frames(), camera_block=self.data() + b"c", **tensor
            )
        if shape == 2:
            tensor["submit_mode"] = core.SubmitMode.MIXED
            tensor["object_ref_mask"] = 1
            tensor["camera_reference"] = core.build_camera_reference_block(
                cache_namespace=self.number(32),
                cache_key_hi=self.number(32),
                cache_key_lo=self.number(32),
            )
            return core.build_frame_submit_packet(**tensor)
        return core.build_frame_submit_packet(camera_block=self.data(), **tensor)

    def result(self):
        shape = self.rng.randrange(4)
        if shape == 0:
            return core.build_result_push_typed_payload_packet(
                frames=self.frames(), **self.result_options()
            )
        tensor = self.tiles()
        modes = (TileIndexMode.DENSE_RANGE, TileIndexMode.RAW_U16)
        while tensor["tile_index_mode"] not in modes or not tensor["tile_ids"]:
            tensor = self.tiles()
        if shape == 1:
            return core.build_result_push_mixed_packet(
                frames=self.frames(), **tensor, **self.result_options()
            )
        if shape == 2:
            count = len(tensor["tile_ids"])
            dropped = self.rng.randrange(1, count + 1)
            return core.build_partial_result_push_packet(
                covered_tile_count=count - dropped,
                dropped_tile_count=dropped,
                **tensor,
                **self.result_options(),
            )
        return core.build_result_push_packet(**tensor, **self.result_options())

    def flow_update(self):
        scope = self.member(core.FlowUpdateScopeKind)
        flags = core.FlowUpdateFlags.CREDIT_VALID | core.FlowUpdateFlags.RETRY_AFTER_VALID
        numbers = {"connection_credit": 0, "session_credit": 0, "operation_credit": 0}
        numbers[f"{scope.name.lower()}_credit"] = self.number(16)
        numbers["operation_id"] = self.number(64) or 1 if scope.name == "OPERATION" else 0
        metadata = self.fill(
            core.FlowUpdateMetadata, scope_kind=scope, flags=flags, **numbers
        )
        session = 0 if scope.name == "CONNECTION" else self.number(32) or 1
        return core.build_flow_update_packet(metadata=metadata, session_id=session)

    def make(self, kind):
        if kind == M.FRAME_SUBMIT:
            return self.submit()
        if kind == M.RESULT_PUSH:
            return self.result()
        if kind == M.FLOW_UPDATE:
            return self.flow_update()
        if kind not in METADATA:
            return self.generic(kind, body=self.data() if kind == M.CLOSE else b"")
        given, body = {}, b""
        if kind in (M.CLIENT_HELLO, M.SERVER_HELLO_ACK):
            block, rest = self.extensions(int(kind == M.SERVER_HELLO_ACK)), self.data()
            body, given["control_extension_bytes"] = block + rest, len(block)
            if kind == M.CLIENT_HELLO:
                given["auth_bytes"] = len(rest)
        elif kind in (M.SESSION_PATCH, M.SESSION_PATCH_ACK):
            if self.rng.random() < 0.5:
                body = self.fill(core.TensorProfilePatchBlock).pack()
            ack = "_ack" if kind == M.SESSION_PATCH_ACK else ""
            given[f"profile_patch{ack}_bytes"] = len(body)
        elif kind == M.SESSION_MIGRATE:
            body = self.data()
            known = [it for it in core.TransportId if int(it) > 0]
            for name in ("old_transport_id", "new_transport_id"):
                given[name] = self.rng.choice(known)
        elif kind in (M.ERROR, M.CACHE_PUT, M.TRANSPORT_PROBE):
            body = self.data()
            names = {
                M.ERROR: "diagnostic_bytes",
                M.CACHE_PUT: "object_bytes",
                M.TRANSPORT_PROBE: "probe_payload_bytes",
            }
            given[names[kind]] = len(body)
        return self.generic(kind, self.fill(METADATA[kind], **given).pack(), body)


def host(value):
    """An object as a host has it."""
    if isinstance(value, dict):
        if set(value) == {"hex"}:
            return bytes.fromhex(value["hex"])
        return types.SimpleNamespace(**{name: host(it) for name, it in value.items()})
    return [host(it) for it in value] if isinstance(value, list) else value


def replay(case):
    export = {
        "frame_features": tools.frame_features_to_packet,
        "enhance_result": tools.enhance_result_to_packet,
    }
    try:
        made = export[case["kind"]](host(case["input"]), **case["options"])
    except ValueError as error:
        return {"ok": False, "message": f"{error}"}
    summary = tools.render_wire_summary(tools.summarize_wire_packet(made))
    return {"ok": True, "hex": made.pack().hex(), "summary": summary}


def main():
    if sys.argv[1] == "replay":
        for line in sys.stdin:
            print(json.dumps(replay(json.loads(line))))
        return
    if sys.argv[1] == "decode":
        for line in sys.stdin:
            print(json.dumps(answer(bytes.fromhex(line.strip()))))
        return
    count, seed = int(sys.argv[2]), int(sys.argv[3])
    maker, kinds = Maker(seed), list(MessageType)
    for place in range(count):
        data = maker.make(kinds[place % len(kinds)]).pack()
        print(json.dumps({"hex": data.hex()} | answer(data)))


main()
