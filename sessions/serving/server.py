"""Daphne with flow control, for pictures to slow viewers: `manage.py serve` runs it.

Plain Daphne buffers without bound whatever a client does not read (daphne#170). Here every WebSocket registers a
producer with its transport, and a send waits while more than 64 KiB are unsent. Twisted's reactor runs on the asyncio
loop, so all of it happens on one thread.

TLS is a proxy's or our own; addresses may be shared by several processes (`listening`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from daphne.server import Server  # first: it installs Twisted's asyncio reactor
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet import defer
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from .listening import Adopted, ListenFailed, explain_twisted

logger = logging.getLogger(__name__)
access_logger = logging.getLogger("stripedesk.access")

MOST_INCOMING = 64 * 1024
"""Bytes of one incoming message (protocol, section 7)."""
MOST_WAITING = 256
"""Incoming messages that may wait for the application; Daphne's queue itself has no bound."""
RESTART = 1012
DRAIN_S = 3.0


@implementer(IPushProducer)
class Flow:
    """Whether a transport takes more. Once ``finished``, sends never wait again: there is nobody to wait for."""

    def __init__(self) -> None:
        self._writable = asyncio.Event()
        self._writable.set()
        self._finished = False

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's interface
        """Called by the transport when its buffer is full."""
        if not self._finished:
            self._writable.clear()

    def resumeProducing(self) -> None:  # noqa: N802
        """Called by the transport when its buffer is empty."""
        self._writable.set()

    def stopProducing(self) -> None:  # noqa: N802
        """Called by the transport when the connection is lost."""
        self.finish()

    def finish(self) -> None:
        """Let every waiting and future sender go."""
        self._finished = True
        self._writable.set()

    async def wait(self) -> None:
        """Return when the transport takes more."""
        await self._writable.wait()


class FlowProtocol(WebSocketProtocol):  # type: ignore[misc]
    """A WebSocket whose writes can be waited for."""

    flow: Flow | None = None
    dropped = 0
    maxMessagePayloadSize: int  # noqa: N815 - autobahn's, set from the factory

    def onOpen(self) -> None:  # noqa: N802 - autobahn's names
        super().onOpen()
        self.transport.unregisterProducer()  # the HTTP channel's, left from before the upgrade
        self.flow = Flow()
        self.transport.registerProducer(self.flow, True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        if self.application_queue.qsize() < MOST_WAITING:
            super().onMessage(payload, isBinary)
        else:
            self.dropped += 1  # faster than they can be refused

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:  # noqa: N802, N803
        self._end_flow()
        super().onClose(wasClean, code, reason)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802
        self._end_flow()
        super().connectionLost(reason)

    def dropConnection(self, abort: bool = False) -> None:  # noqa: N802
        # With a paused producer still registered Twisted would wait for it, and never close.
        self._end_flow()
        super().dropConnection(abort)

    def sendMessage(self, payload: bytes, isBinary: bool = False, *args: Any, **kwargs: Any) -> None:  # noqa: N802, N803
        if self.state != self.STATE_OPEN:
            return  # closing has begun, at our end or at the client's; nothing may follow the close frame
        # autobahn applies the one limit to both directions; it is meant for what comes in.
        limit, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            super().sendMessage(payload, isBinary, *args, **kwargs)
        finally:
            self.maxMessagePayloadSize = limit

    def serverClose(self, code: int | None = None) -> None:  # noqa: N802
        # autobahn's sendClose refuses the codes from 1001 to 1013, which are a server's to use.
        self.sendCloseFrame(code=1000 if code is None else code)

    def _end_flow(self) -> None:
        flow, self.flow = self.flow, None
        if flow is not None:
            flow.finish()
            if self.transport is not None:
                self.transport.unregisterProducer()


class FlowFactory(WebSocketFactory):  # type: ignore[misc]
    """Builds `FlowProtocol`s."""

    protocol = FlowProtocol


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
        import daphne.server

        daphne.server.WebSocketFactory = FlowFactory
        describe: Any = serverFromString
        daphne.server.serverFromString = lambda reactor, text: self._own.get(text) or describe(reactor, text)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Send one message of the application; wait while the client does not read."""
        await super().handle_reply(protocol, message)
        flow = getattr(protocol, "flow", None)
        if flow is not None and message["type"] == "websocket.send":
            await flow.wait()

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
