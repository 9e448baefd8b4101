"""A node server made with the published Python SDK. It finds its nodes in the folder `nodes`."""
import asyncio
import signal

from nanograph_sdk import NanoSDK


async def main():
    sdk = NanoSDK()
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    await sdk.start()
    # `start` returns at once; without waiting here the process would end.
    await stopped.wait()
    await sdk.stop()


asyncio.run(main())
