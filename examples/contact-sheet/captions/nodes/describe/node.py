"""Describe: what a photograph is called, who made it, and how it looks, in words."""
import asyncio
import colorsys
import io
import os

from nanograph_sdk import NanoSDK, list_assets, resolve_asset
from PIL import Image, ImageStat

DESCRIPTION, ARTIST, COPYRIGHT = 0x010E, 0x013B, 0x8298

node = NanoSDK.register_node({
    "uid": "describe",
    "name": "Describe",
    "category": "Photographs",
    "version": "1.0.0",
    "description": "Makes a caption for each photograph from its EXIF data, file name, size, brightness and colours.",
    "inputs": [{"name": "photos", "type": "asset"}],
    "outputs": [{"name": "captions", "type": "object", "description": "title, credit and details of each photograph"}],
    "parameters": [],
})


def text_of(exif, tag):
    return str(exif.get(tag, "")).strip()


def title_from(name):
    words = os.path.splitext(name)[0].replace("-", " ").replace("_", " ").split()
    return " ".join(words).capitalize() or "Untitled"


def look_of(image):
    """Two words: how bright and how warm the photograph is."""
    small = image.convert("RGB").resize((64, 64))
    red, green, blue = (value / 255 for value in ImageStat.Stat(small).mean)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    light = "dark" if luminance < 0.25 else "bright" if luminance > 0.6 else "mid-tone"
    if ImageStat.Stat(small.convert("HSV")).mean[1] < 4:
        return light, "black and white"
    hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
    if saturation < 0.06:
        return light, "neutral"
    return light, "warm" if hue < 0.2 or hue > 0.85 else "cool"


def describe(content, name):
    image = Image.open(io.BytesIO(content))
    exif = image.getexif()
    credit = " · ".join(text for text in (text_of(exif, ARTIST), text_of(exif, COPYRIGHT)) if text)
    details = " · ".join((f"{image.width} x {image.height}", *look_of(image)))
    return {"title": text_of(exif, DESCRIPTION) or title_from(name), "credit": credit, "details": details}


async def execute(ctx):
    photos = ctx.inputs.get("photos", [])
    captions = []
    for step, photo in enumerate(photos, 1):
        known = await list_assets({"hash": photo})
        name = known[0]["name"] if known else ""
        content = await resolve_asset(photo, {"as_buffer": True})
        captions.append(await asyncio.to_thread(describe, content, name))
        await ctx.context["send_status"]({
            "type": "running",
            "message": captions[-1]["title"],
            "progress": {"step": step, "total": len(photos)},
        })
    return {"captions": captions}


node["execute"] = execute
export = node
