"""Uses every asset and resource call of the installed nanograph-sdk; prints what came back as one JSON object."""
import asyncio
import io
import json
import sys

import aiohttp
from nanograph_sdk.core import asset_resolver, asset_uploader, resource_manager


async def main(identifier, path):
    upload, resolver = asset_uploader.upload_asset, asset_resolver
    meta = {"k": "v", "n": 1, "b": True, "x": None, "q": "it's \"é\""}
    first = await upload(b"bytes of a picture", {"filename": "a é.png", "type": "photo", "meta": meta})
    ref = first[identifier]
    from_path = await upload(path)
    from_stream = await upload(io.BytesIO(b"bytes of a picture"), {"filename": "again.png"})
    content = await resolver.resolve_asset(ref, {"as_buffer": True})
    large = await resolver.resolve_asset(from_path[identifier], {"as_buffer": True})
    presigned = await resolver.get_asset_presigned_url(ref)
    async with aiohttp.ClientSession() as session:
        async with session.get(presigned["url"]) as answer:
            by_presigned = (answer.status, (await answer.read()).decode())
    listed = await resolver.list_assets({"type": "photo", "hash": first["hash"]})
    everything = await resolver.list_assets()
    try:
        await resolver.resolve_asset(ref[:-4] + "0000", {"as_buffer": True})
        missing = None
    except Exception as error:
        missing = str(error)
    exists = None
    if hasattr(resolver, "asset_exists"):
        exists = [await resolver.asset_exists(ref), await resolver.asset_exists("sha256:" + 64 * "0")]
    await resource_manager.allocate_resource("py", "r1", "model", "SDXL", 123, {})
    await resource_manager.allocate_resource("py", "r2", "model", "SDXL", 123, {})
    await resource_manager.free_resource("py", "r1")
    print(json.dumps({
        "first": first, "fromPath": from_path, "fromStream": from_stream, "content": content.decode(),
        "largeSize": len(large), "largeSame": large == open(path, "rb").read(), "expiresIn": presigned["expiresIn"],
        "byPresigned": by_presigned, "downloadUrl": resolver.get_asset_download_url(ref), "listed": listed,
        "count": len(everything), "missing": missing, "exists": exists,
    }))


asyncio.run(main(sys.argv[1], sys.argv[2]))
