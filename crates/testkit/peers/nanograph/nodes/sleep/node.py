import asyncio

from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "sleep",
        "name": "Sleep",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [],
        "parameters": [{"name": "seconds", "type": "number", "value": 5, "default": 5}],
    }
)


async def execute(ctx):
    seconds = next((p["value"] for p in ctx.parameters if p["name"] == "seconds"), 5)
    await asyncio.sleep(seconds)
    return {"done": [True]}


node["execute"] = execute
