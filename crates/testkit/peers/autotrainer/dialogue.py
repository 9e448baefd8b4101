"""What the scripts of this folder have in common: a command as JSON on each line of the input, and a result as JSON on a
line of the output.
"""

import json
import sys


def say(result):
    print(json.dumps(result), flush=True)


def failure(error):
    return {"error": {"type": type(error).__name__, "message": str(error)}}


def answer(operations, command):
    try:
        return {"ok": operations[command["op"]](command)}
    except Exception as error:
        return failure(error)


def serve(operations):
    """Carries out commands, one after the other, until the input ends."""
    for line in sys.stdin:
        command = json.loads(line)
        say({"id": command["id"], **answer(operations, command)})
