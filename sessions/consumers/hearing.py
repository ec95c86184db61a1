"""What a session's group of the channel layer tells one viewer's consumer.

A task of its own beside the one that reads the client. Channels waits for both together, which costs two tasks and a
`wait` for every acknowledgement, and takes whatever type a worker names there for the client's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


async def hear(
    layer: Any, channel: str, event: Callable[[Any], None], access: Callable[[], None], refuse: Callable[[], None]
) -> None:
    """Hand on events and changes of access until cancelled; whatever else is published is refused."""
    while True:
        try:
            message = await layer.receive(channel)
        except (ValueError, TypeError, RecursionError):  # not msgpack
            message = None
        match message:
            case {"type": "session.event", **members}:
                event(members.get("event"))
            case {"type": "session.access"}:
                access()
            case _:
                refuse()
