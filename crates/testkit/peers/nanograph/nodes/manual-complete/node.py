from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "manual-complete",
        "name": "Manual",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [{"name": "x", "type": "any"}],
        "parameters": [],
    }
)


async def execute(ctx):
    send_status = ctx.context["send_status"]
    await send_status({"type": "idle"})
    await send_status({"type": "missing", "message": "m"})
    await send_status({"type": "complete", "message": "early", "outputs": {"x": [1]}})
    return {"x": [2]}


node["execute"] = execute
