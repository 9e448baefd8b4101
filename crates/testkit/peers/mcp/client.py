"""Drives the client of the official SDK for MCP: `client.py`.

Reads one command as JSON from each line of its input, and prints one result as JSON to a line of its output; the
commands are listed in ../README.md. Calls that were begun go on between commands.
"""

import asyncio
import json
import sys
import traceback
from contextlib import AsyncExitStack

from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import MCPError

# Ends what hangs.
LIMIT_S = 50


def described(document):
    return document.model_dump(mode="json", by_alias=True, exclude_none=True)


class Operations:
    def __init__(self, stack):
        self.stack = stack
        self.client = None
        self.begun = {}

    async def connect(self, server, mode):
        # Without a cache every list is asked for.
        client = Client(server, mode=mode, cache=None)
        self.client = await self.stack.enter_async_context(client)
        return {
            "version": self.client.protocol_version,
            "server": described(self.client.server_info),
        }

    async def do_http(self, url, token, mode="auto"):
        headers = {"Authorization": f"Bearer {token}"}
        client = await self.stack.enter_async_context(create_mcp_http_client(headers))
        # Answers in a session come as events, which it takes up to 1 MiB only, unless it is told otherwise.
        transport = streamable_http_client(url, http_client=client, max_sse_event_size=None)
        return await self.connect(transport, mode)

    async def do_stdio(self, command, args=(), mode="auto"):
        return await self.connect(StdioServerParameters(command=command, args=list(args)), mode)

    async def do_list(self, cursor=None):
        return described(await self.client.list_tools(cursor=cursor))

    async def do_call(self, tool, arguments=None, meta=None):
        progress = []

        async def report(done, total, message):
            progress.append([done, total, message])

        result = await self.client.call_tool(
            tool, arguments or {}, progress_callback=report, meta=meta
        )
        return {"result": described(result), "progress": progress}

    async def do_begin(self, name, tool, arguments=None):
        self.begun[name] = asyncio.create_task(self.do_call(tool, arguments))

    async def do_cancel(self, name):
        """Cancels the task that waits, which is how this SDK cancels a call."""
        task = self.begun.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def do_end(self, name):
        return await self.begun.pop(name)

    async def do_close(self):
        await self.stack.aclose()


def failure(error):
    traceback.print_exception(error, file=sys.stderr)
    # The SDK's tasks wrap what has happened.
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    told = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, MCPError):
        told.update(code=error.code, message=error.message, data=error.data)
    return {"error": told}


async def answer(operations, command):
    try:
        operation = getattr(operations, f"do_{command.pop('op')}")
        async with asyncio.timeout(LIMIT_S):
            return {"ok": await operation(**command)}
    except Exception as error:  # Whatever the SDK raises is its verdict.
        return failure(error)


async def main():
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        operations = Operations(stack)
        print(json.dumps({"id": 0}), flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command = json.loads(line)
            number = command.pop("id")
            result = await answer(operations, command)
            print(json.dumps({"id": number, **result}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
