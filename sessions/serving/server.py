"""Daphne with flow control, for pictures to slow viewers: `manage.py serve` runs it.

Plain Daphne buffers without bound whatever a client does not read (daphne#170). Here a send waits while more than
64 KiB are unsent (`websocket`). Twisted's reactor runs on the asyncio loop, so all of it happens on one thread.

TLS is a proxy's or our own; addresses may be shared by several processes (`listening`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from daphne.server import Server  # first: it installs Twisted's asyncio reactor
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import defer
from twisted.internet.endpoints import serverFromString

from .direct import DIRECT
from .listening import Adopted, ListenFailed, explain_twisted
from .websocket import FlowFactory, FlowProtocol

logger = logging.getLogger(__name__)
access_logger = logging.getLogger("stripedesk.access")

MOST_INCOMING = 64 * 1024
"""Bytes of one incoming message (protocol, section 7)."""
RESTART = 1012
DRAIN_S = 3.0


class FlowServer(Server):  # type: ignore[misc]
    """The server. ``failure`` is set when an address could not be listened on; `run` returns then."""

    def __init__(
        self, application: Any, endpoints: Sequence[str | Adopted], ready: Callable[[], None] | None = None
    ) -> None:
        # Daphne knows descriptions only, so an endpoint of our own goes by its place in the list.
        self._own = {f"own:{n}": endpoint for n, endpoint in enumerate(endpoints) if isinstance(endpoint, Adopted)}
        super().__init__(
            application,
            endpoints=[e if isinstance(e, str) else f"own:{n}" for n, e in enumerate(endpoints)],
            action_logger=log_action,
            websocket_timeout=-1,  # Daphne would close every socket after a day
            websocket_max_message_size=MOST_INCOMING,
            websocket_max_frame_size=MOST_INCOMING,
            server_name="stripedesk",
        )
        self.failure: ListenFailed | None = None
        self._ready = ready
        self._open = 0

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        self._patch()
        super().run()

    def _patch(self) -> None:
        # `Server.run` makes its factory and its endpoints itself, from that module's globals; there is no other seam.
        import daphne.http_protocol
        import daphne.server
        import daphne.ws_protocol

        daphne.server.WebSocketFactory = FlowFactory
        # Daphne measures how long things take by the clock of the wall, which may be set.
        monotonic = SimpleNamespace(time=time.monotonic)
        for module in (daphne.server, daphne.ws_protocol, daphne.http_protocol):
            module.time = monotonic
        describe: Any = serverFromString
        daphne.server.serverFromString = lambda reactor, text: self._own.get(text) or describe(reactor, text)

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Start the application for one connection; a WebSocket's may write to it without a task's turn."""
        if isinstance(protocol, FlowProtocol):
            scope["extensions"] = {**scope.get("extensions", {}), DIRECT: protocol}
        return super().create_application(protocol, scope)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Send one message of the application; wait while the client does not read."""
        await super().handle_reply(protocol, message)
        if isinstance(protocol, FlowProtocol) and message["type"] == "websocket.send":
            await protocol.wait()

    def listen_success(self, port: Any) -> None:
        """An address listens."""
        super().listen_success(port)
        self._open += 1
        self._ports = [*getattr(self, "_ports", ()), port]
        if self._open == len(self.endpoints) and self._ready is not None:
            self._ready()

    def listen_error(self, failure: Any) -> None:
        """An address cannot be listened on: end, and say why."""
        self.failure = ListenFailed(explain_twisted(failure.value))
        self.stop()

    def kill_all_applications(self) -> defer.Deferred[None]:
        """On shutdown: no new connections, tell every WebSocket to come back later, let the applications finish."""
        return defer.Deferred.fromFuture(asyncio.ensure_future(self._shut_down()))

    async def _shut_down(self) -> None:
        for port in getattr(self, "_ports", ()):
            port.stopListening()
        for protocol in list(self.connections):
            if isinstance(protocol, WebSocketProtocol) and protocol.state == protocol.STATE_OPEN:
                protocol.serverClose(RESTART)
        running = self._applications()
        if running:
            await asyncio.wait(running, timeout=DRAIN_S)
        running = self._applications()
        for application in running:
            application.cancel()
        if running:
            logger.info("%d connections did not end by themselves", len(running))
            await asyncio.wait(running, timeout=DRAIN_S)

    def _applications(self) -> list[asyncio.Future[Any]]:
        instances = (details.get("application_instance") for details in self.connections.values())
        return [instance for instance in instances if instance is not None and not instance.done()]


def log_action(protocol: str, action: str, details: dict[str, Any]) -> None:
    """Write the access log: never a query, which may hold what is nobody's business."""
    path = str(details.get("path", "")).split("?", 1)[0].split("#", 1)[0]
    client = details.get("client") or "-"
    if protocol == "http" and action == "complete":
        level = logging.INFO if details["status"] < 500 else logging.ERROR
        milliseconds = details["time_taken"] * 1000
        access_logger.log(
            level,
            "%s %s %s %d %s %.0fms",
            client,
            details["method"],
            path,
            details["status"],
            details["size"],
            milliseconds,
        )
    elif protocol == "websocket" and action in ("connected", "disconnected", "rejected"):
        access_logger.info("%s WebSocket %s %s", client, path, action)
