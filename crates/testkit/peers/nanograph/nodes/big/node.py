from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "big",
        "name": "Big",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [{"name": "x", "type": "string"}],
        "outputs": [{"name": "x", "type": "string"}],
        "parameters": [],
    }
)


async def execute(ctx):
    return {"x": ["a" * 6_000_000]}


node["execute"] = execute
