from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "sync-echo",
        "name": "SyncEcho",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [{"name": "text", "type": "string"}],
        "outputs": [{"name": "text", "type": "string"}],
        "parameters": [],
    }
)


def execute(ctx):
    return {"text": ctx.inputs.get("text", [])}


node["execute"] = execute
