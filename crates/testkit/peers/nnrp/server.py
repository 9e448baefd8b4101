"""The server of the real nnrp-py: `server.py OPTIONS`.

The options are JSON: `transports` (of `TCP`, `QUIC`), `tcp` (options of its configuration), `quic` (the same, with
`certificate` and `private_key`), `tcp_port`, `quic_port` (0: any that is free, the same for both). Commands are read
from the input; they are listed in ../README.md.
"""

import asyncio
import json
import socket
import sys
import time
from contextlib import AsyncExitStack

from nnrp import core, tools
from nnrp.adapters import (
    NnrpQuicConnection,
    NnrpQuicError,
    NnrpTcpError,
    create_quic_server_configuration,
    create_tcp_server_configuration,
    serve_quic,
    serve_tcp,
)
from nnrp.core import (
    HeaderFlags,
    MessageType,
    SessionMigrateAckMetadata,
    SessionMigrateMetadata,
    TransportId,
    TransportPolicy,
    TransportProbeAckMetadata,
    TransportProbeMetadata,
)
from nnrp.server import ServerProfile, ServerSession, accept_server_session

from connections import TIMEOUT_S, Connections, Named
from dialogue import failure, say, serve
from values import arguments, member, packet_of, payloads, submit_of, written

HOST = "127.0.0.1"
PORT_ATTEMPTS = 20
ONCE = {
    ("smoke", "TCP"): tools.run_tcp_smoke_server_once,
    ("smoke", "QUIC"): tools.run_quic_smoke_server_once,
    ("hello", "TCP"): tools.run_tcp_smoke_hello_server_once,
    ("hello", "QUIC"): tools.run_quic_smoke_hello_server_once,
    ("probe", "TCP"): tools.run_tcp_probe_server_once,
    ("probe", "QUIC"): tools.run_quic_probe_server_once,
}
ENUMERATIONS = {
    "transport_policy": TransportPolicy,
    "accepted_transport_policy": TransportPolicy,
    "active_transport_id": TransportId,
}


def now_us():
    return time.monotonic_ns() // 1000


def free_port():
    """One that is free for TCP and UDP; a port 0 is told as 0 by the package's listeners."""
    for _ in range(PORT_ATTEMPTS):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind((HOST, 0))
            try:
                udp.bind((HOST, tcp.getsockname()[1]))
                return tcp.getsockname()[1]
            except OSError:
                continue
    raise OSError("no port is free for both TCP and UDP")


class Accepted:
    """A connection in place of a listener, for the call that accepts a session."""

    def __init__(self, connection):
        self.connection = connection

    async def accept(self, timeout=None):
        return self.connection


