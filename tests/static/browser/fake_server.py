"""A server for the viewer page: pages and modules over HTTP, and a WebSocket that a test drives by hand.

Threads: one for HTTP, one that accepts sockets, one a connection. What arrives is kept in `FakeServer.received`,
and of input when it did (s since 1970) in ``input_times``.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

ROOT = Path(__file__).resolve().parents[3]
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".wasm": "application/wasm"}
# As the platform sends it: the client must live with it.
POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; object-src 'none'; base-uri 'self'"
)
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Viewer</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><link rel="stylesheet" href="/static/app/viewer.css"></head><body>
<main id="stage"><canvas id="screen" tabindex="0"></canvas></main>
<div id="toolbar"></div><div id="overlay"></div><div id="veil" role="status"></div>
<script type="application/json" id="viewer-config">CONFIG</script>
<script type="module" src="/static/app/SCRIPT"></script></body></html>"""
PRESETS = [
    {"id": 1, "name": "Sharp text", "help": "For terminals and documents."},
    {"id": 2, "name": "Low bandwidth", "help": "For slow lines: <b>fewer</b> details."},
]


def wait_for(what: str, check: Callable[[], Any], timeout: float = 10) -> Any:
    """Return the first true value of ``check``, else fail with ``what``."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.0f} s in vain for {what}")
        time.sleep(0.02)


class FakeServer:
    """``welcome`` and ``greeting`` are sent to each connection after its hello; ``ticket_status`` answers tickets."""

    def __init__(self) -> None:
        self.welcome: dict[str, Any] = make_welcome()
        self.greeting: list[bytes | dict[str, Any]] = []
        self.refuse: tuple[int, str, str] | None = None
        self.config: dict[str, Any] = {}
        self.ticket_status = 200
        self.policy = POLICY
        self.tickets: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        self.input_times: list[float] = []
        self.connections: list[ServerConnection] = []
        handler = type("Handler", (_PageHandler,), {"server_state": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.revive(0)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._port = int(self._socket.socket.getsockname()[1])
        self.socket_url = f"ws://127.0.0.1:{self._port}/ws/session/x/"

    def stop(self) -> None:
        self._socket.shutdown()
        self._http.shutdown()
        self._http.server_close()

    def kill(self) -> None:
        """End the WebSocket server as SIGKILL ends a process: no word, no new connections."""
        for connection in self.connections:
            if connection.socket.fileno() >= 0:
                # Its thread sees the end of the stream, and closing then resets the connection.
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.socket.shutdown(socket.SHUT_RD)
        self._socket.shutdown()

    def revive(self, port: int | None = None) -> None:
        """Start another server behind the same address."""
        address = self._port if port is None else port
        self._socket = serve(self._serve_socket, "127.0.0.1", address, compression=None, max_size=1 << 20)
        threading.Thread(target=self._socket.serve_forever, daemon=True).start()

    def send(self, *messages: bytes | dict[str, Any]) -> None:
        """Send to the newest connection, in order."""
        send_all(self.connections[-1], messages)

    def texts(self, kind: str) -> list[dict[str, Any]]:
        """What has come of one type, oldest first."""
        return [m for m in list(self.received) if m["type"] == kind]

    def events(self) -> list[list[Any]]:
        """All input events, in order."""
        return [event for message in self.texts("input") for event in message["events"]]

    def wait_ack(self, frame: int) -> dict[str, Any]:
        """Wait until the client says that ``frame`` is committed."""
        return dict(
            wait_for(
                f"an ack of {frame} among {self.texts('ack')[-3:]}",
                lambda: next((a for a in self.texts("ack") if a["frame"] >= frame), None),
            )
        )

    def _serve_socket(self, connection: ServerConnection) -> None:
        try:
            for text in connection:
                message = json.loads(text)
                if message["type"] == "hello":
                    self._greet(connection)
                elif message["type"] == "input":
                    self.input_times.append(time.time())
                self.received.append(message)  # whoever waits for a hello finds its connection among the others
                if message["type"] == "ping":
                    now = time.monotonic_ns() // 1000
                    send_all(connection, [{"type": "pong", "t": message["t"], "server_us": now}])
        except ConnectionClosed:
            pass

    def _greet(self, connection: ServerConnection) -> None:
        if self.refuse is not None:
            status, code, words = self.refuse
            send_all(connection, [{"type": "error", "code": code, "message": words}])
            connection.close(status)
            return
        send_all(connection, [self.welcome, *self.greeting])
        self.connections.append(connection)


class _PageHandler(BaseHTTPRequestHandler):
    server_state: FakeServer

    def do_GET(self) -> None:
        state = self.server_state
        path = self.path.split("?")[0]
        if path.startswith("/static/"):
            file = ROOT / path[1:]
            self._answer(200, file.read_bytes(), TYPES[file.suffix]) if file.is_file() else self._answer(404, b"", "")
            return
        link = path.startswith("/v/")
        config = {"socket": state.socket_url, "role": "owner", "name": "A <i>desktop</i>", "urls": {"portal": "/"}}
        if link:
            config |= {"ticket": f"{path}/ticket", "csrf": "token", "role": "viewer", "urls": {}}
        text = json.dumps(config | state.config).replace("<", "\\u003c")
        page = PAGE.replace("CONFIG", text).replace("SCRIPT", "link.js" if link else "viewer.js")
        self._answer(200, page.encode(), "text/html")

    def do_POST(self) -> None:
        state = self.server_state
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        state.tickets.append({"body": body, "csrf": self.headers["X-CSRFToken"], "referer": self.headers["Referer"]})
        answer = {"ticket": f"ticket-{len(state.tickets)}"}
        if state.ticket_status != 200:
            answer = {"code": "link-closed", "message": "This link does not work."}
        self._answer(state.ticket_status, json.dumps(answer).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", self.server_state.policy)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def send_all(connection: ServerConnection, messages: Any) -> None:
    """Send binary and JSON messages in order."""
    for message in messages:
        connection.send(message if isinstance(message, bytes) else json.dumps(message))


def make_welcome(**changes: Any) -> dict[str, Any]:
    """The server's first words to an owner, or with ``changes``."""
    return {
        "type": "welcome",
        "version": 1,
        "viewer": "a1",
        "role": "owner",
        "permissions": ["view", "input", "settings"],
        "session": {"id": "x", "name": "A <i>desktop</i>", "template": "Terminal", "state": "running"},
        "preset": 1,
        "presets": PRESETS,
        "heartbeat_s": 1,
        "window": 4,
    } | changes
