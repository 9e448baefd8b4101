"""What the clients of this folder have in common: a command as JSON on each line of the input, and an answer as JSON on a
line of the output, with the command's `id`: `ok`, or `error`.

| `op` | Other keys | `ok` |
|---|---|---|
| `run` | `node`, `inputs`, `parameters`, `timeout_ms`, `stream`, `cancel`: at the first progress | an outcome |
| `many` | `runs`, all at once; `release`: `{"after": n, "run": …}`, which is run once n of them have ended | their outcomes |
| `stats` | `node` | its statistics |

An outcome is told in the same words, whatever the wire: `events` (`progress`, `partial`), and the `end`: `completed` with
`outputs`, `failed` with `message`, the `code` that the wire has for it and the `kind` where there is one, `cancelled`,
`dropped`, or `gone` where the client has left. Bytes are `{"$bytes": "<base64>"}`.
"""

import asyncio
import base64
import json
import sys
import traceback

LIMIT_S = 50


def outcome(end, events, **fields):
    return {"end": end, "events": events, **fields}


def progress(step, total, message):
    return {"event": "progress", "step": step, "total": total, "message": message}


def partial(outputs):
    return {"event": "partial", "outputs": outputs}


def to_bytes(value):
    """The bytes that a value stands for, or `None`."""
    if isinstance(value, dict) and "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    return None


def from_bytes(data):
    return {"$bytes": base64.b64encode(data).decode()}


def plain_request(command, *, timeout_name="timeoutMs"):
    """The JSON that most wires take."""
    request = {"node": command["node"], "inputs": command.get("inputs", {})}
    request["parameters"] = command.get("parameters", {})
    if "timeout_ms" in command:
        request[timeout_name] = command["timeout_ms"]
    return request


async def many(door, runs, release=None):
    tasks = [asyncio.create_task(door.run(run)) for run in runs]
    if release:
        pending, ended = set(tasks), 0
        while ended < release["after"]:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            ended += len(done)
        await door.run(release["run"])
    return await asyncio.gather(*tasks)


async def carry_out(door, command):
    operation = command.pop("op")
    if operation == "run":
        return await door.run(command)
    if operation == "many":
        return await many(door, **command)
    return await door.stats(command["node"])


async def answer(door, command):
    try:
        async with asyncio.timeout(LIMIT_S):
            return {"ok": await carry_out(door, command)}
    except Exception as error:
        traceback.print_exception(error, file=sys.stderr)
        return {"error": {"type": type(error).__name__, "message": str(error)}}


def say(result):
    print(json.dumps(result), flush=True)


async def serve(door):
    await door.open(json.loads(sys.argv[1]))
    say({"id": 0, "ok": {}})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        number = command.pop("id")
        say({"id": number, **await answer(door, command)})
