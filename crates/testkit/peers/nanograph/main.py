"""A node server for tests, built with the real SDK. Its nodes behave as those of the recorded exchanges."""

import asyncio
import os

from aiohttp import web
from nanograph_sdk import NanoSDK

# The SDK listens on all interfaces; tests must not.
_set_up = web.TCPSite.__init__


def _on_loopback(self, runner, host=None, port=None, **options):
    _set_up(self, runner, "127.0.0.1", port, **options)


web.TCPSite.__init__ = _on_loopback

static = NanoSDK.register_node(
    {
        "uid": "static-node",
        "name": "Static",
        "category": "Test",
        "version": "1.0.0",
        "description": "Registered from the entry point",
        "inputs": [],
        "outputs": [],
        "parameters": [],
    }
)


async def run_static(ctx):
    return {}


static["execute"] = run_static


def on_shutdown():
    with open(os.path.join(os.path.dirname(__file__), "shutdown.txt"), "w") as file:
        file.write("ran")


async def main():
    sdk = NanoSDK()
    sdk.on_shutdown(on_shutdown)
    try:
        await sdk.start()
        await asyncio.Event().wait()
    finally:
        await sdk.stop()


if __name__ == "__main__":
    asyncio.run(main())
