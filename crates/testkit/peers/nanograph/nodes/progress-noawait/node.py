import asyncio

from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "progress-noawait",
        "name": "ProgressNoAwait",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [{"name": "n", "type": "number"}],
        "parameters": [],
    }
)


async def execute(ctx):
    for step in range(1, 4):
        status = {"type": "running", "message": f"step {step}", "progress": {"step": step, "total": 3}}
        asyncio.ensure_future(ctx.context["send_status"](status))
    return {"n": [3]}


node["execute"] = execute
