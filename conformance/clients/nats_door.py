"""The official client of NATS for Python: requests, and replies to an inbox where more than one is wanted."""

import asyncio
import json

import nats

from door import LIMIT_S, from_bytes, outcome, plain_request, serve, to_bytes

OCTETS = "application/octet-stream"


class Door:
    async def open(self, address):
        self.nats = await nats.connect(address["url"])
        self.service = address["service"]
        info = await self.ask(f"$SRV.INFO.{self.service}")
        self.subjects = {
            endpoint["metadata"]["nodewire.node"]: endpoint["subject"]
            for endpoint in json.loads(info.data)["endpoints"]
            if "nodewire.node" in endpoint["metadata"]
        }

    async def ask(self, subject, body=b"", headers=None):
        return await self.nats.request(subject, body, timeout=LIMIT_S, headers=headers)

    async def run(self, command):
        # What discovery does not know is asked for by name.
        subject = self.subjects.get(command["node"], f"{self.service}.$execute")
        body, headers = self.body(command)
        if "timeout_ms" in command:
            headers["Nodewire-Timeout-Ms"] = str(command["timeout_ms"])
        if command.get("stream"):
            return await self.stream(subject, body, headers, command)
        return self.ended(await self.ask(subject, body, headers or None), [])

    def body(self, command):
        """Bytes as they are where that is all there is, else JSON."""
        inputs = list(command.get("inputs", {}).values())
        data = to_bytes(inputs[0]) if len(inputs) == 1 else None
        if data is not None:
            return data, {"Content-Type": OCTETS, "Accept": OCTETS}
        request = plain_request(command)
        request.pop("timeoutMs", None)
        return json.dumps(request).encode(), {}

    async def stream(self, subject, body, headers, command):
        inbox = self.nats.new_inbox()
        replies = await self.nats.subscribe(inbox)
        headers["Nodewire-Stream"] = "1"
        await self.nats.publish(subject, body, reply=inbox, headers=headers)
        events, cancel = [], None
        while True:
            reply = await replies.next_msg(LIMIT_S)
            event = (reply.headers or {}).get("Nodewire-Event")
            if event == "accepted":
                cancel = reply.headers["Nodewire-Cancel"]
            elif event in ("progress", "partial"):
                events.append(json.loads(reply.data))
                if event == "progress" and command.get("cancel"):
                    assert json.loads((await self.ask(cancel)).data) == {"cancelled": True}
            else:
                await replies.unsubscribe()
                return self.ended(reply, events)

    def ended(self, reply, events):
        headers = reply.headers or {}
        event = headers.get("Nodewire-Event")
        code = headers.get("Nats-Service-Error-Code")
        if event in ("cancelled", "dropped"):
            return outcome(event, events, code=code)
        if code is not None:
            kind = json.loads(reply.data)["error"]["kind"]
            message = headers["Nats-Service-Error"]
            return outcome("failed", events, code=code, kind=kind, message=message)
        if headers.get("Content-Type") == OCTETS:
            others = json.loads(headers.get("Nodewire-Outputs", "{}"))
            return outcome("completed", events, outputs={"data": [from_bytes(reply.data)], **others})
        return outcome("completed", events, outputs=json.loads(reply.data)["outputs"])

    async def stats(self, node):
        stats = json.loads((await self.ask(f"$SRV.STATS.{self.service}")).data)
        return next(it["data"] for it in stats["endpoints"] if (it["data"] or {}).get("node") == node)


asyncio.run(serve(Door()))
