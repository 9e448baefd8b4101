"""Runs the real service of whichever auto-trainer-api is installed: `service.py OPTIONS`.

The options are JSON: `event_port`, `command_port` (0: any that is free), `heartbeat_interval_s`, `identifier`,
`delegate` (false: none). Commands are read from the input; they are listed in ../README.md.
"""

import datetime
import json
import logging
import os
import sys
import threading
import uuid
from dataclasses import asdict

import zmq
from autotrainer import api
from autotrainer.api import api_options
from autotrainer.api.zeromq import zeromq_api_service

from delegate import MAX_SEEN, Delegate, Response
from dialogue import failure, say, serve

# What JSON does not have, by the only key of an object.
VALUES = {
    "$uuid": uuid.UUID,
    "$datetime": datetime.datetime.fromisoformat,
    "$date": datetime.date.fromisoformat,
    "$float": float,
    "$tuple": lambda items: tuple(python_value(item) for item in items),
    "$set": set,
}


def python_value(value):
    if isinstance(value, list):
        return [python_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (kind := next(iter(value))) in VALUES:
        return VALUES[kind](value[kind])
    return {key: python_value(item) for key, item in value.items()}


class Service:
    """The real service, with one way to publish for both versions."""

    def __init__(self, options):
        # It would else bind the address that leads to the internet, too.
        zeromq_api_service.get_ip4_addr_str = lambda: "127.0.0.1"
        rpc = api_options.RpcOptions(
            identifier=options["identifier"],
            heartbeat_interval=options["heartbeat_interval_s"],
            subscriber_port=options["event_port"],
            command_port=options["command_port"],
        )
        self.real = api.create_api_service(api.ApiOptions(rpc=rpc))
        self.ports = None
        self.bound = threading.Event()
        self.bind, self.real._start = self.real._start, self.bind_and_tell
        self.delegate = Delegate(self)
        self.real.command_request_delegate = self.delegate if options["delegate"] else None

    def bind_and_tell(self):
        """Called by the service thread, which has the sockets."""
        try:
            started = self.bind()
            if started:
                self.tell_ports()
            return started
        finally:
            self.bound.set()

    def tell_ports(self):
        real, ports = self.real, []
        for socket, addresses in (
            (real._pub_socket, real._pub_addresses),
            (real._cmd_socket, real._cmd_addresses),
        ):
            endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
            # What it was bound to when the port was 0; the service unbinds by this text.
            addresses[:] = [endpoint]
            ports.append(int(endpoint.removeprefix("tcp://127.0.0.1:")))
        self.ports = ports

    def start(self):
        self.real.start()
        self.bound.wait()
        if self.ports is None:
            raise OSError("the service has not bound its ports; is another using them?")
        return dict(zip(("event_port", "command_port"), self.ports))

    def stop(self):
        self.real.stop()

    def send_event(self, event):
        if hasattr(self.real, "send_event_dict"):
            return self.real.send_event_dict(event)
        return self.real.send_dict(api.ApiTopic.EVENT, event)

    def send_dict(self, topic, message):
        if hasattr(self.real, "send_dict"):
            return self.real.send_dict(topic, message)
        # 0.12.0 has no public way to other topics.
        self.real._queue.put(lambda: self.real._send_dict(topic, message))
        return True

    def send_bytes(self, topic, data):
        if hasattr(self.real, "send"):
            return self.real.send(topic, data)
        self.real._queue.put(lambda: self.real._send(topic, data))
        return True

    def send_result(self, response, as_structure=False):
        if hasattr(self.real, "send_command_result"):
            return self.real.send_command_result(response)
        message = response if as_structure else asdict(response)
        return self.real.send_dict(api.ApiTopic.COMMAND_RESULT, message)


class Operations:
    def __init__(self, service):
        self.service = service

    def publish(self, command):
        message = python_value(command["message"])
        if command.get("topic", api.ApiTopic.EVENT) == api.ApiTopic.EVENT:
            return self.service.send_event(message)
        return self.service.send_dict(command["topic"], message)

    def publish_many(self, command):
        """The same event, `index` counting from 0. Returns when they are queued."""
        message = python_value(command["message"])
        return all(
            self.service.send_event({**message, "index": index})
            for index in range(command["count"])
        )

    def publish_structure(self, command):
        """0.12.0 only."""
        fields = python_value(command["message"])
        kind = api.ApiEventKind(fields.pop("kind"))
        return self.service.real.send_event(api.ApiEvent(kind=kind, **fields))

    def publish_bytes(self, command):
        text, digits = command.get("text"), command.get("hex", "")
        data = bytes.fromhex(digits) if text is None else text.encode()
        return self.service.send_bytes(command["topic"], data)

    def finish(self, command):
        """Sends the result of a command that was answered with 201."""
        response = Response(
            command.get("result", 100),
            python_value(command.get("data")),
            command.get("error_code", 0),
            command.get("error_message"),
            command.get("command", 0),
            command.get("nonce", -1),
        )
        return self.service.send_result(response, command.get("as_structure", False))

    def seen(self, command):
        return self.service.delegate.take_seen(command["count"], command.get("timeout_s", 50))

    def release(self, command):
        self.service.delegate.released.release()

    def state(self, command):
        real = self.service.real
        return {"thread_is_alive": real._thread.is_alive(), "queued": real._queue.qsize()}

    def start(self, command):
        return self.service.start()

    def stop(self, command):
        self.service.stop()


def main():
    # To the standard error.
    logging.basicConfig(level=logging.INFO)
    service = Service(json.loads(sys.argv[1]))
    try:
        say({"id": 0, "ok": service.start()})
    except Exception as error:
        say({"id": 0, **failure(error)})
        os._exit(1)
    operations = Operations(service)
    names = [name for name in vars(Operations) if not name.startswith("_")]
    serve({name: getattr(operations, name) for name in names})
    # No harness is left to release what is blocked, and stopping would wait for it.
    service.delegate.released.release(MAX_SEEN)
    service.stop()
    # The heartbeat of a service whose thread has died would keep the process.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
