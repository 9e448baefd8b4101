"""The interactive console of 0.9.11, which its package leaves out, with the commands of whichever auto-trainer-api is
installed: `console.py [ENDPOINT]`.

Each line of the input is answered with one line of the output, as a program that drives it needs.
"""

import json
import sys

import zmq
from autotrainer.api import ApiCommand

# What is sent, and whether the reply is shown as it came.
COMMANDS = {
    "start": (ApiCommand.START_ACQUISITION, True),
    "stop": (ApiCommand.STOP_ACQUISITION, True),
    "configuration": (ApiCommand.GET_CONFIGURATION, False),
    "status": (ApiCommand.GET_STATUS, False),
}


class Console:
    def __init__(self, endpoint):
        self.socket = zmq.Context.instance().socket(zmq.REQ)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)
        self.nonce = 0

    def request(self, command):
        """Waits for the reply as long as it takes, as the original does."""
        self.nonce += 1
        request = {"command": command, "nonce": self.nonce}
        self.socket.send_string(json.dumps(request, separators=(",", ":")))
        return self.socket.recv_string()

    def answer(self, words):
        if not words:
            return "empty command"
        if words[0] == "?":
            return "no help available"
        if words[0] not in COMMANDS:
            return f"unknown command {words[0]!r}"
        command, as_it_came = COMMANDS[words[0]]
        reply = self.request(command)
        return reply if as_it_came else json.dumps(json.loads(reply), sort_keys=True)


def main():
    console = Console(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5557")
    last = ""
    for line in sys.stdin:
        # An empty line repeats the last.
        last = line.rstrip("\n") or last
        words = last.split()
        if words and words[0] in ("q", "quit"):
            break
        print(console.answer(words), flush=True)


if __name__ == "__main__":
    main()
