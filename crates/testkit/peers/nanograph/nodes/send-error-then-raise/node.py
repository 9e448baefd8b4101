from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "send-error-then-raise",
        "name": "SendErr",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [],
        "parameters": [],
    }
)


async def execute(ctx):
    await ctx.context["send_status"]({"type": "error", "message": "first"})
    raise RuntimeError("second")


node["execute"] = execute
