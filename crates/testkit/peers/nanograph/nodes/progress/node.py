import asyncio

from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "progress",
        "name": "Progress",
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
        await ctx.context["send_status"](status)
        await asyncio.sleep(0.02)
    return {"n": [3]}


node["execute"] = execute
