"""A WebSocket client as the SDK's server expects one, with the SDK's own functions for assets."""

import asyncio
import os

import aiohttp
from nanograph_sdk import resolve_asset, upload_asset

from door import from_bytes, outcome, partial, progress, serve, to_bytes

REFERENCE = "sha256:"


async def for_the_wire(value):
    data = to_bytes(value)
    return value if data is None else (await upload_asset(data, {"filename": "input"}))["hash"]


async def from_the_wire(value):
    if isinstance(value, str) and value.startswith(REFERENCE):
        return from_bytes(await resolve_asset(value, {"as_buffer": True}))
    return value


async def all_values(ports, convert):
    told = {}
    for name, values in ports.items():
        values = values if isinstance(values, list) else [values]
        told[name] = [await convert(value) for value in values]
    return told


class Door:
    """Each run has a connection of its own."""

    async def open(self, address):
        self.url = address["url"]
        self.number = 0
        os.environ["NANOCORE_HTTP_ENDPOINT"] = address["endpoint"]
        os.environ["NANOCORE_TOKEN"] = address["token"]
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def run(self, command):
        self.number += 1
        instance = f"conformance.{self.number}"
        inputs = await all_values(command.get("inputs", {}), for_the_wire)
        async with self.session.ws_connect(self.url, max_msg_size=0) as socket:
            handshake = await socket.receive_json()
            assert handshake["type"] == "handshake", handshake
            await socket.send_json(self.request(handshake, instance, inputs, command))
            return await self.follow(socket, instance, command)

    def request(self, handshake, instance, inputs, command):
        parameters = command.get("parameters", {}).items()
        parameters = [{"name": name, "type": "text", "value": value} for name, value in parameters]
        node = {"id": 1, "uid": command["node"], "parameters": parameters}
        payload = {"nodeId": 1, "nodeUid": command["node"], "inputs": inputs, "graphNode": node}
        return {
            "type": "request_execution",
            "serverUid": handshake["serverUid"],
            "instanceId": instance,
            "payload": payload,
        }

    async def follow(self, socket, instance, command):
        events = []
        while True:
            message = await socket.receive_json()
            if message["type"] != "node_status":
                continue
            assert message["instanceId"] == instance, message
            status = message["payload"]["status"]
            if status["type"] == "complete":
                outputs = await all_values(status["outputs"], from_the_wire)
                return outcome("completed", events, outputs=outputs)
            if status["type"] == "error":
                return outcome("failed", events, message=status["message"])
            if (done := status.get("progress")) is not None:
                events.append(progress(done["step"], done["total"], status["message"]))
                if command.get("cancel"):
                    stop = {"type": "stop_workflow_instance", "instanceId": instance}
                    await socket.send_json(stop)
            if status.get("outputs") is not None:
                events.append(partial(await all_values(status["outputs"], from_the_wire)))


asyncio.run(serve(Door()))
