import asyncio

from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "sync-progress",
        "name": "SyncProgress",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [],
        "parameters": [],
    }
)


def execute(ctx):
    asyncio.ensure_future(ctx.context["send_status"]({"type": "running", "message": "never sent"}))
    return {}


node["execute"] = execute
