"""Whether anybody looks at the session: with nobody, for a while, the engine stops encoding and only notes changes.

Runs on the event loop; nothing blocks. Each FrameBus tells how many of its viewers look, on change and again and again;
one that has not for `LOST_S` is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

GRACE_S = 10.0
"""From the last viewer, or the start, until the engine is paused: somebody who reloads his page is waited for."""
LOST_S = 30.0
MOST_BUSES = 1024


class Watchers:
    """Who looks, through which bus. Times are the event loop's."""

    def __init__(self, grace_s: float, lost_s: float) -> None:
        self._grace_s = grace_s
        self._lost_s = lost_s
        self._buses: dict[str, tuple[int, float]] = {}
        self._changed = asyncio.Event()
        self._pause: Callable[[bool], None] = lambda paused: None
        self.paused = False

    def told(self, bus: str, viewers: int) -> None:
        """Note how many look through ``bus``."""
        self._buses.pop(bus, None)
        if viewers:
            self._buses[bus] = (viewers, asyncio.get_running_loop().time())
            if len(self._buses) > MOST_BUSES:
                del self._buses[next(iter(self._buses))]
        self._changed.set()
        if self._buses and self.paused:
            self.paused = False
            self._pause(False)

    def seen(self, bus: str) -> None:
        """Somebody there has just asked for a picture."""
        self.told(bus, max(1, self._buses.get(bus, (0, 0.0))[0]))

    @property
    def count(self) -> int:
        """How many look."""
        return sum(viewers for viewers, _ in self._buses.values())

    async def run(self, pause: Callable[[bool], None]) -> None:
        """Call ``pause`` with True when nobody has looked for a while; with False, at once, when somebody does."""
        self._pause = pause
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            if self.paused:
                await self._changed.wait()
                continue
            wait = self._grace_s if not self._buses else self._lost_s
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                oldest = loop.time() - self._lost_s
                self._buses = {bus: seen for bus, seen in self._buses.items() if seen[1] > oldest}
                if not self._buses and wait == self._grace_s:
                    self.paused = True
                    pause(True)
