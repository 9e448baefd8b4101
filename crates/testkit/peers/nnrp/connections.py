"""Connections and sessions of the package, each under a name, and what both roles do with them."""

import types
from contextlib import AsyncExitStack

from nnrp.adapters import NnrpQuicError, NnrpTcpError
from nnrp.core import FlowUpdateMetadata, HeaderFlags, MessageType

from values import packet_of, structure

TIMEOUT_S = 30
MAX_KEPT_PACKETS = 1000


class Named:
    """A connection, with a session once there was a hello; closing it leaves the scopes that it was opened in."""

    def __init__(self, connection, session=None, stack=None):
        self.connection = connection
        self.session = session
        self.stack = stack or AsyncExitStack()
        self.router = None


class Raw:
    """Bytes in place of a packet, for the calls that send packets."""

    def __init__(self, data, message_type):
        self.data = data
        self.header = types.SimpleNamespace(msg_type=message_type)

    def pack(self):
        return self.data


class Connections:
    def __init__(self):
        self.named = {}

    def keep(self, name, named):
        if name in self.named:
            raise ValueError(f"there is a connection {name} already")
        self.named[name] = named
        return named

    async def close_all(self):
        for name in list(self.named):
            await self.do_close(name)

    async def do_raw(self, data, on="main", queue="control"):
        """Sends bytes as they are: on the control path, or as a submit or result, which QUIC ends with its stream."""
        connection, data = self.named[on].connection, bytes.fromhex(data)
        if queue == "control":
            return await connection.send_control_packet(Raw(data, MessageType.PING))
        if queue == "submit":
            return await connection.send_submit_packet(Raw(data, MessageType.FRAME_SUBMIT))
        return await connection.send_result_packet(Raw(data, MessageType.RESULT_PUSH))

    async def do_packet(self, on="main", queue="control", timeout_s=TIMEOUT_S):
        """The next packet of a queue as it came: `control`, `submit` or `result`."""
        connection = self.named[on].connection
        receive = getattr(connection, f"receive_{queue}_packet")
        return packet_of(await receive(timeout=timeout_s))

    async def do_packet_of(self, message_type, on="main", timeout_s=TIMEOUT_S):
        """The next packet of a type on the control path; those before it are passed over."""
        for _ in range(MAX_KEPT_PACKETS):
            packet = await self.do_packet(on, "control", timeout_s)
            if packet["type"] == message_type:
                return packet
        raise ValueError(f"{MAX_KEPT_PACKETS} packets came, and no {message_type}")

    async def do_end(self, on="main", timeout_s=TIMEOUT_S):
        """Waits for the end of the connection: the error that the package has for it, and the control packets before."""
        packets = []
        while len(packets) < MAX_KEPT_PACKETS:
            try:
                packets.append(await self.do_packet(on, "control", timeout_s))
            except (NnrpQuicError, NnrpTcpError) as error:
                return {"type": type(error).__name__, "message": str(error), "packets": packets}
        raise ValueError(f"{MAX_KEPT_PACKETS} packets came, and no end")

    async def do_streams(self, on="main"):
        connection = self.named[on].connection
        return {
            "control": connection.control_stream_id,
            "submit": connection.last_submit_stream_id,
            "result": connection.last_result_stream_id,
        }

    async def do_flow_update(self, on="main", trace_id=0, **fields):
        metadata = structure(FlowUpdateMetadata, fields)
        await self.named[on].session.send_flow_update(
            metadata, trace_id=trace_id, flags=HeaderFlags.NONE
        )

    async def do_close(self, on="main"):
        await self.named.pop(on).stack.aclose()
