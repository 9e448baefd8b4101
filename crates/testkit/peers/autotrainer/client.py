"""ZeroMQ sockets of pyzmq, with the request class of whichever auto-trainer-api is installed: `client.py`.

Commands are read from the input; they are listed in ../README.md. Frames are hexadecimal.
"""

import json
import time
from dataclasses import asdict

import zmq
from autotrainer import api
from zmq.utils.monitor import recv_monitor_message

from dialogue import say, serve

DEFAULT_TIMEOUT_S = 50


class Deadline:
    def __init__(self, command):
        self.at = time.monotonic() + command.get("timeout_s", DEFAULT_TIMEOUT_S)

    def left_ms(self):
        return max(0, int((self.at - time.monotonic()) * 1000))


class Socket:
    """A socket and what its monitor has told."""

    def __init__(self, context, command):
        self.kind = command["kind"]
        self.socket = context.socket(getattr(zmq, self.kind))
        self.socket.setsockopt(zmq.LINGER, 0)
        for name, value in command.get("options", {}).items():
            option = getattr(zmq, name)
            self.socket.setsockopt(option, value.encode() if isinstance(value, str) else value)
        for prefix in command.get("prefixes", []):
            self.socket.setsockopt(zmq.SUBSCRIBE, bytes.fromhex(prefix))
        self.monitor = self.socket.get_monitor_socket()
        self.events = []

    def wait_for_event(self, name, deadline):
        """Whether its monitor has told this, `None`: whatever it has told."""
        while name is None or name not in self.events:
            if not self.monitor.poll(0 if name is None else deadline.left_ms()):
                return name is None
            self.events.append(recv_monitor_message(self.monitor)["event"].name)
        return True

    def receive(self, deadline):
        """A message, or `None` when there is none in time."""
        try:
            return self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            if not self.socket.poll(deadline.left_ms()):
                return None
            return self.socket.recv_multipart(zmq.NOBLOCK)

    def close(self):
        self.socket.disable_monitor()
        self.socket.close()


def request_of(fields):
    """With the real class, which lacks only the way to text."""
    command = fields["command"]
    command = api.ApiCommand[command] if isinstance(command, str) else api.ApiCommand(command)
    return api.ApiCommandRequest(**{**fields, "command": command})


def payload_of(command):
    if "hex" in command:
        return bytes.fromhex(command["hex"])
    if "text" in command:
        return command["text"].encode()
    if "request" in command:
        message = asdict(request_of(command["request"]))
    else:
        message = command["message"]
    return json.dumps(message, separators=(",", ":")).encode()


def parse(command):
    """What a real service makes of a request; `None` when it has no command."""
    request = api.ApiCommandRequest.parse_bytes(payload_of(command))
    return request and {**asdict(request), "command": request.command.name}


def hexadecimal(frames):
    return [frame.hex() for frame in frames]


class Operations:
    def __init__(self):
        self.context = zmq.Context()
        self.sockets = {}

    def open(self, command):
        socket = Socket(self.context, command)
        self.sockets[command["socket"]] = socket
        if "bind" in command:
            socket.socket.bind(command["bind"])
            return {"endpoint": socket.socket.getsockopt_string(zmq.LAST_ENDPOINT)}
        socket.socket.connect(command["connect"])
        wanted = "HANDSHAKE_SUCCEEDED"
        if command.get("wait", True) and not socket.wait_for_event(wanted, Deadline(command)):
            raise TimeoutError(f"no connection to {command['connect']}: {socket.events}")
        return {}

    def close(self, command):
        self.sockets.pop(command["socket"]).close()

    def subscribe(self, command):
        self.named(command).socket.setsockopt(zmq.SUBSCRIBE, bytes.fromhex(command["prefix"]))

    def unsubscribe(self, command):
        self.named(command).socket.setsockopt(zmq.UNSUBSCRIBE, bytes.fromhex(command["prefix"]))

    def send(self, command):
        frames = [bytes.fromhex(frame) for frame in command["frames"]]
        self.named(command).socket.send_multipart(frames, zmq.NOBLOCK)

    def receive(self, command):
        socket, deadline, messages = self.named(command), Deadline(command), []
        while len(messages) < command.get("count", 1):
            frames = socket.receive(deadline)
            if frames is None:
                break
            messages.append(hexadecimal(frames))
        return messages

    def count(self, command):
        """Receives without keeping; `seconds` is from the first message to the last."""
        socket, deadline, received, first, last = self.named(command), Deadline(command), 0, 0, 0
        while received < command["count"] and socket.receive(deadline) is not None:
            last = time.perf_counter()
            first = first if received else last
            received += 1
        return {"count": received, "seconds": last - first}

    def request(self, command):
        """Sends one frame, with the delimiter if the socket does not add it, and receives its reply."""
        socket = self.named(command)
        delimiter = [] if socket.kind == "REQ" else [b""]
        socket.socket.send_multipart([*delimiter, payload_of(command)], zmq.NOBLOCK)
        reply = socket.receive(Deadline(command))
        if reply is None:
            raise TimeoutError("no reply in time")
        return hexadecimal(reply[len(delimiter) :])

    def time_requests(self, command):
        """The durations of requests that follow one another, in seconds."""
        durations = []
        for _ in range(command["count"]):
            start = time.perf_counter()
            self.request(command)
            durations.append(time.perf_counter() - start)
        return durations

    def parse(self, command):
        return parse(command)

    def monitor(self, command):
        socket = self.named(command)
        until = command.get("until")
        if not socket.wait_for_event(until, Deadline(command)):
            raise TimeoutError(f"no {until}, only {socket.events}")
        return socket.events

    def curve_keys(self, command):
        public, secret = zmq.curve_keypair()
        return {"public": public.decode(), "secret": secret.decode()}

    def named(self, command):
        return self.sockets[command["socket"]]


def main():
    operations = Operations()
    say({"id": 0, "ok": {"pyzmq": zmq.__version__, "libzmq": zmq.zmq_version()}})
    names = [name for name in vars(Operations) if name not in ("__init__", "named")]
    serve({name: getattr(operations, name) for name in names if not name.startswith("_")})


if __name__ == "__main__":
    main()
