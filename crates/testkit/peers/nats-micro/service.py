"""The service of the recorded exchanges, built with the real nats-micro: `service.py URL [NAME]`.

Also what its command line runs: `micro run service.py`.
"""

import asyncio
import sys

from nats_contrib import micro
from nats_contrib.connect_opts import option
from nats_contrib.micro.middleware import Response


async def echo(request):
    await request.respond(request.data())


async def boom(request):
    raise ValueError("kaboom")


async def err(request):
    await request.respond_error(404, "not found", b'{"k":1}', {"X-A": "1"})


async def ok(request):
    await request.respond_success(201, b"created", {"X-B": "2"})


async def headers(request):
    seen = repr(list(request.headers().items()))
    await request.respond(seen.encode(), {"X-Sub": request.subject()})


async def slow(request):
    await asyncio.sleep(0.3)
    await request.respond(b"slow")


async def silent(request):
    pass


async def twice(request):
    await request.respond(b"1")
    await request.respond(b"2")


async def conflict(request):
    await request.respond_error(409, "conflict")


def sign(response, name):
    response.add_header("X-Order", response.headers().get("X-Order", "") + name + ">")


async def m1(request, next):
    response = await next(request)
    sign(response, "m1")
    return response


async def m2(request, next):
    response = await next(request)
    sign(response, "m2")
    response.set_data(response.data() + b"!")
    return response


async def short_circuit(request, next):
    return Response(request, b"short-circuit", {})


async def add_groups(service):
    demo = service.add_group("demo", queue_group="gq")
    await demo.add_endpoint("echo", echo, subject="ECHO", metadata={"m": "1"})
    sub = demo.add_group("sub")
    await sub.add_endpoint("boom", boom)
    await sub.add_endpoint("err", err)
    await sub.add_endpoint("ok", ok)
    await sub.add_endpoint("hdrs", headers)
    await sub.add_endpoint("slow", slow)
    await sub.add_endpoint("silent", silent)
    await sub.add_endpoint("twice", twice)


async def add_with_middlewares(service):
    await service.add_endpoint("mw", ok, middlewares=[m1, m2])
    await service.add_endpoint("mwerr", conflict, middlewares=[m1, m2])
    await service.add_endpoint("mwboom", boom, middlewares=[m1, m2])
    await service.add_endpoint("mws", echo, middlewares=[short_circuit, m1])
    await service.add_endpoint("mwsilent", silent, middlewares=[m1])
    await service.add_endpoint("mwtwice", twice, middlewares=[m1])


async def add_service(ctx, name):
    service = await ctx.add_service(
        name, "1.0.0", description="Demo service", metadata={"team": "a"}
    )

    async def reset(request):
        service.reset()
        await request.respond(b"")

    await service.add_endpoint("echo", echo)
    await add_groups(service)
    await service.add_endpoint("wild", headers, subject="w.*.x.>")
    await add_with_middlewares(service)
    await service.add_endpoint("reset", reset)
    # It does not wait for the broker itself.
    await ctx.client.flush()
    print("READY", service.info().id, flush=True)


async def setup(ctx):
    await add_service(ctx, "demo-service")


def main():
    url, name = [*sys.argv[1:], "demo-service"][:2]
    micro.run(
        lambda ctx: add_service(ctx, name),
        option.WithServer(url),
        option.WithAllowReconnect(max_attempts=-1, delay_seconds=0.1),
        trap_signals=True,
    )


if __name__ == "__main__":
    main()
