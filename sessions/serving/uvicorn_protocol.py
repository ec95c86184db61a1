"""uvicorn's WebSockets, closed for certain: ``uvicorn --ws sessions.serving.uvicorn_protocol:FlowProtocol``.

uvicorn waits while a client does not read, as our own server does; but it waits to close him as well, and an asyncio
transport that is closed waits for its buffer. Here who does not take the close frame within `CLOSE_S` is cut off. Runs
on the event loop; imported by uvicorn alone, which is not among the dependencies (docs/reference/uvicorn.md).
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

CLOSE_S = 3.0


class FlowProtocol(WebSocketsSansIOProtocol):
    """One connection."""

    async def send(self, message: Any) -> None:
        """Send one message of the application; wait while the client does not read, but not to close him."""
        if message["type"] == "websocket.close":
            self._cut_off_soon()
            self.writable.set()  # the close frame is small; it goes behind what he has not taken
        await super().send(message)

    def keepalive_timeout(self) -> None:
        """The client has not answered a ping."""
        super().keepalive_timeout()
        self._cut_off_soon()

    def shutdown(self) -> None:
        """The server ends."""
        super().shutdown()
        self._cut_off_soon()

    def _cut_off_soon(self) -> None:
        self.loop.call_later(CLOSE_S, self.transport.abort)