class Operations(Connections):
    def __init__(self, options):
        super().__init__()
        self.options = options
        self.listeners = {}
        self.ports = {}
        self.tasks = {}

    def configuration(self, transport):
        if transport == "TCP":
            return create_tcp_server_configuration(**self.options.get("tcp", {}))
        return create_quic_server_configuration(**self.options["quic"])

    async def listen(self):
        """Binds the ports that were asked for, or others until both transports have the same."""
        wanted = {name: self.options.get(f"{name.lower()}_port", 0) for name in ("TCP", "QUIC")}
        for attempt in range(PORT_ATTEMPTS):
            free = free_port()
            try:
                for transport in self.options["transports"]:
                    await self.do_listen(transport, wanted[transport] or free)
                return self.ports
            except OSError:
                await self.stop_listening()
                if attempt + 1 == PORT_ATTEMPTS or all(wanted.values()):
                    raise

    async def stop_listening(self):
        for transport in list(self.listeners):
            await self.do_stop_listening(transport)

    async def do_listen(self, transport, port):
        start = serve_tcp if transport == "TCP" else serve_quic
        async with AsyncExitStack() as stack:
            scope = start(HOST, port, configuration=self.configuration(transport))
            listener = await stack.enter_async_context(scope)
            self.listeners[transport] = (listener, stack.pop_all())
        self.ports[transport] = port

    async def do_stop_listening(self, transport):
        """Leaves the scope of the listener, which closes all that it has accepted."""
        _, stack = self.listeners.pop(transport)
        await stack.aclose()

    async def do_open(self, transport, on="main", timeout_s=TIMEOUT_S):
        """Accepts a connection, without waiting for a hello."""
        connection = await self.listeners[transport][0].accept(timeout=timeout_s)
        self.keep(on, self.closing(connection))

    def closing(self, connection, session=None):
        stack = AsyncExitStack()
        named = Named(connection, session, stack)

        async def close():
            connection.close()
            await connection.wait_closed()

        stack.push_async_callback(close)
        return named

    async def do_accept(
        self, transport=None, on="main", server_profile=None, timeout=TIMEOUT_S, **options
    ):
        """Accepts a session: on what was opened under this name, or on the next connection of a transport."""
        if server_profile is not None:
            options["server_profile"] = ServerProfile(**server_profile)
        if transport is None:
            listener = Accepted(self.named.pop(on).connection)
        else:
            listener = self.listeners[transport][0]
        session = await accept_server_session(listener, timeout=timeout, **options)
        self.keep(on, self.closing(session.connection, session))
        return {
            "session_id": session.session_id,
            "transport": session.transport_id.name,
            "hello": packet_of(session.hello.packet),
            "auth_block": session.hello.auth_block.hex(),
            "control_extensions": written(list(session.hello.control_extensions)),
        }

    async def do_receive(self, on="main", timeout_s=TIMEOUT_S):
        """The next submit."""
        return submit_of(await self.named[on].session.receive_submit(timeout=timeout_s))

    async def do_receive_many(self, count, on="main", timeout_s=TIMEOUT_S):
        """So many submits, in the order in which they come: `frame_id`, `view_id` each."""
        session, submits = self.named[on].session, []
        while len(submits) < count:
            request = (await session.receive_submit(timeout=timeout_s)).request
            submits.append({"frame_id": request.frame_id, "view_id": request.view_id})
        return submits

    async def do_result(self, frame_id, on="main", typed_payloads=(), count=1, **fields):
        """Sends a result, or results of frames that follow one another; the stream of the last.

        View, route and trace are those that are given, not those of the submit (Q-11).
        """
        session, stream = self.named[on].session, None
        fields = arguments(ServerSession.send_result, fields)
        for number in range(count):
            stream = await session.send_result(
                frame_id=frame_id + number, typed_payloads=payloads(typed_payloads), **fields
            )
        return stream

    async def do_drop(self, frame_id, on="main", **ids):
        """Sends a drop through the connection, because the session's own call always fails (Q-02)."""
        named = self.named[on]
        packet = core.build_result_drop_packet(
            session_id=named.session.session_id, frame_id=frame_id, **ids
        )
        return await named.connection.send_result_packet(packet)

    async def do_answer_all(self, on="main"):
        """From now on each submit is answered with a result that has what the submit has."""
        self.tasks[on] = asyncio.create_task(self.answer_all(self.named[on].session))

    async def answer_all(self, session):
        answered = 0
        while True:
            try:
                request = (await session.receive_submit()).request
            except (NnrpQuicError, NnrpTcpError):
                return answered
            await session.send_result(
                frame_id=request.frame_id,
                tile_ids=request.tile_ids,
                sections=request.sections,
                typed_payloads=request.typed_payloads,
                tile_index_mode=request.tile_index_mode,
                tile_base_id=request.tile_base_id,
                view_id=request.view_id,
                route_id=request.route_id,
                trace_id=request.trace_id,
            )
            answered += 1

    async def do_answer_probe(self, on="main", timeout_s=TIMEOUT_S):
        """Answers the next control packet, which must be a probe."""
        connection = self.named[on].connection
        packet = await connection.receive_control_packet(timeout=timeout_s)
        if packet.header.msg_type is not MessageType.TRANSPORT_PROBE:
            raise ValueError(f"no probe but {packet.header.msg_type.name}")
        probe = TransportProbeMetadata.unpack(packet.metadata)
        ack = TransportProbeAckMetadata(
            probe_id=probe.probe_id, reserved=0, server_recv_ts_us=now_us()
        )
        await connection.send_control_packet(core.build_transport_probe_ack_packet(metadata=ack))
        return packet_of(packet)

    async def do_answer_migrate(
        self,
        old,
        on,
        accept_code=0,
        resume_from_frame_id=0,
        grace_window_ms=1000,
        timeout_s=TIMEOUT_S,
    ):
        """Answers the next control packet, which must be a migration of the session `old` to the connection `on`.

        The package has no server part of migration; this connection becomes a session like those it accepts.
        """
        named, session = self.named[on], self.named[old].session
        packet = await named.connection.receive_control_packet(timeout=timeout_s)
        if packet.header.msg_type is not MessageType.SESSION_MIGRATE:
            raise ValueError(f"no migration but {packet.header.msg_type.name}")
        SessionMigrateMetadata.unpack(packet.metadata)
        ack = SessionMigrateAckMetadata(
            accept_code=accept_code,
            resume_from_frame_id=resume_from_frame_id,
            grace_window_ms=grace_window_ms,
            server_migrate_ts_us=now_us(),
        )
        answer = core.build_session_migrate_ack_packet(
            metadata=ack,
            session_id=packet.header.session_id,
            route_id=packet.header.route_id,
            trace_id=packet.header.trace_id,
            flags=HeaderFlags.NONE,
        )
        await named.connection.send_control_packet(answer)
        if accept_code == 0:
            is_quic = isinstance(named.connection, NnrpQuicConnection)
            named.session = ServerSession(
                connection=named.connection,
                transport_id=TransportId.QUIC if is_quic else TransportId.TCP,
                hello=session.hello,
                session_id=session.session_id,
                active_model_name=session.active_model_name,
                server_profile=session.server_profile,
            )
        return packet_of(packet)

    async def do_once(self, kind, transport, on="main", **options):
        """Starts one of the package's servers that end by themselves: `smoke`, `hello`, `probe`. Its port."""
        for name, enumeration in ENUMERATIONS.items():
            if name in options:
                options[name] = member(enumeration, options[name])
        if transport == "QUIC" or "tcp" in self.options:
            options["configuration"] = self.configuration(transport)
        port, ready = free_port(), asyncio.Event()
        options = {"ready_event": ready, "timeout": TIMEOUT_S, **options}
        task = asyncio.create_task(ONCE[kind, transport](HOST, port, **options))
        started = asyncio.create_task(ready.wait())
        await asyncio.wait({task, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if not ready.is_set():
            await task
        self.tasks[on] = task
        return port

    async def do_finished(self, on="main"):
        """Waits for the end of `answer_all`: how many it has answered; or of `once`: what the package returns."""
        return written(await self.tasks.pop(on))


async def main():
    operations = Operations(json.loads(sys.argv[1]))
    try:
        say({"id": 0, "ok": await operations.listen()})
    except Exception as error:
        say({"id": 0, **failure(error)})
        return
    await serve(operations)
    for task in operations.tasks.values():
        task.cancel()
    await operations.close_all()
    await operations.stop_listening()


asyncio.run(main())
