"""The client of the real nnrp-py: `client.py`. Commands are read from the input; they are listed in ../README.md."""

import asyncio
import dataclasses
import ssl
from contextlib import AsyncExitStack

from nnrp import client, core
from nnrp.adapters import (
    connect_quic,
    connect_tcp,
    create_quic_client_configuration,
    create_tcp_client_configuration,
)
from nnrp.core import TransportId, TransportPolicy
from nnrp.tools import run_quic_smoke_client, run_tcp_smoke_client

from connections import TIMEOUT_S, Connections, Named
from dialogue import say, serve
from values import extensions, member, packet_of, request, result_of, written

HOST = "127.0.0.1"


def tcp_configuration(options):
    """Without options the one that the package takes itself: its idle timeout is the timeout of the call (Q-03)."""
    return None if options is None else create_tcp_client_configuration(**options)


def quic_configuration(options):
    options = {"verify": False, **(options or {})}
    verify = ssl.CERT_REQUIRED if options.pop("verify") else ssl.CERT_NONE
    return create_quic_client_configuration(verify_mode=verify, **options)


def endpoints(tcp_port, quic_port, tcp, quic):
    return {
        "tcp_port": tcp_port,
        "quic_port": quic_port,
        "tcp_configuration": tcp_configuration(tcp),
        "quic_configuration": quic_configuration(quic),
    }


def choice(selected, forced):
    chosen = {"selected_transport_id": selected, "forced_transport_id": forced}
    return {name: member(TransportId, value) for name, value in chosen.items() if value}


def summary(found):
    return found and {
        "success_count": found.success_count,
        "failure_count": found.failure_count,
        "median_round_trip_us": found.median_round_trip_us if found.results else None,
        "samples": [written(result) for result in found.results],
    }


def selection(found):
    return {
        "selected": found.selected_transport_id.name,
        "tcp": summary(found.tcp_summary),
        "quic": summary(found.quic_summary),
    }


class Operations(Connections):
    async def do_connect(
        self,
        on="main",
        tcp_port=None,
        quic_port=None,
        tcp=None,
        quic=None,
        selected=None,
        forced=None,
        auth_block="",
        control_extensions=(),
        client_profile=None,
        probe=None,
        timeout=TIMEOUT_S,
        **options,
    ):
        """A session; with `probe`, on the transport that probes say is better."""
        if client_profile is not None:
            options["client_profile"] = client.ClientProfile(**client_profile)
        options |= endpoints(tcp_port, quic_port, tcp, quic)
        options |= {
            "auth_block": bytes.fromhex(auth_block),
            "control_extensions": extensions(control_extensions),
            "timeout": timeout,
        }
        if probe is None:
            options |= choice(selected, forced)
            scope = client.connect_client_session(HOST, **options)
        else:
            scope = client.connect_client_session_with_probe(HOST, **options, **probe)
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(scope)
            self.keep(on, Named(session.connection, session, stack.pop_all()))
        return self.told(session)

    def told(self, session):
        control = session.control
        ack = control.ack_packet
        end = control.ack_metadata.control_extension_bytes
        return {
            "session_id": session.session_id,
            "transport": control.transport_id.name,
            "ack": packet_of(ack),
            "ack_extensions": written(list(core.unpack_control_extension_block(ack.body[:end]))),
            "ack_payload": ack.body[end:].hex(),
            "probe": control.bootstrap.probe_selection
            and selection(control.bootstrap.probe_selection),
        }

    async def do_open(self, transport, port, on="main", tcp=None, quic=None):
        """A connection without a hello."""
        if transport == "TCP":
            configuration = tcp_configuration(tcp) or create_tcp_client_configuration()
            scope = connect_tcp(HOST, port, configuration=configuration)
        else:
            scope = connect_quic(HOST, port, configuration=quic_configuration(quic))
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(scope)
            self.keep(on, Named(connection, stack=stack.pop_all()))

    async def do_migrate(
        self,
        to,
        on="main",
        tcp_port=None,
        quic_port=None,
        tcp=None,
        quic=None,
        selected=None,
        forced=None,
        body="",
        timeout=TIMEOUT_S,
        **options,
    ):
        """Moves a session to the other transport, under the name `to`; what it is on now stays open."""
        options |= endpoints(tcp_port, quic_port, tcp, quic) | choice(selected, forced)
        options |= {"body": bytes.fromhex(body), "timeout": timeout}
        async with AsyncExitStack() as stack:
            scope = self.named[on].session.migrate_session(HOST, **options)
            outcome = await stack.enter_async_context(scope)
            self.keep(to, Named(outcome.session.connection, outcome.session, stack.pop_all()))
        return {
            "accepted": outcome.accepted,
            "previous": outcome.previous_transport_id.name,
            "current": outcome.current_transport_id.name,
            "resume_from_frame_id": outcome.resume_from_frame_id,
            "ack": packet_of(outcome.ack_packet),
        }

    async def do_submit(self, frame_id, on="main", count=1, **fields):
        """Submits a frame, or frames that follow one another; the stream of the last."""
        session, first, stream = self.named[on].session, request({"frame_id": frame_id, **fields}), None
        for number in range(count):
            following = dataclasses.replace(first, frame_id=frame_id + number)
            stream = await session.send_submit(following)
        return stream

    async def do_route(self, on="main"):
        """From now on results are received by the package's router, by frame and view."""
        named = self.named[on]
        named.router = await named.stack.enter_async_context(named.session.manage_results())

    async def do_receive(self, on="main", frame_id=None, view_id=0, timeout_s=TIMEOUT_S):
        """The next result of any frame; of a routed session, the next of a frame."""
        named = self.named[on]
        if named.router is None:
            return result_of(await named.session.receive_result(timeout=timeout_s))
        result = await named.router.receive(frame_id, view_id=view_id, timeout=timeout_s)
        return result_of(result)

    async def do_receive_many(self, count, on="main", timeout_s=TIMEOUT_S):
        """So many results of any frames, in the order in which they come: `type`, `frame_id`, `view_id` each."""
        session, results = self.named[on].session, []
        while len(results) < count:
            packet = (await session.receive_result(timeout=timeout_s)).packet
            ids = packet_of(packet)
            results.append({name: ids[name] for name in ("type", "frame_id", "view_id")})
        return results

    async def do_receive_flow_update(self, on="main", timeout_s=TIMEOUT_S):
        packet, _ = await self.named[on].session.receive_flow_update(timeout=timeout_s)
        return packet_of(packet)

    async def do_probe(self, tcp_port, quic_port, tcp=None, quic=None, **options):
        found = await client.probe_client_transport(
            HOST, **endpoints(tcp_port, quic_port, tcp, quic), **options
        )
        return selection(found)

    async def do_smoke(
        self, transport, port, tcp=None, quic=None, transport_policy=None, **options
    ):
        """The package's smoke client; its transcript."""
        for name in ("preferred_transport_id", "selected_transport_id", "forced_transport_id"):
            if name in options:
                options[name] = member(TransportId, options[name])
        if transport_policy is not None:
            options["transport_policy"] = member(TransportPolicy, transport_policy)
        if transport == "TCP":
            run, configuration = run_tcp_smoke_client, tcp_configuration(tcp)
        else:
            run, configuration = run_quic_smoke_client, quic_configuration(quic)
        return written(await run(HOST, port, configuration=configuration, **options))


async def main():
    operations = Operations()
    say({"id": 0, "ok": {}})
    await serve(operations)
    await operations.close_all()


asyncio.run(main())
