from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "nan-output",
        "name": "Nan",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [{"name": "x", "type": "number"}],
        "parameters": [],
    }
)


async def execute(ctx):
    return {"x": [float("nan"), float("inf"), float("-inf"), 1.0, 10**30]}


node["execute"] = execute
