from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "send-error-then-return",
        "name": "SendErrRet",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [{"name": "x", "type": "any"}],
        "parameters": [],
    }
)


async def execute(ctx):
    await ctx.context["send_status"]({"type": "error", "message": "soft"})
    return {"x": [1]}


node["execute"] = execute
