"""Sessions of nnrp-py over plain TCP."""

import asyncio
import itertools
import json
from contextlib import AsyncExitStack

from nnrp import client, core
from nnrp.adapters import create_tcp_client_configuration
from nnrp.client import SubmitRequest, TypedPayload
from nnrp.core import BudgetPolicy, MessageType, PayloadKind, ResultClass, TransportId

from door import from_bytes, outcome, partial, plain_request, progress, serve, to_bytes

HOST = "127.0.0.1"
SESSIONS = 8
DISCOVERY = "$nodes"


class Session:
    """One session, and a queue for each frame with what comes of it."""

    def __init__(self, session):
        self.session = session
        self.frames = itertools.count(1)
        self.told = {}
        self.tasks = [asyncio.create_task(self.results()), asyncio.create_task(self.control())]

    async def results(self):
        while True:
            result = await self.session.receive_result()
            self.tell(result.packet.header.frame_id, result)

    async def control(self):
        """Errors and hints come behind other packets, of the connection itself."""
        while True:
            packet = await self.session.connection.receive_control_packet()
            if packet.header.msg_type in (MessageType.ERROR, MessageType.RESULT_HINT):
                self.tell(packet.header.frame_id, packet)

    def tell(self, frame_id, item):
        if frame_id in self.told:
            self.told[frame_id].put_nowait(item)

    async def submit(self, request, more=(), budget_ms=0, policy=BudgetPolicy.NONE):
        frame_id = next(self.frames)
        queue = self.told[frame_id] = asyncio.Queue()
        event = TypedPayload.structured_event(json.dumps(request).encode())
        submit = SubmitRequest(
            frame_id=frame_id,
            latency_budget_ms=budget_ms,
            budget_policy=policy,
            typed_payloads=(event, *more),
        )
        await self.session.send_submit(submit)
        return frame_id, queue

    async def cancel(self, frame_id):
        packet = core.build_frame_cancel_packet(
            session_id=self.session.session_id, frame_id=frame_id
        )
        await self.session.connection.send_control_packet(packet)


class Door:
    async def open(self, address):
        self.stack, self.sessions = AsyncExitStack(), []
        for _ in range(SESSIONS):
            scope = client.connect_client_session(
                HOST,
                tcp_port=address["port"],
                tcp_configuration=create_tcp_client_configuration(idle_timeout=600),
                selected_transport_id=TransportId.TCP,
            )
            self.sessions.append(Session(await self.stack.enter_async_context(scope)))
        self.turns = itertools.cycle(self.sessions)
        nodes = (await self.discover())["nodes"]
        self.outputs = {node["uid"]: [port["name"] for port in node["outputs"]] for node in nodes}

    async def discover(self):
        _, queue = await next(self.turns).submit({"node": DISCOVERY})
        return json.loads(bytes((await queue.get()).typed_payloads[0].payload))

    async def run(self, command):
        session = next(self.turns)
        request = plain_request(command)
        budget_ms = request.pop("timeoutMs", 0)
        binary = {name: to_bytes(value) for name, value in request["inputs"].items()}
        binary = {name: data for name, data in binary.items() if data is not None}
        for name in binary:
            del request["inputs"][name]
        more = [TypedPayload.opaque_bytes(data) for data in binary.values()]
        policy = BudgetPolicy.ALLOW_PARTIAL if command.get("stream") else BudgetPolicy.NONE
        frame_id, queue = await session.submit(request, more, budget_ms, policy)
        try:
            return await self.follow(session, frame_id, queue, command)
        finally:
            del session.told[frame_id]

    async def follow(self, session, frame_id, queue, command):
        events, hint = [], None
        while True:
            item = await queue.get()
            if not isinstance(item, client.Result):
                if item.header.msg_type is MessageType.ERROR:
                    return failed(item, events)
                hint = core.ResultHintMetadata.unpack(item.metadata).reason.name
            elif item.is_drop:
                return outcome("dropped", events, code=await reason(hint, queue))
            else:
                done = told_progress(item)
                if done is not None:
                    events.append(done)
                    if command.get("cancel"):
                        await session.cancel(frame_id)
                elif item.metadata.result_class is ResultClass.PARTIAL:
                    events.append(partial(self.values(command["node"], item)))
                else:
                    outputs = self.values(command["node"], item)
                    return outcome("completed", events, outputs=outputs)

    def values(self, node, result):
        """By the names of ports: the profile of a payload is the place of its port."""
        told = {}
        for payload in result.typed_payloads:
            name = self.outputs[node][payload.profile_id - 1]
            told.setdefault(name, []).append(value(payload))
        return told

    async def stats(self, node):
        nodes = (await self.discover())["nodes"]
        return next(it["stats"] for it in nodes if it["uid"] == node)


def value(payload):
    content = bytes(payload.payload)
    if payload.payload_kind is PayloadKind.TOKEN_CHUNK:
        return content.decode()
    if payload.payload_kind is PayloadKind.STRUCTURED_EVENT:
        return json.loads(content)
    return from_bytes(content)


def told_progress(result):
    if len(result.typed_payloads) != 1:
        return None
    payload = result.typed_payloads[0]
    if payload.profile_id != 0 or payload.payload_kind is not PayloadKind.STRUCTURED_EVENT:
        return None
    event = json.loads(bytes(payload.payload))
    if event.get("event") != "progress":
        return None
    return progress(event["step"], event["total"], event["message"])


async def reason(hint, queue):
    """The hint comes first, but by another queue of the package."""
    if hint is None and not queue.empty():
        hint = core.ResultHintMetadata.unpack(queue.get_nowait().metadata).reason.name
    return hint


def failed(packet, events):
    error = core.ErrorMetadata.unpack(packet.metadata)
    text = bytes(packet.body[: error.diagnostic_bytes]).decode()
    kind, _, message = text.partition(": ")
    code = core.ErrorCode(error.error_code).name
    return outcome("failed", events, code=code, kind=kind, message=message)


asyncio.run(serve(Door()))
