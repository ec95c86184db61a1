"""Snapshots on request: those asked for together share one encode, and so do those between two frames.

Requests come from the event loop; the encode runs in one thread of its own, for it blocks. A snapshot holds
everything up to the last frame taken, so it may overtake that frame on its way: the receiver ignores frames up to its
as-of.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor

from stripeengine import wire
from stripeengine.errors import EngineError

from .bus import Bus, BusLost, snapshot_head
from .messages import Snapshot, snapshots_group

logger = logging.getLogger(__name__)

MOST_WAITING = 512
"""Viewers that may wait for a snapshot; further requests are dropped, and asked again by their FrameBus."""


class Snapshots:
    """Encodes with ``encode`` (the engine's `snapshot`) and publishes to the buses that asked."""

    def __init__(
        self, session: str, bus: Bus, encode: Callable[[], list[bytes]], thread: Executor, publishing: asyncio.Lock
    ) -> None:
        self._session = session
        self._bus = bus
        self._encode = encode
        self._waiting: dict[str, set[str]] = {}  # bus → viewers
        self._wake = asyncio.Event()
        self._thread = thread
        self._publishing = publishing  # an answer's messages follow one another
        self._last = 0
        self._kept: tuple[int, list[bytes]] | None = None  # the newest snapshot, until a frame makes it old
        self.encodes = 0

    def request(self, wanted: Snapshot) -> None:
        """Queue a request."""
        if sum(map(len, self._waiting.values())) < MOST_WAITING:
            self._waiting.setdefault(wanted.bus, set()).add(wanted.viewer)
            self._wake.set()

    def note_frame(self, number: int) -> None:
        """A frame is about to be published."""
        self._last = number
        self._kept = None

    async def run(self) -> None:
        """Serve requests until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, {}
            try:
                if self._kept is None:
                    self.encodes += 1
                    messages = await loop.run_in_executor(self._thread, self._encode)
                    as_of = wire.peek(messages[0]).frame_id
                    self._kept = (as_of, messages) if as_of == self._last else None
                else:
                    messages = self._kept[1]
                async with self._publishing:
                    for bus, viewers in waiting.items():
                        head = snapshot_head(dict.fromkeys(sorted(viewers), 0))
                        for message in messages:
                            await self._bus.publish_frames(snapshots_group(self._session, bus), head, message)
            except BusLost:
                pass  # who asked will ask again
            except EngineError as error:
                logger.warning("no snapshot could be made: %s", error)
