from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "none-output",
        "name": "NoneOut",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [],
        "parameters": [],
    }
)


async def execute(ctx):
    return None


node["execute"] = execute
