import time

from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "sync-block",
        "name": "SyncBlock",
        "category": "Test",
        "version": "1.0.0",
        "inputs": [],
        "outputs": [],
        "parameters": [],
    }
)


def execute(ctx):
    time.sleep(1)
    return {"done": [True]}


node["execute"] = execute
