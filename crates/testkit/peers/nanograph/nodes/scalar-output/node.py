from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "scalar-output",
        "name": "Scalar",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [{"name": "input1", "type": "string"}],
        "outputs": [{"name": "output1", "type": "string"}],
        "parameters": [],
    }
)


async def execute(ctx):
    return {"output1": f"Processed by Python: {ctx.inputs.get('input1', '')}"}


node["execute"] = execute
