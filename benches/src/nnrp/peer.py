"""Both ends of a session by nnrp-py: `serve TRANSPORT CERTIFICATE`, `load LOAD` and `idle IDLE`."""

import asyncio
import json
import os
import socket
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

from nnrp.adapters import create_quic_server_configuration, serve_quic, serve_tcp
from nnrp.client import SubmitRequest, TypedPayload, connect_client_session
from nnrp.server import ServerProfile, accept_server_session

IN_FLIGHT_MAX = 1024
# A result over QUIC may take a quarter of a minute.
PATIENCE_S = 120.0


async def answer(session):
    while True:
        submit = await session.receive_submit()
        await session.send_result(
            frame_id=submit.request.frame_id, typed_payloads=submit.request.typed_payloads
        )


def free_port():
    """Its listeners do not tell theirs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def serve(transport, certificate):
    port = free_port()
    if transport == "quic":
        folder = Path(certificate)
        configuration = create_quic_server_configuration(folder / "cert.pem", folder / "key.pem")
        opened = serve_quic("127.0.0.1", port, configuration=configuration)
    else:
        opened = serve_tcp("127.0.0.1", port)
    async with opened as listener:
        print(f"listening 127.0.0.1:{port}", flush=True)
        profile = ServerProfile(max_concurrent_frames=IN_FLIGHT_MAX)
        answering = set()
        while True:
            session = await accept_server_session(
                listener, server_profile=profile, timeout=PATIENCE_S
            )
            answering.add(asyncio.create_task(answer(session)))


class Meter:
    """From one result to another, like the other subjects'."""

    def __init__(self, load):
        self.warm_up_s = load["warm_up_ms"] / 1e3
        self.time_s = load["time_ms"] / 1e3
        self.started = time.perf_counter()
        self.since = self.last = None
        self.before = 0
        self.latencies_us = []

    def result(self, submitted):
        now = time.perf_counter()
        if self.since is None:
            self.before += 1
            if now - self.started >= self.warm_up_s:
                self.since = now
            return True
        self.latencies_us.append((now - submitted) * 1e6)
        self.last = now
        return now - self.since < self.time_s

    def outcome(self):
        self.latencies_us.sort()
        frames = len(self.latencies_us)
        return {
            "frames": frames,
            "frames_in_all": frames + self.before,
            "seconds": self.last - self.since,
            "p50_us": self.latencies_us[(frames - 1) * 50 // 100],
            "p99_us": self.latencies_us[(frames - 1) * 99 // 100],
        }


def connect(to):
    host, port = to["address"].split(":")
    where = {"quic_port" if to["transport"] == "quic" else "tcp_port": int(port)}
    return connect_client_session(host, **where, timeout=PATIENCE_S)


async def put(load):
    payload = (bytes(range(256)) * (load["payload_bytes"] // 256 + 1))[: load["payload_bytes"]]
    async with connect(load) as session:
        async with session.manage_results() as router:
            numbers = iter(range(1, 1 << 31))
            meter = Meter(load)
            over = asyncio.Event()

            async def submitter():
                while not over.is_set():
                    frame_id = next(numbers)
                    typed = (TypedPayload.opaque_bytes(payload),)
                    submitted = time.perf_counter()
                    await router.send_submit(
                        SubmitRequest(frame_id=frame_id, typed_payloads=typed)
                    )
                    result = await router.receive(frame_id)
                    if over.is_set():
                        break
                    if len(result.typed_payloads[0].payload) != len(payload):
                        raise ValueError("a result is too short")
                    if not meter.result(submitted):
                        over.set()

            submitters = [asyncio.create_task(submitter()) for _ in range(load["in_flight"])]
            done, _ = await asyncio.wait(submitters, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            # What is under way is of no interest, and may take long.
            print(json.dumps(meter.outcome()), flush=True)
            os._exit(0)


async def open_idle(idle):
    async with AsyncExitStack() as sessions:
        for _ in range(idle["sessions"]):
            await sessions.enter_async_context(connect(idle))
        print("open", flush=True)
        await asyncio.Event().wait()


match sys.argv[1]:
    case "serve":
        asyncio.run(serve(sys.argv[2], sys.argv[3]))
    case "load":
        asyncio.run(put(json.loads(sys.argv[2])))
    case "idle":
        asyncio.run(open_idle(json.loads(sys.argv[2])))
