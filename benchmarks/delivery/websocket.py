"""A WebSocket client as cheap as it can be in Python, so that fifty of them do not drown what they measure.

An `asyncio.BufferedProtocol` on one event loop; nothing blocks. Messages are read in place, masks are zeros, which the
RFC allows and which costs nothing. Neither extensions nor fragments of messages, which our servers do not send.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import Callable
from typing import cast

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
OPEN_SECONDS = 10.0
NO_STATUS = 1006
FIRST_BUFFER = 128 * 1024


class Refused(ConnectionError):
    """The server did not upgrade the connection; the text is its status line."""


class WebSocket(asyncio.BufferedProtocol):
    """One connection.

    ``on_message`` takes a view of a binary message, good for the call alone, or the str of a text message; ``on_close``
    the code.
    """

    def __init__(self, on_message: Callable[[memoryview | str], None], on_close: Callable[[int], None]) -> None:
        self.received = 0
        """Bytes since the connection was made, all of them."""
        self._on_message, self._on_close = on_message, on_close
        self._buffer = bytearray(FIRST_BUFFER)
        self._start = self._end = 0
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._upgraded = False
        self._code = NO_STATUS
        self._transport: asyncio.Transport | None = None

    async def open(self, host: str, port: int, path: str, cookie: str, origin: str) -> None:
        """Connect and upgrade; raises `OSError`, `Refused`, `TimeoutError`."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(OPEN_SECONDS):
            transport, _ = await loop.create_connection(lambda: self, host, port)
            key = base64.b64encode(os.urandom(16)).decode()
            lines = [f"GET {path} HTTP/1.1", f"Host: {origin.partition('://')[2]}", f"Origin: {origin}"]
            lines += ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}"]
            lines += ["Sec-WebSocket-Version: 13", f"Cookie: {cookie}", "", ""]
            cast(asyncio.Transport, transport).write("\r\n".join(lines).encode())
            await self._opened

    def send(self, text: str) -> None:
        """Send a text message; nothing happens on a connection that is gone."""
        self._send(TEXT, text.encode())

    def close(self) -> None:
        """Drop the connection without a word, as a page that is closed does."""
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Stop reading: what comes piles up in the kernel, then in the server."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _send(self, opcode: int, payload: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        size = len(payload)
        head = (
            bytes((0x80 | opcode, 0x80 | size)) if size < 126 else struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, size)
        )
        self._transport.write(head + bytes(4) + payload)

    # ---- asyncio.Protocol ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(Refused("the connection was closed before it was upgraded"))
        elif self._upgraded:
            self._upgraded = False
            self._on_close(self._code)

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._start and len(self._buffer) - self._end < FIRST_BUFFER // 4:
            rest = self._buffer[self._start : self._end]
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        if len(self._buffer) - self._end < FIRST_BUFFER // 4:
            self._buffer = self._buffer + bytearray(len(self._buffer))
        return memoryview(self._buffer)[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        self.received += nbytes
        self._end += nbytes
        if not self._upgraded and not self._upgrade():
            return
        with memoryview(self._buffer) as view:
            while self._start < self._end and (size := self._message(view[self._start : self._end])):
                self._start += size
        if self._start == self._end:
            self._start = self._end = 0

    def _upgrade(self) -> bool:
        head, end, _ = bytes(self._buffer[: min(self._end, 8192)]).partition(b"\r\n\r\n")
        if not end:
            return False
        status = head.partition(b"\r\n")[0].decode("latin-1")
        if " 101 " not in status:
            if not self._opened.done():
                self._opened.set_exception(Refused(status))
            self.close()
            return False
        self._start = len(head) + 4
        self._upgraded = True
        if not self._opened.done():
            self._opened.set_result(None)
        return True

    def _message(self, view: memoryview) -> int:
        """Take the message at the beginning of ``view``; return its size, 0 if it is not complete."""
        if len(view) < 2:
            return 0
        size, start = view[1] & 127, 2
        if size == 126:
            start = 4
        elif size == 127:
            start = 10
        if len(view) < start:
            return 0
        if size >= 126:
            size = int.from_bytes(view[2:start], "big")
        end = start + size
        if len(view) < end:
            return 0
        opcode, payload = view[0] & 15, view[start:end]
        if opcode == BINARY:
            self._on_message(payload)
        elif opcode == TEXT:
            self._on_message(bytes(payload).decode())
        elif opcode == PING:
            self._send(PONG, bytes(payload))
        elif opcode == CLOSE:
            self._code = int.from_bytes(payload[:2], "big") if size >= 2 else NO_STATUS
            self._send(CLOSE, bytes(payload[:2]))
            if self._transport is not None:
                self._transport.close()
        return end
