"""A server's connection as it takes pictures without a turn of the sender's task, where the server has a way for it."""

from __future__ import annotations

from typing import Protocol

from stripeengine.wire import Buffer

DIRECT = "stripedesk.direct"
"""The ASGI extension (`scope["extensions"]`) by which an application finds its connection's `Direct`."""


class Direct(Protocol):
    """What is written is sent in its order, and in that of the messages the application sends by ASGI."""

    @property
    def writable(self) -> bool:
        """Whether it takes more; if not, `wait` before the next `write`."""

    def write(self, data: Buffer) -> None:
        """Send one binary message; on a connection that closes nothing happens."""

    async def wait(self) -> None:
        """Return when it takes more, or is gone."""
