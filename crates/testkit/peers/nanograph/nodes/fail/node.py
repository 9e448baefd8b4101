from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "fail",
        "name": "Fail",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [],
        "parameters": [],
    }
)


async def execute(ctx):
    raise RuntimeError('boom: é "quoted"')


node["execute"] = execute
