"""A node server as far as starting it is concerned: a status page, the ready line, signals. Needs no packages."""
import http.server
import json
import os
import signal
import subprocess
import sys
import threading

MODE = os.environ.get("STUB_MODE") or open("mode.txt").read().strip()


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        names = ("PORT", "SERVER_UID", "SERVER_PACKAGE_ID", "SERVER_DISPLAY_NAME", "DOMAIN", "NANOCORE_TOKEN", "NANOCORE_HTTP_ENDPOINT",
                 "NANOCORE_ENDPOINT", "PYTHONUNBUFFERED", "VIRTUAL_ENV", "NANOSDK_LOG_LEVEL")
        page = {"serverUid": "somebody-else" if MODE == "foreign" else os.environ["SERVER_UID"],
                "environment": {name: os.environ.get(name) for name in names}, "cwd": os.getcwd()}
        body = json.dumps(page).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def on_signal(number, _):
    print(f"got {signal.Signals(number).name}", file=sys.stderr, flush=True)
    if MODE == "stubborn" or (MODE == "ignores-sigint" and number == signal.SIGINT):
        return
    os._exit(0)


signal.signal(signal.SIGINT, on_signal)
signal.signal(signal.SIGTERM, on_signal)
if MODE == "broken":
    print("first line", file=sys.stderr)
    raise ValueError("the model file is missing")
if MODE == "returns":
    print("[NANOSERVER_READY]", flush=True)
    sys.exit(0)
if MODE == "never-ready":
    threading.Event().wait()
if MODE == "family":
    grandchild = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)"])
    print(f"grandchild {grandchild.pid}", file=sys.stderr, flush=True)
if MODE == "noisy":
    print("x" * 10_000_000, file=sys.stderr, flush=True)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Page)
print("no newline before it [NANOSERVER_READY]", flush=True)
if MODE == "crashes-later":
    threading.Timer(0.3, lambda: (print("out of memory", file=sys.stderr, flush=True), os._exit(7))).start()
server.serve_forever()
