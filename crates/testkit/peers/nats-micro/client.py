"""Drives the client of the real nats-micro: `client.py URL`.

Reads one command as JSON from each line of its input, and prints one result as JSON to a line of its output; the
commands are listed in ../README.md.
"""

import asyncio
import json
import sys

import nats
from nats.micro import service as official
from nats_contrib import micro

# What decodes a document, by library and kind.
DECODERS = {
    ("nats-micro", "ping"): micro.PingInfo.from_response,
    ("nats-micro", "info"): micro.ServiceInfo.from_response,
    ("nats-micro", "stats"): micro.ServiceStats.from_response,
    ("nats-py", "ping"): official.ServicePing.from_dict,
    ("nats-py", "info"): official.ServiceInfo.from_dict,
    ("nats-py", "stats"): official.ServiceStats.from_dict,
}


def as_dict(document):
    convert = getattr(document, "as_dict", None) or document.to_dict
    return convert()


def text(data):
    return data.decode(errors="replace")


async def request(client, command):
    message = await client.request(
        command["subject"],
        command.get("data", "").encode(),
        headers=command.get("headers"),
        timeout=command.get("timeout_s", 50),
    )
    return {"data": text(message.data), "headers": message.headers or {}}


async def collect(connection, command):
    """Takes replies until one has the header `end` with one of the values `ends`.

    Publishes to the subject that the header `answer_to` names, where a reply has it."""
    inbox = connection.new_inbox()
    replies = await connection.subscribe(inbox)
    await connection.publish(
        command["subject"],
        command.get("data", "").encode(),
        reply=inbox,
        headers=command.get("headers"),
    )
    taken = []
    while True:
        message = await replies.next_msg(command.get("timeout_s", 50))
        headers = message.headers or {}
        taken.append({"data": text(message.data), "headers": headers})
        if headers.get(command["end"]) in command["ends"]:
            await replies.unsubscribe()
            return taken
        if command.get("answer_to") in headers:
            await connection.publish(headers[command["answer_to"]])


async def discover(client, command):
    """Calls ping, info or stats on the client, on a service, or on an instance."""
    verb, service, instance = (command.get(key) for key in ("op", "service", "instance"))
    if instance is not None:
        one = client.service(service).instance(instance)
        return as_dict(await getattr(one, verb)(command.get("timeout_s", 50)))
    source = client if service is None else client.service(service)
    limits = {
        "max_wait": command.get("max_wait_s"),
        "max_count": command.get("max_count"),
        "max_interval": command.get("max_interval_s"),
    }
    if command.get("iter"):
        async with getattr(source, f"{verb}_iter")(**limits) as documents:
            return [as_dict(document) async for document in documents]
    return [as_dict(document) for document in await getattr(source, verb)(**limits)]


async def decode(client, command):
    decoder = DECODERS[command["library"], command["kind"]]
    return as_dict(decoder(json.loads(command["document"])))


OPERATIONS = {
    "request": request,
    "ping": discover,
    "info": discover,
    "stats": discover,
    "decode": decode,
}


def failure(error):
    described = {"type": type(error).__name__, "message": str(error)}
    if isinstance(error, micro.ServiceError):
        described.update(
            code=error.code,
            description=error.description,
            data=text(error.data),
            headers=error.headers,
        )
    return {"error": described}


async def answer(client, connection, command):
    try:
        if command["op"] == "collect":
            return {"ok": await collect(connection, command)}
        return {"ok": await OPERATIONS[command["op"]](client, command)}
    except Exception as error:
        return failure(error)


async def main():
    connection = await nats.connect(
        sys.argv[1], max_reconnect_attempts=-1, reconnect_time_wait=0.1
    )
    client = micro.Client(connection)
    # What it prints when it is ready for commands.
    print(json.dumps({"id": 0}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        result = await answer(client, connection, command)
        print(json.dumps({"id": command["id"], **result}), flush=True)
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
