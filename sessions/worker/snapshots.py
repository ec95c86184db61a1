"""Snapshots on request: those asked for together share one encode, and so do those between two frames.

Requests come from the event loop; the encode runs in one thread of its own, for it blocks. A snapshot holds
everything up to the last frame taken, so it may overtake that frame on its way: the receiver ignores frames up to its
as-of. Who asks for a small one gets the whole picture with a quarter of the pixels each way, if all of them are much.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor

from stripeengine import wire
from stripeengine.errors import EngineError

from ..pictures import as_snapshot
from .bus import Bus, BusLost, snapshot_head
from .messages import Snapshot, snapshots_group

logger = logging.getLogger(__name__)

MOST_WAITING = 512
"""Viewers that may wait for a snapshot; further requests are dropped, and asked again by their FrameBus."""
LARGE = 30_000
"""Bytes of a snapshot from which on a small one is worth its while: a second at 256 kbit/s."""
SMALL_SHRINK, SMALL_QUALITY = 4, 60

Encode = Callable[[], list[bytes]]
Repair = Callable[[list[tuple[int, int, int, int]], int, int], list[bytes]]
"""Rectangles, shrink and quality → messages of a repair."""


class Snapshots:
    """Encodes with ``encode`` (the engine's `snapshot`) and ``repair``, and publishes to the buses that asked."""

    def __init__(
        self, session: str, bus: Bus, encode: Encode, repair: Repair, thread: Executor, publishing: asyncio.Lock
    ) -> None:
        self._session = session
        self._bus = bus
        self._encode = encode
        self._repair = repair
        self._waiting: dict[str, dict[str, bool]] = {}  # bus → viewer → a small one will do
        self._wake = asyncio.Event()
        self._thread = thread
        self._publishing = publishing  # an answer's messages follow one another
        self._last = 0
        self._kept: dict[bool, list[bytes]] = {}  # small or not → the newest, until a frame makes it old
        self.encodes = 0

    def request(self, wanted: Snapshot) -> None:
        """Queue a request."""
        if sum(map(len, self._waiting.values())) < MOST_WAITING:
            self._waiting.setdefault(wanted.bus, {})[wanted.viewer] = wanted.small
            self._wake.set()

    def note_frame(self, number: int) -> None:
        """A frame is about to be published."""
        self._last = number
        self._kept.clear()

    async def run(self) -> None:
        """Serve requests until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, {}
            try:
                await self._serve(waiting)
            except BusLost:
                pass  # who asked will ask again
            except EngineError as error:
                logger.warning("no snapshot could be made: %s", error)

    async def _serve(self, waiting: dict[str, dict[str, bool]]) -> None:
        every = await self._made(False, self._encode)
        few = every
        if sum(map(len, every)) > LARGE and any(small for viewers in waiting.values() for small in viewers.values()):
            # They wait longest for what they get: first.
            header = wire.peek(every[0])
            made = await self._made(True, lambda: self._encode_small(header.width, header.height))
            few = made if _size(wire.peek(made[0])) == _size(header) else every  # not if it was resized meanwhile
        async with self._publishing:
            for messages in (few, every):
                for bus, viewers in waiting.items():
                    found = sorted(viewer for viewer, small in viewers.items() if (few if small else every) is messages)
                    await self._publish(bus, found, messages)
                if few is every:
                    break

    async def _publish(self, bus: str, viewers: list[str], messages: list[bytes]) -> None:
        head = snapshot_head(dict.fromkeys(viewers, 0))
        for message in messages if viewers else ():
            await self._bus.publish_frames(snapshots_group(self._session, bus), head, message)

    async def _made(self, small: bool, encode: Encode) -> list[bytes]:
        """Return the kept snapshot, or a new one that is kept until a frame makes it old."""
        if small in self._kept:
            return self._kept[small]
        self.encodes += 1
        messages = await asyncio.get_running_loop().run_in_executor(self._thread, encode)
        if wire.peek(messages[0]).frame_id == self._last:
            self._kept[small] = messages
        return messages

    def _encode_small(self, width: int, height: int) -> list[bytes]:
        """Encode a picture of that size. Blocks."""
        return as_snapshot(self._repair([(0, 0, width, height)], SMALL_SHRINK, SMALL_QUALITY))


def _size(header: wire.Header) -> tuple[int, int]:
    return header.width, header.height
