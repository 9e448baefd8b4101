import time

from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "async-block",
        "name": "AsyncBlock",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [],
        "parameters": [],
    }
)


async def execute(ctx):
    seconds = next((p["value"] for p in ctx.parameters if p["name"] == "seconds"), 1)
    time.sleep(seconds)
    return {"done": [True]}


node["execute"] = execute
