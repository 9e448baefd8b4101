import asyncio

from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "stubborn-raise",
        "name": "StubbornRaise",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [],
        "parameters": [],
    }
)


async def execute(ctx):
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        raise RuntimeError("another exception")


node["execute"] = execute
