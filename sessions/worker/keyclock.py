"""When videos begin anew for those who lack their beginning: at most once in an interval, however many ask.

Runs on the event loop; nothing blocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class KeyClock:
    """Spaces the key frames that are asked for."""

    def __init__(self) -> None:
        self._last = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, interval: float, make: Callable[[], None]) -> None:
        """Call ``make`` ``interval`` seconds after the last call, or now if that is over."""
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        wait = self._last + interval - loop.time()
        if wait > 0:
            self._timer = loop.call_later(wait, self._make, make)
        else:
            self._make(make)

    def _make(self, make: Callable[[], None]) -> None:
        self._timer = None
        self._last = asyncio.get_running_loop().time()
        make()
