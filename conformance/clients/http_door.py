"""Runs curl: once for each request."""

import asyncio
import json
from asyncio.subprocess import PIPE
from urllib.parse import quote

from door import LIMIT_S, from_bytes, outcome, plain_request, serve, to_bytes

OCTETS = "application/octet-stream"


class Door:
    async def open(self, address):
        self.url = address["url"]
        self.curl = [
            "curl",
            *("--silent", "--show-error", "--no-buffer", "--noproxy", "*"),
            *("--max-time", str(LIMIT_S)),
            *("--header", f"Authorization: Bearer {address['token']}"),
            *("--write-out", "%{stderr}%{http_code}"),
        ]

    async def begin(self, path, arguments, body=b""):
        process = await asyncio.create_subprocess_exec(
            *self.curl, *arguments, self.url + path, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        return process, asyncio.create_task(feed(process, body))

    async def get(self, path):
        process, _ = await self.begin(path, [])
        output, _ = await process.communicate()
        return json.loads(output)

    async def run(self, command):
        path = f"/nodes/{quote(command['node'], safe='')}/execute"
        arguments, body = request(command)
        if "timeout_ms" in command:
            arguments += ["--header", f"Request-Timeout-Ms: {command['timeout_ms']}"]
        if command.get("stream"):
            arguments += ["--header", "Accept: text/event-stream"]
        process, feeding = await self.begin(path, arguments, body)
        if command.get("stream"):
            return await follow(process, command)
        output, status = await asyncio.gather(process.stdout.read(), process.stderr.read())
        await asyncio.gather(process.wait(), feeding)
        return answered(output, status.decode().strip(), command)

    async def stats(self, node):
        return (await self.get("/stats"))["nodes"][node]


async def feed(process, body):
    process.stdin.write(body)
    await process.stdin.drain()
    process.stdin.close()


def request(command):
    """A form with a file where there are bytes, else JSON."""
    inputs = command.get("inputs", {})
    binary = {name: to_bytes(value) for name, value in inputs.items()}
    if len(binary) == 1 and (data := next(iter(binary.values()))) is not None:
        name = next(iter(binary))
        arguments = ["--form", f"{name}=@-;filename={name}", "--header", f"Accept: {OCTETS}"]
        return arguments, data
    body = plain_request(command)
    body.pop("timeoutMs", None)
    arguments = ["--header", "Content-Type: application/json", "--data-binary", "@-"]
    return arguments, json.dumps(body).encode()


def answered(output, status, command):
    if status == "200" and "$bytes" in json.dumps(command.get("inputs", {})):
        return outcome("completed", [], outputs={"data": [from_bytes(output)]})
    answer = json.loads(output)
    if status == "200":
        return outcome("completed", [], outputs=answer["outputs"])
    error = answer["error"]
    return outcome("failed", [], code=status, kind=error["kind"], message=error["message"])


async def follow(process, command):
    """Reads server-sent events. Leaving is the way to cancel."""
    events = []
    while line := await process.stdout.readline():
        if not line.startswith(b"data: "):
            continue
        event = json.loads(line.removeprefix(b"data: "))
        if event["event"] not in ("progress", "partial"):
            await process.wait()
            end = event.pop("event")
            return outcome(end, events, **event)
        events.append(event)
        if command.get("cancel"):
            process.kill()
            await process.wait()
            return outcome("gone", events)
    raise RuntimeError((await process.stderr.read()).decode() or "the events have no end")


asyncio.run(serve(Door()))
