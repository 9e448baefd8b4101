import asyncio

from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "stubborn",
        "name": "Stubborn",
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
        await ctx.context["send_status"]({"type": "running", "message": "still here"})
        await asyncio.sleep(0.3)
    return {"done": [True]}


node["execute"] = execute
