"""The service of the recorded exchanges, built with the `nats.micro` of nats-py: `official_service.py URL [NAME]`."""

import asyncio
import signal
import sys

import nats
from nats.micro import add_service
from nats.micro.request import ServiceError


async def echo(request):
    await request.respond(request.data)


async def boom(request):
    raise ValueError("kaboom")


async def service_boom(request):
    raise ServiceError("404", "not found")


async def err(request):
    await request.respond_error("404", "not found", b'{"k":1}', {"X-A": "1"})


async def slow(request):
    await asyncio.sleep(0.3)
    await request.respond(b"slow")


async def silent(request):
    pass


async def twice(request):
    await request.respond(b"1")
    await request.respond(b"2")


def data_of(endpoint):
    return {"k": 1} if endpoint.name == "echo" else None


async def add_endpoints(service):
    async def reset(request):
        await service.reset()
        await request.respond(b"")

    await service.add_endpoint(name="echo", handler=echo)
    demo = service.add_group(name="demo", queue_group="gq")
    await demo.add_endpoint(
        name="echo", handler=echo, subject="ECHO", metadata={"m": "1"}
    )
    sub = demo.add_group(name="sub")
    await sub.add_endpoint(name="boom", handler=boom)
    await sub.add_endpoint(name="sboom", handler=service_boom)
    await sub.add_endpoint(name="err", handler=err)
    await sub.add_endpoint(name="slow", handler=slow)
    await sub.add_endpoint(name="silent", handler=silent)
    await sub.add_endpoint(name="twice", handler=twice)
    await service.add_endpoint(name="reset", handler=reset)


async def main():
    url, name = [*sys.argv[1:], "demo-service"][:2]
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = await nats.connect(
        url, max_reconnect_attempts=-1, reconnect_time_wait=0.1
    )
    service = await add_service(
        client,
        name=name,
        version="1.0.0",
        description="Demo service",
        metadata={"team": "a"},
        stats_handler=data_of,
    )
    await add_endpoints(service)
    await client.flush()
    print("READY", service.id, flush=True)
    await stop.wait()
    await service.stop()
    await client.drain()


if __name__ == "__main__":
    asyncio.run(main())
