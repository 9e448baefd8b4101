"""Sockets of pyzmq, with the types of auto-trainer-api."""

import asyncio
import json
from dataclasses import asdict

import zmq
import zmq.asyncio
from autotrainer import api

from door import outcome, partial, plain_request, progress, serve

NODES, CANCEL = 1, 2
Result = api.ApiCommandRequestResult


class Door:
    """Each run has a command socket of its own; one socket gets all events."""

    async def open(self, address):
        self.commands = address["commands"]
        self.context = zmq.asyncio.Context()
        self.context.set(zmq.MAX_SOCKETS, 4096)
        self.events = self.context.socket(zmq.SUB)
        for topic in (api.ApiTopic.COMMAND_RESULT, api.ApiTopic.PROPERTY_CHANGE):
            self.events.setsockopt(zmq.SUBSCRIBE, topic.to_bytes(4, "little"))
        self.events.connect(address["events"])
        self.nonce = 0
        self.told = {}
        self.reading = asyncio.create_task(self.read())
        await self.join()

    async def read(self):
        """Hands on what is published to whoever waits for its nonce."""
        while True:
            topic, payload = await self.events.recv_multipart()
            payload = json.loads(payload)
            is_result = int.from_bytes(topic, "little") == api.ApiTopic.COMMAND_RESULT
            content = payload if is_result else payload["context"]["newValue"]
            if (queue := self.told.get(content["nonce"])) is not None:
                queue.put_nowait((None if is_result else payload["context"]["name"], content))

    async def join(self):
        """Until something arrives, the subscriptions are not in effect."""
        while True:
            nonce, queue = self.next()
            await self.ask(nonce, data={"node": "slow"})
            try:
                return await asyncio.wait_for(queue.get(), 0.2)
            except TimeoutError:
                pass

    def next(self):
        self.nonce += 1
        self.told[self.nonce] = asyncio.Queue()
        return self.nonce, self.told[self.nonce]

    async def ask(self, nonce, custom_command=-1, data=None):
        request = api.ApiCommandRequest(
            command=api.ApiCommand.USER_DEFINED,
            custom_command=custom_command,
            nonce=nonce,
            data=data,
        )
        socket = self.context.socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        try:
            socket.connect(self.commands)
            await socket.send(json.dumps(asdict(request)).encode())
            reply = json.loads(await socket.recv())
        finally:
            socket.close()
        assert reply["nonce"] == nonce, reply
        return reply

    async def run(self, command):
        nonce, queue = self.next()
        reply = await self.ask(nonce, data=plain_request(command, timeout_name="timeout_ms"))
        events = []
        while reply["result"] == Result.PENDING_WITH_NOTIFICATION:
            name, content = await queue.get()
            if name is None:
                reply = content
            elif name == "progress":
                events.append(progress(content["step"], content["total"], content["message"]))
                if command.get("cancel"):
                    await self.cancel(nonce)
            else:
                events.append(partial(content["outputs"]))
        del self.told[nonce]
        return self.ended(reply, events)

    async def cancel(self, nonce):
        reply = await self.ask(self.next()[0], CANCEL, {"nonce": nonce})
        assert reply["result"] == Result.SUCCESS, reply

    def ended(self, reply, events):
        result = Result(reply["result"])
        if result is Result.SUCCESS:
            return outcome("completed", events, outputs=reply["data"]["outputs"])
        code = f"{result.name} {reply['errorCode']}"
        return outcome("failed", events, code=code, message=reply["errorMessage"])

    async def stats(self, node):
        reply = await self.ask(self.next()[0], NODES, {"node": node})
        return reply["data"]["nodes"][0]["stats"]


asyncio.run(serve(Door()))
