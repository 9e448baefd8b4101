"""The client of the official SDK for MCP, over streamable HTTP."""

import asyncio
import base64
from contextlib import AsyncExitStack

from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError

from door import outcome, progress, serve

ERROR = "nodewire/error"


class Door:
    async def open(self, address):
        self.stack = AsyncExitStack()
        headers = {"Authorization": f"Bearer {address['token']}"}
        http = await self.stack.enter_async_context(create_mcp_http_client(headers))
        # It takes events of up to 1 MiB only, unless it is told otherwise.
        transport = streamable_http_client(address["url"], http_client=http, max_sse_event_size=None)
        self.client = await self.stack.enter_async_context(Client(transport))

    async def run(self, command):
        arguments = {**command.get("inputs", {}), **command.get("parameters", {})}
        meta = {"nodewire/timeoutMs": command["timeout_ms"]} if "timeout_ms" in command else None
        events, begun = [], asyncio.Event()

        async def report(done, total, message):
            events.append(progress(int(done), int(total), message))
            begun.set()

        wanted = report if command.get("stream") else None
        call = self.client.call_tool(
            command["node"], arguments, progress_callback=wanted, meta=meta
        )
        call = asyncio.create_task(call)
        if command.get("cancel"):
            await begun.wait()
            # Which is how this SDK cancels a call.
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            return outcome("gone", events)
        try:
            return ended(await call, events)
        except MCPError as error:
            kind = (error.data or {}).get("kind")
            return outcome("failed", events, code=str(error.code), kind=kind, message=error.message)


def ended(result, events):
    if result.is_error:
        error = result.meta[ERROR]
        text = result.content[0].text
        assert text == f"{error['kind']}: {error['message']}", text
        return outcome("failed", events, code="isError", **error)
    outputs = {
        name: [value(each, result.content) for each in values]
        for name, values in result.structured_content.items()
    }
    return outcome("completed", events, outputs=outputs)


def value(told, content):
    """Bytes stand among the content."""
    if isinstance(told, dict) and "$content" in told:
        blob = content[told["$content"]].resource.blob
        # As all others write it.
        return {"$bytes": base64.b64encode(base64.b64decode(blob)).decode()}
    return told


asyncio.run(serve(Door()))
