"""Measures nnrp-py: reads `check KIND HEX` and `time CASE SECONDS`, separated by tabs, and answers each with a line."""

import sys
import time

import nnrp
from nnrp.core import packet as packets
from nnrp.core.enums import HeaderFlags, MessageType, WireFormat
from nnrp.core.header import NnrpHeader
from nnrp.core.messages import control, data

SESSION_ID, FRAME_ID = 7, 41
SIZES = (("1 KiB", 1024, 4), ("64 KiB", 65536, 16), ("1 MiB", 1048576, 64))


def pattern(size):
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def tiles_of(size, count):
    payload, tile = pattern(size), size // count
    return tuple(payload[at : at + tile] for at in range(0, size, tile))


def section(tiles):
    return packets.TensorSectionData(
        role_id=1, default_codec_id=0, dtype_id=data.TensorDType.UINT8, tile_payloads=tiles
    )


def decode_submit(packet):
    metadata = data.FrameSubmitMetadata.unpack(packet.metadata)
    body = packets.unpack_tensor_body(
        packet.body,
        tile_index_bytes=metadata.tile_index_bytes,
        section_count=metadata.section_count,
        tile_count=metadata.tile_count,
    )
    ids = packets.unpack_tile_index_block(
        bytes(body.tile_index_block),
        mode=metadata.tile_index_mode,
        tile_count=metadata.tile_count,
        tile_base_id=metadata.tile_base_id,
    )
    return metadata, body, ids


def decode_result(packet):
    metadata = data.ResultPushMetadata.unpack(packet.metadata)
    body = packets.unpack_tensor_body(
        packet.body,
        tile_index_bytes=metadata.tile_index_bytes,
        section_count=metadata.section_count,
        tile_count=metadata.tile_count,
    )
    packets.validate_result_push_tensor_coverage(metadata)
    return metadata, body


def decode_typed(packet):
    metadata = data.FrameSubmitMetadata.unpack(packet.metadata)
    body = packets.unpack_body(packet.body)
    return metadata, packets.unpack_typed_payload_frames(
        body.typed_payload_descriptor_region, body.typed_payload_frame_region
    )


def kinds():
    """Name, how to build a packet, and how to read its metadata and body."""
    yield "PING", lambda: packets.build_ping_packet(session_id=SESSION_ID), lambda packet: packet
    yield (
        "FLOW_UPDATE",
        lambda: packets.build_flow_update_packet(
            session_id=SESSION_ID,
            metadata=control.FlowUpdateMetadata(
                session_credit=8, credit_epoch=3, flags=control.FlowUpdateFlags.CREDIT_VALID
            ),
        ),
        lambda packet: control.FlowUpdateMetadata.unpack(packet.metadata),
    )
    yield (
        "RESULT_HINT",
        lambda: packets.build_result_hint_packet(session_id=SESSION_ID, metadata=control.ResultHintMetadata()),
        lambda packet: control.ResultHintMetadata.unpack(packet.metadata),
    )
    yield (
        "TRANSPORT_PROBE_ACK",
        lambda: packets.build_transport_probe_ack_packet(
            session_id=SESSION_ID,
            metadata=control.TransportProbeAckMetadata(probe_id=5, reserved=0, server_recv_ts_us=1_000_000),
        ),
        lambda packet: control.TransportProbeAckMetadata.unpack(packet.metadata),
    )
    for name, size, count in SIZES:
        ids, tiles, payload = tuple(range(count)), tiles_of(size, count), pattern(size)
        yield (
            f"tensor {name}",
            lambda ids=ids, tiles=tiles: packets.build_frame_submit_packet(
                session_id=SESSION_ID,
                frame_id=FRAME_ID,
                src_width=64,
                src_height=64,
                tile_width=8,
                tile_height=8,
                tile_ids=ids,
                sections=(section(tiles),),
            ),
            decode_submit,
        )
        yield (
            f"tensor result {name}",
            lambda ids=ids, tiles=tiles: packets.build_result_push_packet(
                session_id=SESSION_ID, frame_id=FRAME_ID, tile_ids=ids, sections=(section(tiles),)
            ),
            decode_result,
        )
        yield (
            f"typed {name}",
            lambda payload=payload: packets.build_frame_submit_typed_payload_packet(
                session_id=SESSION_ID, frame_id=FRAME_ID, frames=(packets.build_opaque_bytes_frame(payload),)
            ),
            decode_typed,
        )


def operations():
    header = NnrpHeader(
        version_major=1,
        wire_format=WireFormat.CURRENT,
        msg_type=MessageType.PING,
        flags=HeaderFlags.NONE,
        meta_len=0,
        body_len=0,
        session_id=SESSION_ID,
        frame_id=0,
        view_id=0,
        route_id=0,
        trace_id=0,
    )
    encoded = header.pack()
    yield "header, encode", header.pack
    yield "header, decode", lambda: NnrpHeader.unpack(encoded)
    for kind, build, read in kinds():
        packed = build().pack()
        # There is no message between parts and packet: all of it is one step.
        yield f"{kind}, build and encode", lambda build=build: build().pack()
        yield f"{kind}, encode", lambda build=build: build().pack()
        yield f"{kind}, decode", lambda read=read, packed=packed: read(nnrp.NnrpPacket.unpack(packed))


def per_second(once, seconds):
    times = 1
    while True:
        start = time.thread_time()
        for _ in range(times):
            once()
        took = time.thread_time() - start
        if took >= seconds / 2:
            return times / took
        times = max(times * 2, int(times * seconds / max(took, 1e-9)) if took > seconds / 50 else 0)


def main():
    builders = {kind: build for kind, build, _ in kinds()}
    cases = dict(operations())
    for line in sys.stdin:
        command, name, argument = line.rstrip("\n").split("\t")
        if command == "check":
            same = name not in builders or builders[name]().pack() == bytes.fromhex(argument)
            answer = "same" if same else builders[name]().pack()[:200].hex()
        elif name in cases:
            answer = per_second(cases[name], float(argument))
        else:
            answer = "unknown"
        print(answer, flush=True)


main()
