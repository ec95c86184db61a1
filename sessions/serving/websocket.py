"""Daphne's WebSocket, with writes that can be waited for and that cost little: `server` listens with it.

Every frame goes to every viewer on this path, and every viewer answers each. So what is sent goes to the kernel at once
while nothing else waits for the socket, without a copy and without a turn of the reactor; only what the kernel does not
take is left to Twisted, whose buffer pauses the sender (`Flow`). What comes in as one short text message, as
acknowledgements do, is read here; all else is read by autobahn. On Twisted's reactor; nothing here blocks.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import daphne.server  # first: it installs Twisted's asyncio reactor  # noqa: F401
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet.interfaces import IPushProducer
from twisted.internet.tcp import Connection
from zope.interface import implementer

from stripeengine.wire import Buffer

MOST_WAITING = 256
"""Incoming messages that may wait for the application; Daphne's queue itself has no bound."""
TEXT, BINARY = 0x81, 0x82
"""A whole message in one frame."""
SHORT = 126
"""Bytes from which on a frame's length takes more than its second byte."""


@implementer(IPushProducer)
class Flow:
    """Whether a transport takes more. Once ``finished``, sends never wait again: there is nobody to wait for."""

    def __init__(self) -> None:
        self._writable = asyncio.Event()
        self._writable.set()
        self._finished = False

    @property
    def writable(self) -> bool:
        """Whether `wait` would return at once."""
        return self._writable.is_set()

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
    """A WebSocket whose writes can be waited for: a `direct.Direct`."""

    flow: Flow | None = None
    dropped = 0

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

    def serverClose(self, code: int | None = None) -> None:  # noqa: N802
        # autobahn's sendClose refuses the codes from 1001 to 1013, which are a server's to use.
        self.sendCloseFrame(code=1000 if code is None else code)

    def _end_flow(self) -> None:
        flow, self.flow = self.flow, None
        if flow is not None:
            flow.finish()
            if self.transport is not None:
                self.transport.unregisterProducer()

    # ---- sending -------------------------------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """Whether the transport takes more."""
        return self.flow is None or self.flow.writable

    async def wait(self) -> None:
        """Return when the transport takes more."""
        if self.flow is not None:
            await self.flow.wait()

    def write(self, data: Buffer) -> None:
        """Send a binary message."""
        self._send(BINARY, data)

    def sendMessage(self, payload: bytes, isBinary: bool = False, *args: Any, **kwargs: Any) -> None:  # noqa: N802, N803
        """Send a message. No extension is ever accepted, so a message is a frame."""
        self._send(BINARY if isBinary else TEXT, payload)

    def _send(self, first: int, payload: Buffer) -> None:
        if self.state != self.STATE_OPEN:
            return  # closing has begun, at our end or at the client's; nothing may follow the close frame
        head, transport = _head(first, len(payload)), self.transport
        gone = 0
        if isinstance(transport, Connection) and not transport.TLS and _is_empty(transport):
            try:
                gone = transport.socket.sendmsg((head, payload))
            except OSError:
                gone = 0  # it takes nothing now; or it is lost, which the transport finds out itself
        if gone < len(head) + len(payload):
            transport.write((head + bytes(payload))[gone:])

    # ---- receiving -----------------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Take what has come."""
        if self._is_between_messages():
            data = self._take_short(data)
        if data:
            super().dataReceived(data)

    def _is_between_messages(self) -> bool:
        """Whether a new message begins, and nothing but messages is waited for."""
        return (
            self.state == self.STATE_OPEN
            and not self.data
            and self.current_frame is None
            and not self.inside_message
            and self.autoPingTimeoutCall is None
        )

    def _take_short(self, data: bytes) -> bytes:
        """Take whole short text messages from the front; return the rest."""
        while len(data) > 6 and data[0] == TEXT and 0x80 < data[1] < 0x80 | SHORT and self.state == self.STATE_OPEN:
            size = data[1] & 0x7F
            if len(data) < 6 + size:
                break
            payload = _unmasked(data[2:6], data[6 : 6 + size])
            if not payload.isascii():
                break  # autobahn looks whether it is UTF-8
            self.onMessage(payload, False)
            data = data[6 + size :]
        return data


class FlowFactory(WebSocketFactory):  # type: ignore[misc]
    """Builds `FlowProtocol`s."""

    protocol = FlowProtocol


def _is_empty(transport: Connection) -> bool:
    """Whether nothing waits to be sent before us. Twisted has no other way to ask."""
    return bool(transport.connected) and not transport.dataBuffer and not transport._tempDataBuffer


def _head(first: int, size: int) -> bytes:
    """Return the head of an unmasked frame (RFC 6455, section 5.2)."""
    if size < SHORT:
        return bytes((first, size))
    return struct.pack("!BBH", first, 126, size) if size < 1 << 16 else struct.pack("!BBQ", first, 127, size)


def _unmasked(mask: bytes, payload: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
