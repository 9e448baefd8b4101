"""What the scripts of this folder have in common: a command as JSON on each line of the input, and a result as JSON on a
line of the output. Sessions live on between commands, in the loop that this runs in.
"""

import asyncio
import json
import sys
import traceback

# Ends what hangs, the handshake of QUIC for instance, which the package does not bound.
LIMIT_S = 50


def say(result):
    print(json.dumps(result), flush=True)


def failure(error):
    traceback.print_exception(error, file=sys.stderr)
    return {"error": {"type": type(error).__name__, "message": str(error)}}


async def answer(operations, command):
    try:
        operation = getattr(operations, f"do_{command.pop('op')}")
        async with asyncio.timeout(command.pop("limit_s", LIMIT_S)):
            return {"ok": await operation(**command)}
    except Exception as error:  # Whatever the package raises is its verdict.
        return failure(error)


async def serve(operations):
    """Carries out commands, one after the other, until the input ends."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        number = command.pop("id")
        say({"id": number, **await answer(operations, command)})
