from nanograph_sdk import NanoSDK

node = NanoSDK.register_node(
    {
        "uid": "echo",
        "name": "Echo",
        "category": "Test",
        "version": "1.0.0",
        "description": "Prefixes each text",
        "inputs": [
            {"name": "text", "type": "string", "description": "Texts to prefix"},
            {
                "name": "image",
                "type": "asset:image",
                "optional": True,
                "preventCrossDomain": True,
                "sizeHint": "large",
            },
        ],
        "outputs": [{"name": "text", "type": "string", "description": "Prefixed texts", "sizeHint": "small"}],
        "parameters": [
            {
                "name": "prefix",
                "type": "text",
                "value": "",
                "default": "",
                "label": "Prefix",
                "description": "Put before each text",
                "multiline": False,
            },
            {"name": "count", "type": "number", "value": 1, "default": 1, "min": 1, "max": 10, "step": 1, "precision": 0},
            {"name": "strength", "type": "slider", "value": 0.5, "default": 0.5, "min": 0, "max": 1, "step": 0.05},
            {"name": "upper", "type": "boolean", "value": False, "default": False},
            {
                "name": "mode",
                "type": "select",
                "value": "a",
                "default": "a",
                "options": [{"value": "a", "label": "A"}, {"value": "b", "label": "B"}],
            },
            {"name": "tint", "type": "color", "value": "#ff0000", "default": "#ff0000"},
            {"name": "file", "type": "filepicker", "value": None, "default": None},
        ],
    }
)


async def execute(ctx):
    prefix = next((p["value"] for p in ctx.parameters if p["name"] == "prefix"), "")
    return {"text": [prefix + text for text in ctx.inputs.get("text", [])]}


node["execute"] = execute
