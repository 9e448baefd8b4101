"""Cards: a photograph, its caption and its colours on a piece of paper."""
import asyncio
import io

from nanograph_sdk import NanoSDK, resolve_asset, upload_asset
from PIL import Image, ImageDraw, ImageFont

node = NanoSDK.register_node({
    "uid": "cards",
    "name": "Cards",
    "category": "Photographs",
    "version": "1.0.0",
    "description": "Mounts each picture on paper, with its caption below and its colours as a strip of swatches.",
    "inputs": [
        {"name": "pictures", "type": "asset:image"},
        {"name": "captions", "type": "object"},
        {"name": "palettes", "type": "object", "optional": True},
    ],
    "outputs": [{"name": "cards", "type": "asset:image"}],
    "parameters": [
        {"name": "paper", "type": "color", "value": "#fdfbf7", "default": "#fdfbf7", "label": "Paper"},
        {"name": "ink", "type": "color", "value": "#2c2a29", "default": "#2c2a29", "label": "Ink"},
    ],
})

BORDER, SWATCHES, GAP = 28, 16, 14
TITLE, SMALL = ImageFont.load_default(size=25), ImageFont.load_default(size=17)


def shortened(draw, text, font, width):
    if draw.textlength(text, font=font) <= width:
        return text
    while text and draw.textlength(text + "…", font=font) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def card(picture, caption, palette, paper, ink):
    photo = Image.open(io.BytesIO(picture)).convert("RGB")
    width, bottom = photo.width + 2 * BORDER, BORDER + photo.height
    image = Image.new("RGB", (width, bottom + SWATCHES + 4 * GAP + 25 + 17 + 17 + GAP), paper)
    draw = ImageDraw.Draw(image)
    image.paste(photo, (BORDER, BORDER))
    left = BORDER
    for colour in palette:
        right = min(BORDER + photo.width, left + round(photo.width * colour["share"]))
        draw.rectangle((left, bottom, right - 1, bottom + SWATCHES - 1), fill=colour["color"])
        left = right
    draw.rectangle((left, bottom, BORDER + photo.width - 1, bottom + SWATCHES - 1), fill=palette[-1]["color"] if palette else paper)
    faded = tuple((2 * a + b) // 3 for a, b in zip(Image.new("RGB", (1, 1), ink).getpixel((0, 0)), image.getpixel((0, 0))))
    y = bottom + SWATCHES + GAP
    for text, font, colour, height in (
        (caption.get("title", ""), TITLE, ink, 25 + GAP),
        (caption.get("credit", ""), SMALL, faded, 17 + GAP // 2),
        (caption.get("details", ""), SMALL, faded, 17),
    ):
        draw.text((BORDER, y), shortened(draw, text, font, photo.width), font=font, fill=colour)
        y += height
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


async def execute(ctx):
    values = {parameter["name"]: parameter["value"] for parameter in ctx.parameters}
    pictures, captions = ctx.inputs.get("pictures", []), ctx.inputs.get("captions", [])
    palettes = ctx.inputs.get("palettes", [])
    if len(captions) != len(pictures):
        raise ValueError(f"there are {len(pictures)} pictures but {len(captions)} captions")
    cards = []
    for step, picture in enumerate(pictures, 1):
        content = await resolve_asset(picture, {"as_buffer": True})
        colours = palettes[step - 1]["colors"] if step <= len(palettes) else []
        made = await asyncio.to_thread(card, content, captions[step - 1], colours, values["paper"], values["ink"])
        stored = await upload_asset(made, {"filename": f"card-{step}.png", "type": "image"})
        cards.append(stored["hash"])
        await ctx.context["send_status"]({
            "type": "running",
            "message": f"card {step} of {len(pictures)}",
            "progress": {"step": step, "total": len(pictures)},
        })
    return {"cards": cards}


node["execute"] = execute
export = node
