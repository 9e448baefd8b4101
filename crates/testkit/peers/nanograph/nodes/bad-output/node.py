from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "bad-output",
        "name": "BadOut",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [],
        "parameters": [],
    }
)


async def execute(ctx):
    return {"x": [{1, 2}]}


node["execute"] = execute
