from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "inspect",
        "name": "Inspect",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [],
        "parameters": [],
    }
)


async def execute(ctx):
    return {
        "inputs": ctx.inputs,
        "parameters": ctx.parameters,
        "context_keys": sorted(ctx.context),
        "graph_node": ctx.context["graph_node"],
        "instance_id": ctx.context["instance_id"],
    }


node["execute"] = execute
