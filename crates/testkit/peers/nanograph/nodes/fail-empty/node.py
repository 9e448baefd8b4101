from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "fail-empty",
        "name": "FailEmpty",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [],
        "parameters": [],
    }
)


async def execute(ctx):
    raise RuntimeError()


node["execute"] = execute
