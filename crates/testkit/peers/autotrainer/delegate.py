"""The delegate of the recorded exchanges: the `mode` in a request's data says what it answers, see ../README.md."""

import collections
import datetime
import threading
import uuid

from autotrainer import api

# The name lost its typo after 0.9.11, and the configuration its name.
Result = getattr(api, "ApiCommandRequestResult", None) or api.ApiCommandReqeustResult
Configuration = getattr(api, "ApiSystemConfiguration", None) or api.ConfigurationResponse
Response = api.ApiCommandRequestResponse

# More than any test sends; a bench does not read them.
MAX_SEEN = 100_000

VALUES = {
    "text": "Hello World_x - y",
    "path": "/srv/My_Dir/a-b.txt",
    "uuid": "12345678-1234-5678-1234-567812345abc",
    "neg": -1,
    "negf": -0.5,
    "small": 1e-05,
    "list": [-1, "a_b", {"in_key": None}],
    "_private": 1,
    "trail_": 2,
    "UPPER_CASE": 3,
    "k k": 4,
    "uni": "\u00e9",
    "esc": "line1\n_line2",
    "t": True,
    "nan": float("nan"),
    "ninf": float("-inf"),
}


def success(data=None):
    return Response(Result.SUCCESS, data)


def failed(error_code=0, error_message=None):
    return Response(Result.FAILED, None, error_code, error_message)


def configuration(values):
    names = "application_version device_id configuration_location data_location animal_location log_location"
    return Configuration(**dict(zip([*names.split(), "inference_model"], values)))


def raising(*arguments):
    raise ValueError(*arguments)


# What needs neither the request nor the service.
ANSWERS = {
    None: lambda: success({"seen": True}),
    "err": lambda: failed(42, "Motor not ready - try again_later"),
    "negerr": lambda: failed(-17),
    "errsuccess": lambda: Response(Result.SUCCESS, None, 3, "x"),
    "msgonly": lambda: failed(0, "only"),
    "exc": lambda: raising("Bad_thing happened - code 7"),
    "excempty": lambda: raising(),
    "none": lambda: None,
    "obj": lambda: object(),
    "datetime": lambda: success({"when": datetime.datetime(2025, 1, 2, tzinfo=datetime.timezone.utc)}),
    "uuid": lambda: success({"id": uuid.UUID("12345678-1234-5678-1234-567812345678")}),
    "set": lambda: success({"values": {1, 2}}),
    "plainresult": lambda: Response(12345),
    "strresult": lambda: Response("WEIRD result"),
    "setresult": lambda: Response({1}),
    "badcode": lambda: failed({1}),
    "override": lambda: Response(Result.SUCCESS, None, command=api.ApiCommand.GET_STATUS, nonce=999),
    "values": lambda: success(VALUES),
    "list": lambda: success([1, {"a_b": 2}]),
    "str": lambda: success("Plain Text_x"),
    "int": lambda: success(-5),
    "empty": lambda: success({}),
    "dc": lambda: success(
        configuration(
            ["1.2.3-beta_1", "AB-01", "/srv/conf dir", "/srv/Raw_Data", "/a b", "/log-dir", "model_v1"]
        )
    ),
    "dcnested": lambda: success({"conf": configuration("1234567")}),
    "dcclass": lambda: success(Configuration),
}


class Delegate:
    """Answers, and remembers what it was asked."""

    def __init__(self, service):
        self.service = service
        self.modes = {
            "echo": lambda request: success(request.data),
            "answer": self.answer,
            "pending": self.pending,
            "later": self.later,
            "block": self.block,
            "stop": self.stop,
        }
        self.seen = collections.deque(maxlen=MAX_SEEN)
        self.changed = threading.Condition()
        self.released = threading.Semaphore(0)

    def __call__(self, request):
        with self.changed:
            self.seen.append(
                {
                    "command": request.command.name,
                    "custom_command": request.custom_command,
                    "nonce": request.nonce,
                    "data": request.data,
                }
            )
            self.changed.notify_all()
        mode = request.data.get("mode") if isinstance(request.data, dict) else None
        if mode in self.modes:
            return self.modes[mode](request)
        return ANSWERS[mode]()

    def take_seen(self, count, timeout_s):
        """The oldest requests, fewer if no more come in time."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.seen) >= count, timeout_s)
            return [self.seen.popleft() for _ in range(min(count, len(self.seen)))]

    def answer(self, request):
        fields = request.data
        return Response(
            fields.get("result", Result.SUCCESS),
            fields.get("data"),
            fields.get("error_code", 0),
            fields.get("error_message"),
        )

    def pending(self, request):
        """Its result is sent when the harness says so."""
        return Response(Result.PENDING_WITH_NOTIFICATION)

    def later(self, request):
        """Its result is queued before the reply, and sent after it."""
        result = Response(
            Result.SUCCESS, {"final_value": 3}, command=request.command, nonce=request.nonce
        )
        self.service.send_result(result)
        return Response(Result.PENDING_WITH_NOTIFICATION)

    def block(self, request):
        """Keeps the service thread until the harness releases it."""
        self.released.acquire()
        return success({"released": True})

    def stop(self, request):
        self.service.stop()
        return success()
